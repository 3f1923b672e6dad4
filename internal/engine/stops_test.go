package engine

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// firstStop is the rule said plainly: the text before the stop string that is complete first, the
// longest where several are. It returns all of text and "" if there is none.
func firstStop(text string, stop []string) (before, found string) {
	for end := range len(text) + 1 {
		for _, s := range stop {
			if s != "" && strings.HasSuffix(text[:end], s) && len(s) > len(found) {
				found = s
			}
		}
		if found != "" {
			return text[:end-len(found)], found
		}
	}
	return text, ""
}

// mayStart is the length of the longest end of text that a stop string starts with.
func mayStart(text string, stop []string) int {
	for n := len(text); n > 0; n-- {
		for _, s := range stop {
			if n < len(s) && strings.HasPrefix(s, text[len(text)-n:]) {
				return n
			}
		}
	}
	return 0
}

func TestFirstCompleteStopWins(t *testing.T) {
	for _, tt := range []struct {
		text         string
		stop         []string
		before, want string
	}{
		{"one two", []string{"two"}, "one ", "two"},
		{"one two", nil, "one two", ""},
		{"one two", []string{""}, "one two", ""},
		{"aab", []string{"ab"}, "a", "ab"},
		{"aaab", []string{"aab"}, "a", "aab"},
		{"xabcd", []string{"abcd", "bc"}, "xa", "bc"},
		{"xabc", []string{"bc", "abc"}, "x", "abc"},
		{"xabc", []string{"ab", "abc"}, "x", "ab"},
		{"abababc", []string{"ababc"}, "ab", "ababc"},
		{"a\u00e9b", []string{"\u00e9"}, "a", "\u00e9"},
		{"<<<end>", []string{"<end>"}, "<<", "<end>"},
	} {
		before, found := firstStop(tt.text, tt.stop)
		if before != tt.before || found != tt.want {
			t.Errorf("reference: %q at %q is %q, %q", tt.text, tt.stop, before, found)
		}
		for seed := range uint64(10) {
			text, found := scanAll(t, tt.text, tt.stop, rand.New(rand.NewPCG(seed, 1)))
			if text != tt.before || found != tt.want {
				t.Errorf("%q at %q is %q, %q; want %q, %q", tt.text, tt.stop, text, found,
					tt.before, tt.want)
			}
		}
	}
}

// scanAll scans text in pieces and checks that just what may start a stop string is held.
func scanAll(t *testing.T, text string, stop []string, cuts *rand.Rand) (before, found string) {
	t.Helper()
	all := newStops(stop)
	seen := 0
	for seen < len(text) {
		n := 1 + cuts.IntN(min(5, len(text)-seen))
		found, end := all.scan([]byte(text[seen : seen+n]))
		seen += end
		if found != "" {
			return text[:seen-len(found)], found
		}
		if got, want := all.held(), mayStart(text[:seen], stop); got != want {
			t.Fatalf("after %q %d bytes are held for %q, want %d", text[:seen], got, stop, want)
		}
	}
	return text, ""
}

func FuzzStopStrings(f *testing.F) {
	f.Add("hello <|im_end|> more", "<|im_end|>\n<|\n", uint64(1))
	f.Add("aabaabaaab", "aabaaab\naaa\nbaab", uint64(7))
	f.Add("\xF0\x9F\x98\x80\x80", "\x98\n\u00e9", uint64(3))
	f.Fuzz(func(t *testing.T, text, stop string, seed uint64) {
		if len(text) > 2000 || len(stop) > 200 {
			t.Skip("the plain rule is slow")
		}
		list := strings.Split(stop, "\n")
		before, found := firstStop(text, list)
		gotBefore, got := scanAll(t, text, list, rand.New(rand.NewPCG(seed, 0)))
		if gotBefore != before || got != found {
			t.Errorf("%q at %q is %q, %q; want %q, %q", text, list, gotBefore, got, before, found)
		}
	})
}

func TestRandomTextsOfFewLettersStopAsTheRuleSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, r.IntN(n+1))
		for i := range b {
			b[i] = "abc"[r.IntN(3)]
		}
		return string(b)
	}
	for range 20000 {
		text, stop := word(40), []string{word(5), word(8), word(3)}
		before, found := firstStop(text, stop)
		if b, s := scanAll(t, text, stop, r); b != before || s != found {
			t.Fatalf("%q at %q is %q, %q; want %q, %q", text, stop, b, s, before, found)
		}
	}
}
