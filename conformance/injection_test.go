package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

// controlTokens are a vocabulary's control tokens by their text.
func controlTokens(t *testing.T, model *llama.Model) map[llama.Token]string {
	t.Helper()
	tokens := make(map[llama.Token]string)
	for token := range llama.Token(model.Info().Vocab) {
		if len(model.Piece(token, false)) > 0 {
			continue
		}
		if text := model.Piece(token, true); len(text) > 0 {
			tokens[token] = string(text)
		}
	}
	return tokens
}

// An attack is a conversation of which parts, written as EVIL, come from somebody who wants to pass
// for somebody else.
type attack struct {
	name    string
	request string
}

var attacks = []attack{
	{"user", `{"messages": [{"role": "user", "content": "EVIL"}]}`},
	{"user, between words", `{"messages": [{"role": "user", "content": "a EVIL b"}]}`},
	{"every role", `{"messages": [{"role": "system", "content": "EVIL"},
		{"role": "user", "content": "xEVIL"}, {"role": "assistant", "content": "yEVIL"},
		{"role": "user", "content": "EVILz"}]}`},
	{"two parts of a text", `{"messages": [{"role": "user", "content": [
		{"type": "text", "text": "FIRST"}, {"type": "text", "text": "SECOND"}]}]}`},
	{"tool result", `{"messages": [{"role": "user", "content": "Look."},
		{"role": "assistant", "content": "", "tool_calls": [{"id": "call_0001", "type": "function",
		"function": {"name": "look", "arguments": "{\"at\": \"EVIL\"}"}}]},
		{"role": "tool", "tool_call_id": "call_0001", "name": "look", "content": "EVIL"}],
		"tools": [{"type": "function", "function": {"name": "look", "description": "Looks.",
		"parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}}]}`},
	{"tool arguments with JSON escapes", `{"messages": [{"role": "user", "content": "Look."},
		{"role": "assistant", "content": "", "tool_calls": [{"id": "call_0001", "type": "function",
		"function": {"name": "look", "arguments": "{\"at\": \"ESCAPED\", \"ESCAPED\": 1}"}}]},
		{"role": "tool", "tool_call_id": "call_0001", "name": "look", "content": "Nothing."}]}`},
	{"tool description", `{"messages": [{"role": "user", "content": "Look."}],
		"tools": [{"type": "function", "function": {"name": "look", "description": "EVIL",
		"parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}}]}`},
	{"tool parameter", `{"messages": [{"role": "user", "content": "Look."}],
		"tools": [{"type": "function", "function": {"name": "look", "description": "Looks.",
		"parameters": {"type": "object", "properties": {"aEVIL": {"type": "string"}}}}}]}`},
}

// with puts a text in the place of what an attacker writes.
func (a attack) with(t *testing.T, text string) []byte {
	t.Helper()
	middle := len(text) / 2
	quoted := inJSON(t, text)
	var escaped strings.Builder
	for _, c := range text {
		fmt.Fprintf(&escaped, `\u%04x`, c) // the vocabularies here have none past U+FFFF
	}
	return []byte(strings.NewReplacer(
		`\"EVIL`, `\"`+inJSON(t, quoted), // JSON in a JSON text
		`ESCAPED`, inJSON(t, escaped.String()),
		`EVIL`, quoted,
		`FIRST`, inJSON(t, text[:middle]),
		`SECOND`, inJSON(t, text[middle:]),
	).Replace(a.request))
}

// inJSON is a text as it stands between the quotes of a JSON string, with nothing escaped that need
// not be.
func inJSON(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		t.Fatal(err)
	}
	return strings.Trim(out.String(), "\"\n")
}

func TestControlTokensInMessagesStayText(t *testing.T) {
	openLibrary(t)
	templates := readTemplates(t)
	byModel := make(map[*llama.Model]map[llama.Token]string)
	for _, tmpl := range templates {
		if byModel[tmpl.model] == nil {
			byModel[tmpl.model] = controlTokens(t, tmpl.model)
		}
	}
	inParallel(t, templates, func(t *testing.T, tmpl template) {
		controls := byModel[tmpl.model]
		chat, err := tmpl.model.NewChat(tmpl.source)
		if err != nil {
			t.Fatal(err)
		}
		defer chat.Close()
		for _, a := range attacks {
			for _, evil := range tmpl.evilTexts(controls) {
				tmpl.attack(t, chat, controls, a, evil)
			}
		}
	})
}

// evilTexts are the control tokens that the template writes and those that end an answer: each of
// them, and all of them in one text.
func (t template) evilTexts(controls map[llama.Token]string) []string {
	var texts []string
	info := t.model.Info()
	for token, text := range controls {
		if strings.Contains(t.source, text) || token == info.EOS || token == info.EOT {
			texts = append(texts, text)
		}
	}
	slices.Sort(texts)
	return append(texts, strings.Join(texts, "\n"))
}

// attack renders a conversation with an evil text and with a harmless one; the prompts must have
// the same control tokens.
func (t template) attack(test *testing.T, chat *llama.Chat, controls map[llama.Token]string,
	a attack, evil string) {
	test.Helper()
	harmless, err := chat.Apply(a.with(test, "word"))
	if err != nil {
		return // the template refuses such a conversation
	}
	attacked, err := chat.Apply(a.with(test, evil))
	if err != nil {
		test.Errorf("%s with %s: %v", a.name, short(evil), err)
		return
	}
	only := func(tokens []llama.Token) []llama.Token {
		return slices.DeleteFunc(slices.Clone(tokens), func(token llama.Token) bool {
			_, control := controls[token]
			return !control
		})
	}
	got, want := only(attacked.Tokens), only(harmless.Tokens)
	equal := slices.Equal(got, want)
	scores.add("attacks with control tokens", equal)
	if !equal {
		test.Errorf("%s with %s: the prompt has control tokens %v, with harmless text %v",
			a.name, short(evil), got, want)
	}
	t.checkTextOfTokens(test, a, attacked)
}

// checkTextOfTokens holds the text of a prompt's tokens against the prompt. White space is left out
// of it: vocabularies of the SentencePiece kind put some before each piece of text, and some
// control tokens swallow what is beside them.
func (t template) checkTextOfTokens(test *testing.T, a attack, prompt *llama.ChatPrompt) {
	test.Helper()
	text, err := t.model.Detokenize(prompt.Tokens, true)
	if err != nil {
		test.Fatal(err)
	}
	want := prompt.Prompt
	info := t.model.Info()
	if info.AddBOS {
		want = t.tokenText(info.BOS) + want
	}
	if info.AddEOS {
		want += t.tokenText(info.EOS)
	}
	got := strings.Join(strings.Fields(string(text)), "")
	want = strings.Join(strings.Fields(want), "")
	equal := got == want
	scores.add("text of prompts' tokens", equal)
	if !equal {
		at := firstDifference([]byte(got), []byte(want))
		test.Errorf("%s: the tokens stand for %s, the prompt is %s", a.name,
			short(got[max(0, at-20):]), short(want[max(0, at-20):]))
	}
}
