package engine

import (
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// decode is the UTF-8 decoder of the WHATWG Encoding Standard, state by state: the reference.
func decode(p []byte) string {
	var out []byte
	var needed, seen int
	var point rune
	low, high := byte(0x80), byte(0xBF)
	for i := 0; i < len(p); i++ {
		b := p[i]
		switch {
		case needed == 0 && b <= 0x7F:
			out = append(out, b)
		case needed == 0 && b >= 0xC2 && b <= 0xDF:
			needed, point = 1, rune(b&0x1F)
		case needed == 0 && b >= 0xE0 && b <= 0xEF:
			if b == 0xE0 {
				low = 0xA0
			}
			if b == 0xED {
				high = 0x9F
			}
			needed, point = 2, rune(b&0xF)
		case needed == 0 && b >= 0xF0 && b <= 0xF4:
			if b == 0xF0 {
				low = 0x90
			}
			if b == 0xF4 {
				high = 0x8F
			}
			needed, point = 3, rune(b&0x7)
		case needed == 0:
			out = append(out, replacement...)
		case b < low || b > high:
			out = append(out, replacement...)
			needed, seen, low, high = 0, 0, 0x80, 0xBF
			i-- // once more, as the start of a sequence
		default:
			low, high = 0x80, 0xBF
			point = point<<6 | rune(b&0x3F)
			if seen++; seen == needed {
				out = utf8.AppendRune(out, point)
				needed, seen = 0, 0
			}
		}
	}
	if needed > 0 {
		out = append(out, replacement...)
	}
	return string(out)
}

// assemble writes p in the pieces that cuts says and checks every border.
func assemble(t *testing.T, p []byte, cuts *rand.Rand) string {
	t.Helper()
	var a assembler
	var out []byte
	for rest := p; len(rest) > 0; {
		n := 1 + cuts.IntN(min(len(rest), 6))
		out = a.write(out, rest[:n])
		rest = rest[n:]
		if !utf8.Valid(out) {
			t.Fatalf("after %d of % x the text is %q", len(p)-len(rest), p, out)
		}
		if a.n > 3 || a.consumed+a.n != len(p)-len(rest) {
			t.Fatalf("%d bytes consumed and %d held of %d", a.consumed, a.n, len(p)-len(rest))
		}
	}
	return string(a.flush(out))
}

func TestBytesBecomeTextAsTheEncodingStandardSays(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain", "plain"},
		{"h\u00e9 \u20ac \U0001F469\u200D\U0001F680", "h\u00e9 \u20ac \U0001F469\u200D\U0001F680"},
		{"a\x80b", "a\uFFFDb"},
		{"\xC0\xAF", "\uFFFD\uFFFD"},
		{"\xE2\x82", "\uFFFD"},
		{"\xE2\x82A", "\uFFFDA"},
		{"\xE2\x82\xE2\x82\xAC", "\uFFFD\u20ac"},
		{"\xF0\x9F\x98", "\uFFFD"},
		{"\xF0\x9F\x98\xC3\xA9", "\uFFFD\u00e9"},
		{"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},           // a surrogate
		{"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"}, // above U+10FFFF
		{"\xF0\x80\x80\x41", "\uFFFD\uFFFD\uFFFDA"},      // overlong
		{"\xEF\xBF\xBD", "\uFFFD"},                       // U+FFFD itself
		{"\x00\xF5\xFF\xFE", "\x00\uFFFD\uFFFD\uFFFD"},   // never in UTF-8
		{"\u00e4\xF1\x80\x80\xE1\x80\xC2\x62", "\u00e4\uFFFD\uFFFD\uFFFDb"},
	} {
		if got := decode([]byte(tt.in)); got != tt.want {
			t.Errorf("reference: %+q is %+q, want %+q", tt.in, got, tt.want)
		}
		for seed := range uint64(20) {
			got := assemble(t, []byte(tt.in), rand.New(rand.NewPCG(seed, 1)))
			if got != tt.want {
				t.Errorf("%+q is %+q, want %+q", tt.in, got, tt.want)
			}
		}
	}
}

func TestIncompleteSequenceWaitsForItsRest(t *testing.T) {
	var a assembler
	text := "\U0001F600"
	for i := range 3 {
		if got := a.write(nil, []byte(text[i:i+1])); len(got) != 0 {
			t.Fatalf("byte %d wrote %q", i, got)
		}
	}
	if got := string(a.write(nil, []byte(text[3:]))); got != text {
		t.Errorf("got %q, want %q", got, text)
	}
}

func FuzzTextIsTheSameForAnyPieces(f *testing.F) {
	f.Add([]byte("h\u00e9llo \U0001F600"), uint64(1))
	f.Add([]byte("\xF0\x9F\x98\xE2\x82\x41\xED\xA0\x80\xC0"), uint64(2))
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) {
		got := assemble(t, p, rand.New(rand.NewPCG(seed, 0)))
		if want := decode(p); got != want {
			t.Errorf("% x is %+q, want %+q", p, got, want)
		}
	})
}
