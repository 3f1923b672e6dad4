package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// part is what one push made ready.
type part struct {
	text   string
	tokens []Token
}

// feed pushes pieces as tokens 0, 1, 2 and returns what became ready at each, the flush last.
func feed(t *testing.T, o *output, pieces []string) (parts []part) {
	t.Helper()
	for i, p := range pieces {
		stopped := o.push(&Row{Token: Token(i), Piece: []byte(p), Logprob: -float32(i)}, true)
		parts = append(parts, drain(t, o))
		if stopped {
			break
		}
	}
	o.flush()
	return append(parts, drain(t, o))
}

func drain(t *testing.T, o *output) part {
	t.Helper()
	p := part{string(o.text), slices.Clone(o.tokens)}
	if !utf8.ValidString(p.text) {
		t.Errorf("%q is not valid", p.text)
	}
	if len(o.logprobs) != len(o.tokens) {
		t.Errorf("%d logprobs for %d tokens", len(o.logprobs), len(o.tokens))
	}
	for i, lp := range o.logprobs {
		if lp.Token != o.tokens[i] || lp.Logprob != -float32(lp.Token) {
			t.Errorf("logprob %d is %+v for token %d", i, lp, o.tokens[i])
		}
	}
	o.drain()
	return p
}

func (p part) String() string { return fmt.Sprintf("%q%v", p.text, p.tokens) }

func TestTokensComeWithTheirText(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pieces []string
		stop   []string
		want   string
	}{
		{"one by one", []string{"a", "b"}, nil, `["a"[0] "b"[1] ""[]]`},
		{"a code point in two tokens", []string{"\xC3", "\xA9x"}, nil, `[""[] "éx"[0 1] ""[]]`},
		{"a tail at the end", []string{"a", "\xE2\x82"}, nil, `["a"[0] ""[] "�"[1]]`},
		{"held until it is no stop", []string{"a<", "/", "b"}, []string{"</s>"},
			`["a"[0] ""[] "</b"[1 2] ""[]]`},
		{"held to the end", []string{"a", "<", "/"}, []string{"</s>"},
			`["a"[0] ""[] ""[] "</"[1 2]]`},
		{"swallowed by a stop", []string{"a", "<", "/", "s>"}, []string{"</s>"},
			`["a"[0] ""[] ""[] ""[] ""[]]`},
		{"partly swallowed", []string{"a", "b<", "/s>c"}, []string{"</s>"},
			`["a"[0] "b"[1] ""[] ""[]]`},
		{"a stop within a token", []string{"a</s>b"}, []string{"</s>"}, `[""[] "a"[0]]`},
		{"a held token before the stop", []string{"<", "<", "/s>"}, []string{"</s>"},
			`[""[] "<"[0] ""[] ""[]]`},
		{"a token without text", []string{"a", "", "b"}, nil, `["a"[0] ""[1] "b"[2] ""[]]`},
		{"a token without text while one is held", []string{"<", "", "b"}, []string{"</s>"},
			`[""[] ""[] "<b"[0 1 2] ""[]]`},
		{"invalid bytes before a stop", []string{"a\xE2\x82", "</s>"}, []string{"</s>"},
			`["a"[0] ""[] "�"[]]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutput(tt.stop, nil)
			if got := fmt.Sprint(feed(t, &o, tt.pieces)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// whole is what output must give in all: the text, and the tokens that have a part in it.
func whole(pieces, stop []string) (text string, tokens []Token) {
	raw, _ := firstStop(strings.Join(pieces, ""), stop)
	start := 0
	for i, p := range pieces {
		if start < len(raw) || p == "" && start == len(raw) {
			tokens = append(tokens, Token(i))
		}
		start += len(p)
	}
	return decode([]byte(raw)), tokens
}

func checkWhole(t *testing.T, pieces, stop []string) {
	t.Helper()
	var text strings.Builder
	var tokens []Token
	o := newOutput(stop, nil)
	for _, p := range feed(t, &o, pieces) {
		text.WriteString(p.text)
		tokens = append(tokens, p.tokens...)
	}
	wantText, wantTokens := whole(pieces, stop)
	// A token without text right after the one that completes the stop is never generated.
	if text.String() != wantText || !slices.Equal(tokens, wantTokens[:len(tokens)]) ||
		len(tokens) < len(wantTokens) && o.stop == "" {
		t.Errorf("%q at %q\ngot  %q %v\nwant %q %v", pieces, stop, text.String(), tokens,
			wantText, wantTokens)
	}
}

// cut splits text into pieces, some of them empty.
func cut(text string, r *rand.Rand) (pieces []string) {
	for len(text) > 0 {
		n := r.IntN(min(len(text), 5) + 1)
		pieces = append(pieces, text[:n])
		text = text[n:]
	}
	return pieces
}

func TestShownTokensHaveAText(t *testing.T) {
	o := newOutput([]string{"<end>"}, map[Token][]byte{1: []byte("[x]"), 4: []byte("<end>")})
	want := `["a"[0] "[x]"[1] ""[2] "b"[3] ""[] ""[]]`
	if got := fmt.Sprint(feed(t, &o, []string{"a", "", "", "b", ""})); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnyPiecesGiveTheSameText(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	letters := []string{"a", "b", "<", "\u00e9", "\u20ac", "\U0001F600", "\xF0\x9F", "\x80", "\xE2"}
	word := func(n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteString(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	for range 20000 {
		text := word(30)
		checkWhole(t, cut(text, r), []string{word(4), word(3), "a<b"})
	}
}

func FuzzOutput(f *testing.F) {
	f.Add("hello \U0001F600 <|im_end|>", "<|im_end|>", uint64(1))
	f.Add("\xE2\x82<<\xAC/s>", "</s>\n\xAC", uint64(5))
	f.Fuzz(func(t *testing.T, text, stop string, seed uint64) {
		if len(text) > 2000 || len(stop) > 200 {
			t.Skip("the plain rule is slow")
		}
		r := rand.New(rand.NewPCG(seed, 0))
		checkWhole(t, cut(text, r), strings.Split(stop, "\n"))
	})
}

func TestLogprobsAreCopiesOfTheRawPieces(t *testing.T) {
	piece := []byte("\xC3")
	top := []TopToken{{Token: 9, Logprob: -2, Piece: []byte("\xA9")}}
	o := newOutput(nil, nil)
	o.push(&Row{Token: 8, Piece: piece, Logprob: -1, Top: top}, true)
	piece[0], top[0].Piece[0], top[0].Token = 'x', 'x', 0
	o.flush()
	got := fmt.Sprintf("%+q", o.logprobs[0].Bytes) + fmt.Sprintf("%d %+q %g",
		o.logprobs[0].Top[0].Token, o.logprobs[0].Top[0].Piece, o.logprobs[0].Top[0].Logprob)
	if want := `"\xc3"9 "\xa9" -2`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
