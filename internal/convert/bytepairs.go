package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
)

// tokenList is a token id, or a list of which the first counts.
type tokenList []int

// UnmarshalJSON reads either.
func (l *tokenList) UnmarshalJSON(b []byte) error {
	var one int
	if json.Unmarshal(b, &one) == nil {
		*l = tokenList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]int)(l))
}

// bytePairs is what is read of the tokenizer.json of a byte-level vocabulary.
type bytePairs struct {
	Added []struct {
		ID      int    `json:"id"`
		Content string `json:"content"`
		Special bool   `json:"special"`
	} `json:"added_tokens"`
	Pre   *stepOfSplit    `json:"pre_tokenizer"`
	Post  json.RawMessage `json:"post_processor"`
	Model struct {
		Type   string            `json:"type"`
		Vocab  map[string]int    `json:"vocab"`
		Merges []json.RawMessage `json:"merges"`
	} `json:"model"`
}

// stepOfSplit is one step, or a sequence of steps, by which text is split into words.
type stepOfSplit struct {
	Type    string        `json:"type"`
	Steps   []stepOfSplit `json:"pretokenizers"`
	Digits  bool          `json:"individual_digits"`
	Regex   *bool         `json:"use_regex"` // nil: true
	Pattern struct {
		Regex string `json:"Regex"`
	} `json:"pattern"`
}

// signature writes the steps as text.
func (s *stepOfSplit) signature() string {
	if s == nil {
		return "none"
	}
	switch s.Type {
	case "Sequence":
		var all []string
		for i := range s.Steps {
			all = append(all, s.Steps[i].signature())
		}
		return strings.Join(all, " then ")
	case "Digits":
		return fmt.Sprintf("digits %t", s.Digits)
	case "ByteLevel":
		return fmt.Sprintf("bytes %t", s.Regex == nil || *s.Regex)
	case "Split":
		return "split " + s.Pattern.Regex
	}
	return s.Type
}

