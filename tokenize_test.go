package mullama_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// texts that tokenizers get wrong: empty, odd spaces, bytes that are no UTF-8, long runs.
var texts = []string{
	"", " ", "  a  ", "\n\t\r\n", "the quick red river", "Grüße, 世界 👍🏽 é 한글 عربى",
	"\x00", "a\x00b", "\xff", "\xc3", "ab\xe4\xb8", "\xed\xa0\x80", "\xf5\x80\x80\x80",
	strings.Repeat("a", 10000), strings.Repeat("\u0301", 1000), "<|im_start|>", "<s></s>",
}

func vocabulary(t *testing.T, path string) *mullama.Model {
	t.Helper()
	return load(t, openRuntime(t), path, mullama.LoadOptions{VocabOnly: true})
}

func TestTokenizeAndBack(t *testing.T) {
	for name, path := range map[string]func() string{
		"sentencepiece": func() string { return tinyFile(t, synth.Options{}) },
		"byte pairs":    func() string { return testmodels.Path(t, "smollm2") },
	} {
		t.Run(name, func(t *testing.T) {
			m := vocabulary(t, path())
			for _, text := range texts {
				tokens, err := m.Tokenize(text, mullama.TokenizeOptions{})
				if err != nil && strings.HasPrefix(text, "\xf5") { // above the last character
					wantKind(t, err, mullama.ErrInvalidOption, "cannot be tokenised")
					continue
				}
				if err != nil {
					t.Errorf("%.20q: %v", text, err)
					continue
				}
				back, err := m.Detokenize(tokens)
				got := strings.TrimPrefix(string(back), " ") // sentencepiece adds a space
				want := strings.TrimPrefix(strings.ToValidUTF8(text, ""), " ")
				if valid := strings.ToValidUTF8(text, "") == text; err != nil ||
					valid && got != want {
					t.Errorf("%.20q comes back as %.20q, %v", text, got, err)
				}
			}
		})
	}
}

func TestTokenizeSpecial(t *testing.T) {
	m := vocabulary(t, tinyFile(t, synth.Options{}))
	const text = "<|im_start|>user<|im_end|>"
	tokens := func(add, parse bool) []mullama.Token {
		list, err := m.Tokenize(text, mullama.TokenizeOptions{AddSpecial: add, ParseSpecial: parse})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	isControl := func(tok mullama.Token) bool {
		return tok == synth.TokenStart || tok == synth.TokenChatStart || tok == synth.TokenChatEnd
	}
	if plain := tokens(false, false); slices.ContainsFunc(plain, isControl) {
		t.Errorf("plain text became control tokens: %v", plain)
	}
	parsed := tokens(false, true)
	if parsed[0] != synth.TokenChatStart || parsed[len(parsed)-1] != synth.TokenChatEnd {
		t.Errorf("parsed: got %v; want control tokens around", parsed)
	}
	added := tokens(true, true)
	if added[0] != synth.TokenStart || !slices.Equal(added[1:], parsed) {
		t.Errorf("added: got %v; want %v after %d", added, parsed, synth.TokenStart)
	}
	if back, _ := m.Detokenize(parsed); !strings.Contains(string(back), "<|im_start|>") {
		t.Errorf("Detokenize = %q; want control tokens as text", back)
	}
}

func TestDetokenizeSkipsWhatIsNotInTheVocabulary(t *testing.T) {
	m := vocabulary(t, tinyFile(t, synth.Options{}))
	a := mullama.Token(synth.TokenByte0 + 'a')
	back, err := m.Detokenize([]mullama.Token{-1, a, 1 << 30, -1 << 31, a})
	if err != nil || string(back) != "aa" {
		t.Errorf("got %q, %v; want the two known tokens", back, err)
	}
	for _, none := range [][]mullama.Token{nil, {}, {-5}} {
		if back, err := m.Detokenize(none); len(back) != 0 || err != nil {
			t.Errorf("Detokenize(%v) = %q, %v; want nothing", none, back, err)
		}
	}
}

func TestPromptOfFiveMegabytes(t *testing.T) {
	for name, text := range map[string]string{
		"words": strings.Repeat("hello world ", 5<<20/12),
		"one":   strings.Repeat("a", 5<<20),
		"bytes": strings.Repeat("\xff", 5<<20),
		"rare":  strings.Repeat("字", 5<<20/3),
	} {
		t.Run(name, func(t *testing.T) {
			m := tinyModel(t)
			start := time.Now()
			_, err := m.Generate(t.Context(), text, nil)
			wantKind(t, err, mullama.ErrContextFull, "context size of 512", "shorten the prompt")
			_, err = m.Chat(t.Context(), []mullama.Message{{Role: "user", Content: text}}, nil)
			wantKind(t, err, mullama.ErrContextFull, "context size of 512", "shorten the prompt")
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v; want seconds at most", took)
			}
			if generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 2}).Text == "" {
				t.Error("the model is of no use after it")
			}
		})
	}
}

func TestLongPromptOfFewTokensIsTaken(t *testing.T) {
	m := load(t, openRuntime(t), testmodels.Path(t, "smollm2"), mullama.LoadOptions{
		ContextSize: 1100})
	// 16 kB of spaces are few tokens in this vocabulary.
	text := strings.Repeat(" ", 16000)
	tokens, err := m.Tokenize(text, mullama.TokenizeOptions{})
	if err != nil || len(tokens) > 1000 {
		t.Fatalf("the text has %d tokens, %v; want few", len(tokens), err)
	}
	got := generate(t, m, text, mullama.GenerateOptions{MaxTokens: 1})
	if got.Stats.PromptTokens != len(tokens) {
		t.Errorf("the prompt has %d tokens; want %d", got.Stats.PromptTokens, len(tokens))
	}
}

// The tokens of Qwen's format, spelt out, are the reference.
func TestFillInMiddleIsTheFormatOfTheModel(t *testing.T) {
	m := vocabulary(t, testmodels.Path(t, "qwen05"))
	got, err := m.FillInMiddle("def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n")
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Tokenize("<|fim_prefix|>def add(a, b):\n    return <|fim_suffix|>"+
		"\n\nprint(add(1, 2))\n<|fim_middle|>", mullama.TokenizeOptions{ParseSpecial: true})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, want %v: %v", got, want, err)
	}
	text, err := m.FillInMiddle("<|fim_suffix|>", "")
	if err != nil || len(text) < 6 {
		t.Errorf("a special token in the prefix was not taken for text: %v, %v", text, err)
	}
	_, err = vocabulary(t, testmodels.Path(t, "smollm2")).FillInMiddle("a", "b")
	if !errors.Is(err, mullama.ErrUnsupported) {
		t.Errorf("a model without the tokens: %v", err)
	}
}
