package llama_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/synth"
)

var hardTexts = map[string]string{
	"empty":          "",
	"space":          " ",
	"words":          "the time of the day",
	"zero byte":      "a\x00b\x00",
	"invalid UTF-8":  "a\xff\xfe\x80b",
	"cut character":  "\xe2\x82",
	"surrogate":      "\xed\xa0\x80",
	"overlong":       "\xc0\xaf\xf8\x88\x80\x80\x80",
	"emoji":          "👩‍👩‍👧‍👦 🏳️‍🌈",
	"combining":      strings.Repeat("e\u0301\u0323", 50),
	"controls":       "\x01\x02\x1b[0m\r\n\t\v\x7f",
	"private use":    "\ue000\U0010ffff",
	"noncharacters":  "\ufdd0\uffff",
	"long letter":    strings.Repeat("a", 100_000),
	"long space":     strings.Repeat(" ", 100_000),
	"long newlines":  strings.Repeat("\n", 50_000),
	"looks special":  "<s></s><|im_start|><unk>",
	"half a special": "<|im_",
}

func TestTextComesBackFromTokens(t *testing.T) {
	m := tiny(t)
	for name, text := range hardTexts {
		t.Run(name, func(t *testing.T) {
			tokens, err := m.Tokenize(text, false, false)
			if err != nil {
				t.Fatal(err)
			}
			for _, token := range tokens {
				if token < 0 || int(token) >= m.Info().Vocab {
					t.Fatalf("token %d is outside the vocabulary", token)
				}
			}
			got, err := m.Detokenize(tokens, true)
			if err != nil {
				t.Fatal(err)
			}
			// The vocabulary is of the kind that puts a space in front.
			if utf8.ValidString(text) && strings.TrimPrefix(string(got), " ") !=
				strings.TrimPrefix(text, " ") {
				t.Errorf("%.40q came back as %.40q", text, got)
			}
		})
	}
}

func TestPiecesJoinedAreTheText(t *testing.T) {
	m := tiny(t)
	for name, text := range hardTexts {
		tokens, err := m.Tokenize(text, false, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, special := range []bool{false, true} {
			whole, err := m.Detokenize(tokens, special)
			if err != nil {
				t.Fatal(err)
			}
			var joined []byte
			for _, token := range tokens {
				joined = append(joined, m.Piece(token, special)...)
			}
			// Only the first piece knows of the space that the vocabulary puts in front.
			if !bytes.Equal(joined, whole) && !bytes.Equal(joined[1:], whole) {
				t.Errorf("%s, special %v: pieces %.60q, text %.60q", name, special, joined, whole)
			}
		}
	}
}

func TestControlTokensOnlyOnRequest(t *testing.T) {
	m := tiny(t)
	text := "<|im_start|>user<|im_end|>"
	plain, err := m.Tokenize(text, false, false)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(plain, synth.TokenChatStart) || slices.Contains(plain, synth.TokenChatEnd) {
		t.Errorf("plain text became control tokens: %v", plain)
	}
	special, err := m.Tokenize(text, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if special[0] != synth.TokenChatStart || special[len(special)-1] != synth.TokenChatEnd {
		t.Errorf("control tokens are not in %v", special)
	}
	if hidden, _ := m.Detokenize(special, false); strings.Contains(string(hidden), "im_start") {
		t.Errorf("control tokens show in %q", hidden)
	}
	if shown, _ := m.Detokenize(special, true); !strings.HasPrefix(string(shown), "<|im_start|>") {
		t.Errorf("control tokens do not show in %q", shown)
	}
	if m.Piece(synth.TokenChatStart, false) != nil {
		t.Error("a control token has a piece without special")
	}
}

func TestSpecialTokensAreAdded(t *testing.T) {
	m := tiny(t)
	with, without := tokenize(t, m, "x"), []llama.Token(nil)
	without, err := m.Tokenize("x", false, false)
	if err != nil {
		t.Fatal(err)
	}
	if m.Info().AddBOS && (with[0] != synth.TokenStart || !slices.Equal(with[1:], without)) {
		t.Errorf("tokens are %v with and %v without BOS", with, without)
	}
}

func TestTokensOutsideTheVocabulary(t *testing.T) {
	m := tiny(t)
	outside := []llama.Token{-1, math.MinInt32, math.MaxInt32, llama.Token(m.Info().Vocab)}
	inside := tokenize(t, m, "the day")
	want, err := m.Detokenize(inside, true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Detokenize(append(slices.Clone(outside), inside...), true)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("text with strange tokens is %q, %v; want %q", got, err, want)
	}
	for _, token := range outside {
		if m.Piece(token, true) != nil || m.IsEnd(token) {
			t.Errorf("token %d has a piece or is an end", token)
		}
	}
	if !m.IsEnd(synth.TokenEnd) || !m.IsEnd(synth.TokenChatEnd) || m.IsEnd(70) {
		t.Error("the ends of generation are wrong")
	}
}

func TestDetokenizeNothing(t *testing.T) {
	got, err := tiny(t).Detokenize(nil, true)
	if err != nil || len(got) != 0 {
		t.Errorf("no tokens are %q, %v", got, err)
	}
}

func FuzzTokenize(f *testing.F) {
	for _, text := range hardTexts {
		f.Add(text, true)
	}
	m := tiny(f)
	f.Fuzz(func(t *testing.T, text string, special bool) {
		tokens, err := m.Tokenize(text, special, special)
		if err != nil {
			checkSentence(t, err.Error())
			return
		}
		got, err := m.Detokenize(tokens, true)
		if err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(text) && !special && !strings.Contains(text, "\u2581") &&
			strings.TrimPrefix(string(got), " ") != strings.TrimPrefix(text, " ") {
			t.Errorf("%q came back as %q", text, got)
		}
	})
}
