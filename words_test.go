package mullama

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/testmodels"
)

// wordPieces are what random texts are made of: words, what stands between them, and what
// expressions treat in a way of its own.
var wordPieces = []string{
	"the", " the", "The", "House", "x", "Z", "don't", "'s", "'S", "'re", "'LL", "'", "''", "'l",
	"'v", " ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", " \n", "\n ", ".", ",", "!", "...", "(",
	")", "{}", "_", "-", "--", "=", "==", "/", "//", "\\", "\"", "#", "$", "%", "&", "*", "+",
	":", ";", "?", "@", "^",
	"`", "|", "~", "0", "1", "12", "123", "1234", "3.14", "1,000", "a1", "1a", "camelCase",
	"snake_case", "http://example.com/?q=1", "for (i = 0; i < n; i++) {\n\treturn;\n}", "<",
	"[", "]", ">", "é", "世界", "\u00a0", "\x00", "\x1f", "\x7f", "\xff",
}

func randomText(random *rand.Rand) string {
	var b strings.Builder
	for range 1 + random.IntN(12) {
		if random.IntN(4) == 0 {
			b.WriteByte(byte(' ' + random.IntN('~'-' '+1)))
			continue
		}
		b.WriteString(wordPieces[random.IntN(len(wordPieces))])
	}
	return b.String()
}

// vocabularyFiles are those of the tests, by their names.
func vocabularyFiles(t *testing.T) []string {
	files, err := filepath.Glob(filepath.Join(testmodels.Path(t, "vocabs"), "*.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	return append(files, testmodels.Path(t, "smollm2"), testmodels.Path(t, "qwen05"))
}

// realTexts are lines of source code and English: those of Go's own library.
func realTexts(t *testing.T, most int) []string {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	src := filepath.Join(strings.TrimSpace(string(root)), "src")
	err = filepath.WalkDir(src, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		if len(texts) >= most {
			return fs.SkipAll
		}
		data, err := os.ReadFile(path)
		texts = append(texts, strings.Split(string(data), "\n")...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts[:min(most, len(texts))]
}

// TestWordsHaveTheTokensOfLlamaCpp compares random and real texts with llama.cpp, which is asked
// for the whole text. MULLAMA_TEST_TEXTS is how many of each vocabulary; half of them are real.
func TestWordsHaveTheTokensOfLlamaCpp(t *testing.T) {
	rt, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	texts := 20_000
	if testing.Short() {
		texts = 500
	}
	if n, err := strconv.Atoi(os.Getenv("MULLAMA_TEST_TEXTS")); err == nil {
		texts = n
	}
	known := 0
	for _, file := range vocabularyFiles(t) {
		m, err := rt.Load(context.Background(), file, &LoadOptions{VocabOnly: true})
		if err != nil {
			continue // vocabularies that llama.cpp does not load have tests of their own
		}
		if c := m.shared.words.get(); c != nil {
			known++
			t.Run(filepath.Base(file), func(t *testing.T) { compareWords(t, m, c, texts) })
		}
		m.Close()
	}
	if known < 6 {
		t.Errorf("%d vocabularies are known, want 6 and more", known)
	}
}

func compareWords(t *testing.T, m *Model, c *wordCache, texts int) {
	random := rand.New(rand.NewPCG(7, 8))
	all := realTexts(t, texts/2)
	for len(all) < texts {
		all = append(all, randomText(random))
	}
	answered := 0
	for _, text := range all {
		got, ok := c.appendTokens(nil, text)
		if !ok {
			continue
		}
		answered++
		for _, special := range []bool{false, true} {
			want, err := m.shared.weights.Tokenize(text, false, special)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%q: %v, want %v, %v", text, got, want, err)
			}
		}
		got, _ = c.appendWhole(got[:0], text)
		want, err := m.shared.weights.Tokenize(text, true, true)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("all of %q: %v, want %v, %v", text, got, want, err)
		}
	}
	t.Logf("%d texts of %d, %d words", answered, texts, len(c.words))
	if answered < texts/10 {
		t.Errorf("only %d texts of %d were answered", answered, texts)
	}
}

func TestTheWordCacheIsBounded(t *testing.T) {
	calls := 0
	c := makeWordCache(nextGPT2, "<[", func(text string) ([]Token, error) {
		calls++
		return []Token{Token(len(text))}, nil
	})
	long := strings.Repeat("a", wordMost+1)
	for range 2 {
		if tokens, ok := c.appendTokens(nil, "one two "+long); !ok || len(tokens) != 3 {
			t.Fatalf("got %v, %v", tokens, ok)
		}
	}
	if calls != 4 { // "one", " two", and the long word twice
		t.Errorf("llama.cpp was asked %d times, want 4", calls)
	}
	for i := range wordsMost + 1 {
		c.appendTokens(nil, strings.Repeat("x", i%20+1)+strings.Repeat("y", i/20%50+1)+" "+
			strings.Repeat("z", i/1000+1))
	}
	if len(c.words) > wordsMost {
		t.Errorf("%d words are kept, at most %d may be", len(c.words), wordsMost)
	}
	for _, text := range []string{"é", "a\x00", "<|x|>", "[", strings.Repeat("a ", textMost)} {
		if _, ok := c.appendTokens(nil, text); ok {
			t.Errorf("%.9q was not left to llama.cpp", text)
		}
	}
}

// FuzzSplitters checks that each word has a byte at least, and that the last one ends with the
// text.
func FuzzSplitters(f *testing.F) {
	for _, text := range []string{"", " ", "a 'S\n  1234 it's\r\n", "  \t\n x", "don't 'll'"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, next := range map[string]splitter{
			"GPT-2": nextGPT2, "digits": nextOrDigit, "Llama 3": nextLlama3, "Qwen 2": nextQwen2,
		} {
			if strings.ContainsFunc(text, func(r rune) bool {
				return r >= asciiEnd || classes[byte(r)] == noClass
			}) {
				return // for llama.cpp
			}
			for w := (words{text: text, classes: &classes}); w.pos < len(text); {
				end := next(w)
				if end <= w.pos || end > len(text) {
					t.Fatalf("%s: %q: a word from %d to %d", name, text, w.pos, end)
				}
				w.pos = end
			}
		}
	})
}

func BenchmarkTokenize(b *testing.B) {
	rt, err := Open(Options{})
	if err != nil {
		b.Skip(err)
	}
	defer rt.Close()
	path := testmodels.Path(b, "smollm2")
	m, err := rt.Load(context.Background(), path, &LoadOptions{VocabOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for name, text := range map[string]string{
		"short":        "Hello, world!",
		"sentence":     "The quick brown fox jumps over the lazy dog and runs away quickly.",
		"to llama.cpp": "Grüße, world!",
	} {
		b.Run(name, func(b *testing.B) {
			tokens := make([]Token, 0, len(text))
			for b.Loop() {
				if _, err := m.AppendTokens(tokens, text, TokenizeOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWords is the part of making tokens that is done before any word is looked up.
func BenchmarkWords(b *testing.B) {
	const text = "The quick brown fox jumps over the lazy dog and runs away quickly."
	for b.Loop() {
		for w := (words{text: text, classes: &classes}); w.pos < len(text); {
			w.pos = nextLlama3(w)
		}
	}
}
