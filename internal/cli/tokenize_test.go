package cli

import (
	"context"
	"testing"
)

func TestTokenize(t *testing.T) {
	for _, tt := range []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"ids and pieces", "", []string{"a", "\n"},
			"     97  \"a\"\n     32  \" \"\n     10  \"\\n\"\n"},
		{"stdin to the byte", "é\n", nil,
			"    195  \"\\xc3\"\n    169  \"\\xa9\"\n     10  \"\\n\"\n"},
		{"ids", "", []string{"--ids", "ab"}, "97 98\n"},
		{"count", "", []string{"--count", "abc"}, "3\n"},
		{"special", "", []string{"--special", "a"}, "    256  \"<s>\"\n     97  \"a\"\n"},
		{"JSON", "", []string{"--json", "a"},
			`{"count":1,"tokens":[{"id":97,"piece":"a","bytes":[97]}]}` + "\n"},
		{"nothing", "", []string{""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(newFake(), tt.stdin, append([]string{"tokenize", "m.gguf"}, tt.args...)...)
			if got != (outcome{0, tt.want, ""}) {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
		})
	}
	if got := run(
		newFake(),
		"",
		"tokenize",
		"m.gguf",
		"--ids",
		"--count",
		"a",
	); got.code != exitUsage {
		t.Errorf("two forms: %+v", got)
	}
}

func TestTokenizeOnATerminalNeedsAText(t *testing.T) {
	a, _, errOut := testApp(newFake(), "")
	a.stdinIsTerminal = true
	if code := a.execute(context.Background(), []string{"tokenize", "m.gguf"}); code != exitUsage {
		t.Errorf("code %d, err %q", code, errOut)
	}
}

func TestDetokenizeGivesBackWhatTokenizePrinted(t *testing.T) {
	text := "é a\x00b"
	ids := run(newFake(), text, "tokenize", "m.gguf", "--ids").out
	if got := run(newFake(), ids, "detokenize", "m.gguf"); got != (outcome{0, text, ""}) {
		t.Errorf("got %+v, want %q", got, text)
	}
	if got := run(newFake(), "", "detokenize", "m.gguf", "97,98", "99", "--json"); got.out !=
		`{"bytes":[97,98,99],"text":"abc"}`+"\n" {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{"x", "1.5", "99999999999", "257"} {
		if got := run(newFake(), "", "detokenize", "m.gguf", bad); got.code != exitUsage {
			t.Errorf("%s: %+v", bad, got)
		}
	}
}
