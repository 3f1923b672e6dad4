package archtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/archtest"
)

const ours = "github.com/mullama/mullama"

// goFile makes a file whose package imports the given paths.
func goFile(path string, imports ...string) archtest.File {
	text := "// Package x is an example.\npackage x\n"
	for _, name := range imports {
		text += fmt.Sprintf("import %q\n", name)
	}
	return archtest.File{Path: path, Text: text}
}

// expect compares problems with the texts that they must contain, in order.
func expect(t *testing.T, problems []archtest.Problem, want ...string) {
	t.Helper()
	if len(problems) != len(want) {
		t.Fatalf("got %d problems, want %d: %v", len(problems), len(want), problems)
	}
	for i, text := range want {
		if got := problems[i].String(); !strings.Contains(got, text) {
			t.Errorf("problem %d = %q, want it to contain %q", i, got, text)
		}
	}
}

func TestImportTableIsEnforced(t *testing.T) {
	for _, tt := range []struct {
		name string
		file archtest.File
		want []string
	}{
		{"allowed", goFile("internal/maxsim/a.go", ours+"/internal/llama", "fmt"), nil},
		{"forbidden", goFile("internal/gguf/a.go", ours+"/internal/llama"),
			[]string{"may not import internal/llama; its row in the import table has none"}},
		{"root is a package too", goFile("mullama.go", ours+"/internal/cli"),
			[]string{"mullama may not import internal/cli"}},
		{"engine below root", goFile("internal/engine/a.go", ours),
			[]string{"may not import mullama"}},
		{"unknown package", goFile("internal/novel/a.go"), []string{"add one to"}},
		{"folder rule", goFile("examples/go/hello/main.go", ours), nil},
		{"test helper in a test", goFile("internal/gguf/a_test.go", ours+"/internal/synth"), nil},
		{"test helper elsewhere", goFile("internal/gguf/a.go", ours+"/internal/synth"),
			[]string{"may not import internal/synth"}},
		{"own package in its test", goFile("internal/gguf/a_test.go", ours+"/internal/gguf"), nil},
		{"cgo where it belongs", goFile("internal/llama/a.go", "C"), nil},
		{"cgo elsewhere", goFile("internal/engine/a.go", "C"), []string{`import "C" belongs in`}},
		{"broken file", archtest.File{Path: "internal/gguf/a.go", Text: "pack"},
			[]string{"does not parse"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, archtest.CheckImports([]archtest.File{tt.file}), tt.want...)
		})
	}
}

func TestOnlyOneFileOfEngineImportsLlama(t *testing.T) {
	expect(t, archtest.CheckImports([]archtest.File{
		goFile("internal/engine/real.go", ours+"/internal/llama"),
		goFile("internal/engine/engine.go", ours+"/internal/llama"),
		goFile("internal/engine/real_test.go", ours+"/internal/llama"),
	}), "internal/engine/engine.go: only one file")
}

func TestEveryPackageNeedsAComment(t *testing.T) {
	expect(t, archtest.CheckPackageComments([]archtest.File{
		{Path: "internal/gguf/doc.go", Text: "// Package gguf reads.\npackage gguf\n"},
		{Path: "internal/gguf/read.go", Text: "package gguf\n"},
		{Path: "internal/store/store_test.go", Text: "// Package store.\npackage store\n"},
		{Path: "internal/store/store.go", Text: "package store\n"},
	}), "package internal/store has no package comment")
}
