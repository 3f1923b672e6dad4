package archtest_test

import (
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/archtest"
)

func TestLongLinesAreFound(t *testing.T) {
	line := func(n int) string { return "// " + strings.Repeat("é", n-3) + "\n" }
	expect(t, archtest.CheckLines([]archtest.File{
		{Path: "a.go", Text: line(100)},
		{Path: "b.go", Text: "\n" + line(101)},
		{Path: "c.go", Text: "\t" + line(97)},
		{Path: "d.go", Text: line(90) + "// https://example.com/" + strings.Repeat("x", 100) + "\n"},
		{Path: "e.cpp", Text: line(101)},
		{Path: "f.md", Text: line(200)},
	}), "b.go:2: 101 columns", "c.go:1: 101 columns", "e.cpp:1: 101 columns")
}

func TestLongFilesAreFound(t *testing.T) {
	expect(t, archtest.CheckLines([]archtest.File{
		{Path: "a.go", Text: strings.Repeat("\n", 600)},
		{Path: "b.go", Text: strings.Repeat("\n", 601)},
	}), "b.go: 601 lines")
}

func goFunc(lines int) string {
	return "package x\n\nfunc f() {\n" + strings.Repeat("\tg()\n", lines-2) + "}\n"
}

func TestLongGoFunctionsAreFound(t *testing.T) {
	expect(t, archtest.CheckFunctions([]archtest.File{
		{Path: "a.go", Text: goFunc(70)},
		{Path: "b.go", Text: goFunc(71)},
		{Path: "a_test.go", Text: goFunc(100)},
		{Path: "b_test.go", Text: goFunc(101)},
	}), "b.go:3: function f has 71 lines", "b_test.go:3: function f has 101 lines")
}

func TestLongCFunctionsAreFound(t *testing.T) {
	body := func(lines int) string { return strings.Repeat("    g();\n", lines) }
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"short", "static int f(int a) {\n" + body(68) + "}\n", nil},
		{"long", "static int f(int a) {\n" + body(69) + "}\n",
			[]string{"a.cpp:1: function f has 71"}},
		{"head over two lines", "mn_status load(const char *path,\n               int n) {\n" +
			body(68) + "}\n", []string{"a.cpp:1: function load has 71"}},
		{"method", "int Table::f() const {\n" + body(69) + "}\n", []string{"function Table::f"}},
		{"after a declaration", "int g(int);\nstruct s {\n" + body(80) +
			"};\nint f() {\n" + body(3) + "}\n", nil},
		{"namespace", "namespace {\nint f() {\n" + body(5) + "}\n" + body(90) +
			"} // namespace\n", nil},
		{"table", "const mn_table table = {\n" + body(90) + "};\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := []archtest.File{{Path: "a.cpp", Text: tt.text}}
			expect(t, archtest.CheckFunctions(files), tt.want...)
		})
	}
}

func TestForbiddenWordsAreFound(t *testing.T) {
	for _, tt := range []struct {
		text string
		bad  bool
	}{
		{"// TO" + "DO: later", true},
		{"# FIX" + "ME", true},
		{"todos los dias", false},
		{"cd /ro" + "ot/.cache", true},
		{"-I/wo" + "rk/main", false}, // a flag's letter before it; the next has none
		{"see \"/wo" + "rk/main\"", true},
		{"https://example.com/wo" + "rk/x", false},
		{"the folder wo" + "rk/x", false},
		{"from https://py" + "pi.org/simple", true},
		{"the Go proxy", false},
	} {
		problems := archtest.CheckWords([]archtest.File{{Path: "a.md", Text: tt.text}})
		if got := len(problems) > 0; got != tt.bad {
			t.Errorf("%q: found = %v, want %v", tt.text, got, tt.bad)
		}
	}
	lock := []archtest.File{{Path: "native/Cargo.lock", Text: "https://static.crat" + "es.io"}}
	expect(t, archtest.CheckWords(lock))
}
