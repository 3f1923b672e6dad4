package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// nopCloser makes a buffer a WriteCloser.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func TestPasteFilter(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reads []string
		want  string
	}{
		{"keys pass", []string{"a\r\x03\x1b[A"}, "a\r\x03\x1b[A"},
		{"a paste is one line", []string{"x\x1b[200~a\r\nb\nc\rd\te\x1b[201~y\r"}, "xa␤b␤c␤d␉ey\r"},
		{"control characters of a paste do nothing",
			[]string{"\x1b[200~a\x03\x04\x1b[Ab\x7f\x1b[201~"}, "a[Ab"},
		{"marks cut in two", []string{"\x1b[20", "0~a\x1b[2", "01~\r"}, "a\r"},
		{"a line end cut in two", []string{"\x1b[200~a\r", "\nb\x1b[201~"}, "a␤b"},
		{"a line end before the mark", []string{"\x1b[200~a\r", "\x1b[201~b"}, "a␤b"},
		{"Escape alone passes at once", []string{"\x1b"}, "\x1b"},
		{"Insert passes", []string{"\x1b[2~"}, "\x1b[2~"},
		{"two pastes", []string{"\x1b[200~a\n\x1b[201~\x1b[200~b\n\x1b[201~\r"}, "a␤b␤\r"},
		{"a letter cut in two", []string{"\xc3", "\xa9\x1b[200~\xc3", "\xa9\x1b[201~"}, "éé"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got bytes.Buffer
			var f pasteFilter
			for _, read := range tt.reads {
				got.Write(f.filter([]byte(read), false))
			}
			if got.String() != tt.want {
				t.Errorf("got %q, want %q", got.String(), tt.want)
			}
		})
	}
}

func TestPasteFilterCopiesUntilTheEnd(t *testing.T) {
	var got bytes.Buffer
	new(pasteFilter).copyTo(nopCloser{&got}, strings.NewReader("a\x1b[200~b\n\x1b[201~\r"))
	if got.String() != "ab␤\r" {
		t.Errorf("got %q", got.String())
	}
}

func FuzzPasteFilter(f *testing.F) {
	f.Add("\x1b[200~a\r\nb\x1b[201~", 3)
	f.Add("a\x1b[2", 1)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		if cut < 0 || cut > len(text) {
			return
		}
		var whole, parts pasteFilter
		want := whole.filter([]byte(text), true)
		got := parts.filter([]byte(text[:cut]), true)
		got = append(got, parts.filter([]byte(text[cut:]), true)...)
		if whole.pasting != parts.pasting || string(got) != string(want) {
			t.Errorf("%q cut at %d gives %q, want %q", text, cut, got, want)
		}
	})
}
