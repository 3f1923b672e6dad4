package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/testmodels"
)

// realModels are the pinned models by their names in testmodels.
var realModels = []string{"smollm2", "gemma270", "qwen05"}

func TestTokenIDsEqualGoldenFiles(t *testing.T) {
	for _, vocab := range testmodels.Vocabs(t) {
		t.Run(vocab.Name, func(t *testing.T) {
			t.Parallel()
			cases := vocab.Cases(t)
			if len(cases) == 0 {
				t.Skip("this vocabulary has no golden file")
			}
			model := loadVocab(t, vocab.Path)
			for _, c := range cases {
				got := tokenize(t, model, c.Text, false, false)
				equal := slices.Equal(got, c.Tokens)
				scores.add("token ids, golden files", equal)
				if !equal {
					t.Errorf("Tokenize(%s) = %v, want %v", short(c.Text), got, c.Tokens)
				}
			}
		})
	}
}

// vocabularies are the files whose vocabulary is tried on hard text: those with nothing else in
// them, and the real models that are here.
func vocabularies(t *testing.T) []testmodels.Vocab {
	t.Helper()
	vocabs := testmodels.Vocabs(t)
	for _, name := range realModels {
		t.Run(name+" is here", func(t *testing.T) {
			vocabs = append(vocabs, testmodels.Vocab{Name: name, Path: testmodels.Path(t, name)})
		})
	}
	return vocabs
}

// Text longer than this is tried in one mode only: the modes differ in control tokens, the length
// matters for what is between them.
const longText = 10_000

func TestTokenIDsOfHardTextEqualOracle(t *testing.T) {
	oracle := findOracle(t)
	for _, vocab := range vocabularies(t) {
		t.Run(vocab.Name, func(t *testing.T) {
			t.Parallel()
			model := loadVocab(t, vocab.Path)
			var long, others []hardText
			for _, h := range takenByBoth(t, oracle, model, vocab.Path, hardTexts()) {
				if len(h.text) > longText {
					long = append(long, h)
				} else {
					others = append(others, h)
				}
			}
			ids := oracle.tokenize(t, vocab.Path, textsOf(long), false, false)
			for i, h := range long {
				compareTokens(t, model, h, false, false, ids[i])
			}
			ids = oracle.tokenizeAllModes(t, vocab.Path, textsOf(others))
			for i := range ids {
				compareTokens(t, model, others[i/4], i&1 != 0, i&2 != 0, ids[i])
			}
		})
	}
}

// takenByBoth returns the texts that can be tokenized. A text that we refuse must be refused by
// llama.cpp too: it throws an exception at bytes that stand for code points past Unicode's end.
func takenByBoth(t *testing.T, oracle oracle, model *llama.Model, path string,
	hard []hardText) []hardText {
	t.Helper()
	var taken []hardText
	for _, h := range hard {
		if len(h.text) > longText { // all of them are UTF-8
			taken = append(taken, h)
			continue
		}
		_, err := model.Tokenize(h.text, false, false)
		if err == nil {
			taken = append(taken, h)
			continue
		}
		refused := !oracle.accepts(t, path, h.text)
		scores.add("texts refused as not tokenizable", refused)
		if !refused {
			t.Errorf("%s: Tokenize(%s): %v; llama.cpp takes it", h.name, short(h.text), err)
		}
	}
	return taken
}

func textsOf(hard []hardText) []string {
	texts := make([]string, len(hard))
	for i := range hard {
		texts[i] = hard[i].text
	}
	return texts
}

func compareTokens(t *testing.T, model *llama.Model, h hardText, special, parse bool,
	want []int32) {
	t.Helper()
	got := tokenize(t, model, h.text, special, parse)
	equal := slices.Equal(got, want)
	scores.add("token ids, hard text", equal)
	if !equal {
		t.Errorf("%s, special %v, parse %v: Tokenize(%s) differs from llama.cpp at token %d",
			h.name, special, parse, short(h.text), firstDifference(got, want))
	}
}

func TestDetokenizedHardTextEqualsOracle(t *testing.T) {
	oracle := findOracle(t)
	for _, vocab := range vocabularies(t) {
		t.Run(vocab.Name, func(t *testing.T) {
			t.Parallel()
			model := loadVocab(t, vocab.Path)
			var names []string
			var ids [][]int32
			for _, hard := range hardTexts() {
				if list, err := model.Tokenize(hard.text, true, true); err == nil {
					names, ids = append(names, hard.name), append(ids, list)
				}
			}
			for i, wants := range oracle.detokenize(t, vocab.Path, ids) {
				for special, want := range map[bool]string{false: wants[0], true: wants[1]} {
					got, err := model.Detokenize(ids[i], special)
					if err != nil {
						t.Fatal(err)
					}
					equal := string(got) == want
					scores.add("text of token ids", equal)
					if !equal {
						t.Errorf("Detokenize of %s, special %v, is %s, want %s",
							names[i], special, short(string(got)), short(want))
					}
				}
			}
		})
	}
}

// A byte-level vocabulary with a token for each of the 256 bytes loses nothing, so its ids must
// lead back to the text. (SmolLM2's has none for some control characters and drops those.)
func TestByteLevelTokensLeadBackToTheText(t *testing.T) {
	complete := []string{"gpt-2", "llama-bpe", "qwen2", "qwen35", "qwen05"}
	for _, vocab := range vocabularies(t) {
		if !slices.Contains(complete, vocab.Name) {
			continue
		}
		t.Run(vocab.Name, func(t *testing.T) {
			t.Parallel()
			model := loadVocab(t, vocab.Path)
			for _, hard := range hardTexts() {
				text := strings.ToValidUTF8(hard.text, "\uFFFD")
				got, err := model.Detokenize(tokenize(t, model, text, false, false), true)
				if err != nil {
					t.Fatal(err)
				}
				equal := string(got) == text
				scores.add("text through ids and back", equal)
				if !equal {
					t.Errorf("%s: %s came back as %s", hard.name, short(text), short(string(got)))
				}
			}
		})
	}
}

func tokenize(t *testing.T, model *llama.Model, text string, special, parse bool) []int32 {
	t.Helper()
	ids, err := model.Tokenize(text, special, parse)
	if err != nil {
		t.Fatalf("Tokenize(%s): %v", short(text), err)
	}
	return ids
}

// short quotes a text for a message.
func short(text string) string {
	const most = 80
	if len(text) > most {
		return fmt.Sprintf("%q… of %d bytes", text[:most], len(text))
	}
	return fmt.Sprintf("%q", text)
}

// firstDifference returns the index of the first place where a and b differ.
func firstDifference[T comparable](a, b []T) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