const (
	gpt4Words = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|`
	gpt4Rest  = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// splits are llama.cpp's names of the ways to split text into words.
var splits = map[string]string{
	"bytes true": "gpt-2",
	"split " + gpt4Words + `\p{N}{1,3}` + gpt4Rest + " then bytes false": "llama-bpe",
	"split " + gpt4Words + `\p{N}` + gpt4Rest + " then bytes false":      "qwen2",
	"digits true then bytes true":                                        "smollm",
}

// setBytePairs sets the vocabulary, and with it the chat template.
func setBytePairs(w *gguf.Writer, folder fs.FS, c *textConfig) error {
	var t bytePairs
	if err := readJSON(folder, "tokenizer.json", &t); err != nil {
		return err
	}
	pre, ok := splits[t.Pre.signature()]
	if t.Model.Type != "BPE" || !ok {
		return fmt.Errorf("%w: the vocabulary is %q, with words split by %.200q; those of GPT-2, "+
			"Llama 3, Qwen2 and SmolLM are converted", ErrUnsupported, t.Model.Type,
			t.Pre.signature())
	}
	if err := t.setTokens(w, c); err != nil {
		return err
	}
	w.Set("tokenizer.ggml.model", "gpt2")
	w.Set("tokenizer.ggml.pre", pre)
	merges := make([]string, len(t.Model.Merges))
	for i, raw := range t.Model.Merges {
		var err error
		if merges[i], err = readMerge(raw); err != nil {
			return err
		}
	}
	w.Set("tokenizer.ggml.merges", merges)
	return t.setSpecial(w, folder, c)
}

// readMerge reads a pair, or a text with a space in between.
func readMerge(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var pair [2]string
	if err := json.Unmarshal(raw, &pair); err != nil {
		return "", fmt.Errorf("tokenizer.json has the merge %.40s", raw)
	}
	return pair[0] + " " + pair[1], nil
}

const tokenAdded = int32(4) // user-defined

func (t *bytePairs) setTokens(w *gguf.Writer, c *textConfig) error {
	n := c.Vocab
	if n == 0 {
		for _, id := range t.Model.Vocab {
			n = max(n, id+1)
		}
		for _, a := range t.Added {
			n = max(n, a.ID+1)
		}
	}
	const most = 1 << 22
	if n < 1 || n > most {
		return fmt.Errorf("the vocabulary has %d tokens", n)
	}
	texts, kinds := make([]string, n), make([]int32, n)
	put := func(id int, text string, kind int32) error {
		if id < 0 || id >= n {
			return fmt.Errorf("token %.40q has the number %d of %d", text, id, n)
		}
		texts[id], kinds[id] = text, kind
		return nil
	}
	for text, id := range t.Model.Vocab {
		if err := put(id, text, tokenNormal); err != nil {
			return err
		}
	}
	for _, a := range t.Added {
		kind := tokenAdded
		if a.Special {
			kind = tokenControl
		}
		if a.ID >= n { // it has no weights
			continue
		}
		if err := put(a.ID, a.Content, kind); err != nil {
			return err
		}
	}
	for id := range texts {
		if kinds[id] == 0 {
			texts[id], kinds[id] = fmt.Sprintf("[PAD%d]", id), tokenUnused
		}
	}
	w.Set("tokenizer.ggml.tokens", texts)
	w.Set("tokenizer.ggml.token_type", kinds)
	return nil
}

// tokenText is a token in tokenizer_config.json: a text, or an object with one.
type tokenText string

// UnmarshalJSON reads either.
func (t *tokenText) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*string)(t)) == nil {
		return nil
	}
	var object struct {
		Content string `json:"content"`
	}
	err := json.Unmarshal(b, &object)
	*t = tokenText(object.Content)
	return err
}

// setSpecial sets which tokens begin and end texts, and the chat template.
func (t *bytePairs) setSpecial(w *gguf.Writer, folder fs.FS, c *textConfig) error {
	var own struct {
		BOS    tokenText       `json:"bos_token"`
		EOS    tokenText       `json:"eos_token"`
		Pad    tokenText       `json:"pad_token"`
		AddBOS *bool           `json:"add_bos_token"`
		Chat   json.RawMessage `json:"chat_template"`
	}
	err := readJSON(folder, "tokenizer_config.json", &own)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, s := range []struct {
		key  string
		text tokenText
		ids  tokenList
	}{{"bos", own.BOS, c.BOS}, {"eos", own.EOS, c.EOS}, {"padding", own.Pad, nil}} {
		if id, ok := t.find(string(s.text)); ok {
			w.Set("tokenizer.ggml."+s.key+"_token_id", uint32(id))
		} else if len(s.ids) > 0 && s.ids[0] >= 0 {
			w.Set("tokenizer.ggml."+s.key+"_token_id", uint32(s.ids[0]))
		}
	}
	first := own.BOS != "" && t.postBegins(string(own.BOS))
	if own.AddBOS != nil {
		first = *own.AddBOS
	}
	w.Set("tokenizer.ggml.add_bos_token", first)
	return setTemplate(w, folder, own.Chat)
}

func (t *bytePairs) find(text string) (id int, ok bool) {
	if text == "" {
		return 0, false
	}
	for _, a := range t.Added {
		if a.Content == text {
			return a.ID, true
		}
	}
	id, ok = t.Model.Vocab[text]
	return id, ok
}

// postBegins reports whether each text gets the token before it.
func (t *bytePairs) postBegins(bos string) bool {
	type step struct {
		Type   string                       `json:"type"`
		Single []map[string]json.RawMessage `json:"single"`
	}
	var all struct {
		step
		Steps []step `json:"processors"`
	}
	if len(t.Post) == 0 || json.Unmarshal(t.Post, &all) != nil {
		return false
	}
	return slices.ContainsFunc(append(all.Steps, all.step), func(s step) bool {
		var token struct {
			ID string `json:"id"`
		}
		return s.Type == "TemplateProcessing" && len(s.Single) > 0 &&
			json.Unmarshal(s.Single[0]["SpecialToken"], &token) == nil && token.ID == bos
	})
}

// setTemplate sets the chat template: a text, the default of several, or a file of its own.
func setTemplate(w *gguf.Writer, folder fs.FS, raw json.RawMessage) error {
	text, err := fs.ReadFile(folder, "chat_template.jinja")
	if err == nil {
		w.Set("tokenizer.chat_template", string(text))
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var one string
	var several []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	if json.Unmarshal(raw, &one) != nil && json.Unmarshal(raw, &several) == nil {
		for _, s := range several {
			if s.Name == "default" {
				one = s.Template
			}
		}
	}
	if one != "" {
		w.Set("tokenizer.chat_template", one)
	}
	return nil
}
