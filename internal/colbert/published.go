package colbert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// ErrUnsupported is the kind of errors for what a model declares and Mullama does not compute.
var ErrUnsupported = errors.New("not supported")

// The files in which models declare how they read texts: those of sentence-transformers, with what
// PyLate adds, and the one of ColBERT's authors.
const (
	configFile   = "config_sentence_transformers.json"
	metadataFile = "artifact.metadata"
)

// Vocabulary is that of a published model.
type Vocabulary struct {
	Tokens        map[string]int
	Unknown, Mask int // the tokens for words that there are not, and for those that are hidden
}

// declaration is what the files say. What is nil they do not say.
type declaration struct {
	QueryPrefix    *string   `json:"query_prefix"`
	DocumentPrefix *string   `json:"document_prefix"`
	QueryLength    *int      `json:"query_length"`
	DocumentLength *int      `json:"document_length"`
	Expand         *bool     `json:"do_query_expansion"`
	Attend         *bool     `json:"attend_to_expansion_tokens"`
	Skip           *[]string `json:"skiplist_words"`
	Similarity     *string   `json:"similarity_fn_name"`

	Prompts map[string]string `json:"prompts"`
	Prompt  *string           `json:"default_prompt_name"`
}

// metadata is what ColBERT's authors write.
type metadata struct {
	QueryToken     *string `json:"query_token_id"`
	DocumentToken  *string `json:"doc_token_id"`
	QueryLength    *int    `json:"query_maxlen"`
	DocumentLength *int    `json:"doc_maxlen"`
	Attend         *bool   `json:"attend_to_mask_tokens"`
	Punctuation    *bool   `json:"mask_punctuation"`
	Similarity     *string `json:"similarity"`
}

// Published reads what the files of a model declare. It returns nil for a model that is none for
// late interaction. What they do not say is as in PyLate.
func Published(folder fs.FS, v *Vocabulary) (*Settings, error) {
	d, err := read(folder)
	if d == nil || err != nil {
		return nil, err
	}
	s := &Settings{
		QueryLength: or(d.QueryLength, 32), DocumentLength: or(d.DocumentLength, 180),
		Expansion: None,
	}
	if s.QueryMarker, err = v.marker("query", or(d.QueryPrefix, "[Q] ")); err != nil {
		return nil, err
	}
	if s.DocumentMarker, err = v.marker("document", or(d.DocumentPrefix, "[D] ")); err != nil {
		return nil, err
	}
	if or(d.Expand, true) {
		s.Expansion, s.AttendToExpansion = v.Mask, or(d.Attend, false)
	}
	const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	for _, word := range or(d.Skip, strings.Split(punctuation, "")) {
		token, ok := v.Tokens[word]
		if !ok {
			token = v.Unknown // which PyLate leaves out then
		}
		s.Skip = append(s.Skip, token)
	}
	slices.Sort(s.Skip)
	s.Skip = slices.Compact(s.Skip)
	return s, s.check(len(v.Tokens))
}

// marker finds the token of a prefix. There need be none.
func (v *Vocabulary) marker(of, prefix string) (int, error) {
	if prefix == "" {
		return None, nil
	}
	token, ok := v.Tokens[prefix]
	if !ok {
		return 0, fmt.Errorf("the vocabulary has no token for the %s prefix %.40q", of, prefix)
	}
	return token, nil
}

// read puts together what the files say, and returns nil where no file declares anything.
func read(folder fs.FS) (*declaration, error) {
	d := &declaration{}
	found, err := readJSON(folder, configFile, d)
	if err != nil {
		return nil, err
	}
	if found {
		if err := d.checkPrompt(); err != nil {
			return nil, err
		}
	}
	declares := d.QueryPrefix != nil || d.DocumentPrefix != nil || d.QueryLength != nil ||
		d.Similarity != nil && *d.Similarity == "MaxSim"
	var m metadata
	if found, err = readJSON(folder, metadataFile, &m); err != nil {
		return nil, err
	}
	switch {
	case found:
		return d, m.addTo(d)
	case declares:
		return d, nil
	}
	return nil, nil
}

// checkPrompt refuses text that is to stand before all others.
func (d *declaration) checkPrompt() error {
	if d.Prompt == nil || d.Prompts[*d.Prompt] == "" {
		return nil
	}
	return fmt.Errorf("%w: texts that begin with the prompt %.40q", ErrUnsupported, *d.Prompt)
}

// addTo adds what a declaration does not say.
func (m *metadata) addTo(d *declaration) error {
	if similarity := or(m.Similarity, "cosine"); similarity != "cosine" {
		return fmt.Errorf("%w: the similarity %.40q of late interaction", ErrUnsupported,
			similarity)
	}
	query, document := or(m.QueryToken, "[unused0]"), or(m.DocumentToken, "[unused1]")
	d.QueryPrefix = first(d.QueryPrefix, &query)
	d.DocumentPrefix = first(d.DocumentPrefix, &document)
	d.QueryLength = first(d.QueryLength, m.QueryLength)
	d.DocumentLength = first(d.DocumentLength, m.DocumentLength)
	d.Attend = first(d.Attend, m.Attend)
	if d.Skip == nil && !or(m.Punctuation, true) {
		d.Skip = &[]string{}
	}
	return nil
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func or[T any](p *T, otherwise T) T {
	if p != nil {
		return *p
	}
	return otherwise
}

// readJSON reads a file, and reports whether there is one.
func readJSON(folder fs.FS, name string, into any) (found bool, err error) {
	text, err := fs.ReadFile(folder, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	return true, nil
}
