package server

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzReadInputs reads what is to be embedded: without a panic, each input as a text or as tokens,
// and nothing of the request changed.
func FuzzReadInputs(f *testing.F) {
	for _, seed := range []string{
		`"a"`, `["a", "b"]`, `["", "a"]`, `[1, 2]`, `[[1, 2], ["a", 3], "b"]`, `{"content": []}`,
		`[{"prompt_string": "a"}, {"content": [{"type": "text", "text": "b"}]}]`, `[]`, `null`, `7`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return // a request is JSON
		}
		before := bytes.Clone(data)
		inputs, err := readInputs("input", data)
		if !bytes.Equal(data, before) {
			t.Errorf("%q became %q", before, data)
		}
		for i, input := range inputs {
			var text string
			if err == nil && json.Unmarshal(input, &text) != nil && !isTokens(input) {
				t.Errorf("input %d of %q is %q", i, data, input)
			}
		}
	})
}
