package archtest_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/archtest"
)

func TestDocumentsMayOnlyNameWhatExists(t *testing.T) {
	makefile := archtest.File{Path: "Makefile",
		Text: "X := 1\ndemo: native ## d\n\techo\nnative:\n"}
	cli := archtest.File{Path: "internal/cli/run.go",
		Text: "package cli\nvar c = cobra.Command{Use: \"run FILE\"}\n"}
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"Run `make demo`.", nil},
		{"    $ make demo native", nil},
		{"Run `make X=1 demo`.", nil},
		{"Run `make deploy`.", []string{"no target deploy"}},
		{"To make sense of it, make things up.", nil},
		{"`mullama run x` and `bin/mullama help`", nil},
		{"$ bin/mullama serve", []string{"no command serve"}},
		{"the mullama daemon", nil},
		{"see [the map](Makefile), [web](https://example.com/x), [cli](internal/cli#top)", nil},
		{"see [gone](docs/gone.md)", []string{"leads nowhere"}},
	} {
		doc := archtest.File{Path: "README.md", Text: tt.text}
		problems := archtest.CheckDocuments([]archtest.File{makefile, cli, doc})
		t.Run(tt.text, func(t *testing.T) { expect(t, problems, tt.want...) })
	}
}

func TestExamplesAreReadFromConsoleBlocks(t *testing.T) {
	const text = "```console\n$ a \\\n    b\nout 1\nout 2\n$ c\n```\ntext\n```sh\n$ d\n```\n" +
		"```console\n$ e <<END\n$in\nEND\nout\n```\n"
	want := []archtest.Example{
		{Line: 2, Command: "a b", Output: []string{"out 1", "out 2"}},
		{Line: 6, Command: "c"},
		{Line: 13, Command: "e <<END\n$in\nEND", Output: []string{"out"}},
	}
	if got := archtest.Examples(text); !reflect.DeepEqual(got, want) {
		t.Errorf("Examples = %+v, want %+v", got, want)
	}
}

func TestMatchOutput(t *testing.T) {
	for _, tt := range []struct {
		shown, printed string
		ok             bool
	}{
		{"a\nb", "a\nb\n", true},
		{"a\nb", "a  \nb", true},
		{"a\nb", "a\nc\n", false},
		{"a", "a\nb\n", false},
		{"a\n...\nd", "a\nb\nc\nd\n", true},
		{"a\n...\nd", "a\nd\n", true},
		{"took ... s", "took 1.5 s\n", true},
		{"took ... s", "took 1.5 min\n", false},
		{"(x)", "(x)\n", true},
	} {
		err := archtest.MatchOutput(strings.Split(tt.shown, "\n"), tt.printed)
		if (err == nil) != tt.ok {
			t.Errorf("MatchOutput(%q, %q) = %v", tt.shown, tt.printed, err)
		}
	}
}

// TestGoSnippetsOfTheReadmeAreCompiled holds every Go block of README.md against the example
// programs, which `go build ./...` compiles.
func TestGoSnippetsOfTheReadmeAreCompiled(t *testing.T) {
	files := repoFiles(t)
	programs := textOf(t, files, "examples/go/hello/main.go") +
		textOf(t, files, "examples/go/either/main.go")
	snippets := 0
	for _, block := range archtest.Blocks(textOf(t, files, "README.md")) {
		if block.Kind != "go" {
			continue
		}
		snippets++
		if !strings.Contains(programs, block.Text) {
			t.Errorf("README.md:%d: the Go block is in no program of examples/go", block.Line)
		}
	}
	if snippets == 0 {
		t.Error("README.md shows no Go")
	}
}

func textOf(t *testing.T, files []archtest.File, name string) string {
	t.Helper()
	for _, f := range files {
		if f.Path == name {
			return f.Text
		}
	}
	t.Fatalf("%s is missing", name)
	return ""
}

func TestOnlyDotsThatNobodyPrintedShortenAnOutput(t *testing.T) {
	const help = "Usage:\n  mullama run MODEL [PROMPT...]\n\nNew line.\n"
	for _, tt := range []struct {
		shown string
		want  bool
	}{
		{"Usage:\n  mullama run MODEL [PROMPT...]\n\nOld line.", false},
		{"Usage:\n...", true},
		{"Usage:\n  mullama run ...", true},
		{"Nothing of it", false},
	} {
		if got := archtest.Shortened(strings.Split(tt.shown, "\n"), help); got != tt.want {
			t.Errorf("%q is shortened: %v, want %v", tt.shown, got, tt.want)
		}
	}
}

func TestReplaceOutputChangesOnlyOneExample(t *testing.T) {
	const text = "x\n```console\n$ a \\\n  b\nold\n$ c\nkept\n```\ny\n"
	const want = "x\n```console\n$ a \\\n  b\nnew 1\nnew 2\n$ c\nkept\n```\ny\n"
	got := archtest.ReplaceOutput(text, archtest.Examples(text)[0], "new 1  \nnew 2\n\n")
	if got != want {
		t.Errorf("ReplaceOutput = %q, want %q", got, want)
	}
	const input = "```console\n$ e <<END\nin\nEND\n"
	const old = input + "old\n```\n"
	got = archtest.ReplaceOutput(old, archtest.Examples(old)[0], "new\n")
	if got != input+"new\n```\n" {
		t.Errorf("ReplaceOutput after input = %q", got)
	}
}
