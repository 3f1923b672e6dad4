package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"unicode/utf8"
)

// CheckLines limits the length of lines and files of Go, C and C++.
func CheckLines(files []File) []Problem {
	var problems []Problem
	for _, f := range files {
		if !f.IsGo() && !f.IsC() {
			continue
		}
		lines := strings.Split(strings.TrimSuffix(f.Text, "\n"), "\n")
		if len(lines) > maxFileLines {
			problems = append(problems, Problem{f.Path, 0, fmt.Sprintf(
				"%d lines, at most %d; split it by subject", len(lines), maxFileLines)})
		}
		for i, line := range lines {
			if n := columns(line); n > maxColumns && !hasURL(line) {
				problems = append(problems, Problem{f.Path, i + 1, fmt.Sprintf(
					"%d columns, at most %d", n, maxColumns)})
			}
		}
	}
	return problems
}

func columns(line string) int {
	return utf8.RuneCountInString(line) + (tabWidth-1)*strings.Count(line, "\t")
}

func hasURL(line string) bool {
	return strings.Contains(line, "https://") || strings.Contains(line, "http://")
}

// CheckFunctions limits the length of functions, from the line of their name to the closing brace.
func CheckFunctions(files []File) []Problem {
	var problems []Problem
	for _, f := range files {
		switch {
		case f.IsGo():
			problems = append(problems, goFunctions(f)...)
		case f.IsC():
			problems = append(problems, cFunctions(f)...)
		}
	}
	return problems
}

func goFunctions(f File) []Problem {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, f.Path, f.Text, parser.SkipObjectResolution)
	if err != nil {
		return []Problem{{f.Path, 0, fmt.Sprintf("does not parse: %v", err)}}
	}
	var problems []Problem
	for _, decl := range syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			start := fset.Position(fn.Pos()).Line
			length := fset.Position(fn.End()).Line - start + 1
			problems = append(problems, judgeFunction(f, start, length, fn.Name.Name)...)
		}
	}
	return problems
}

func judgeFunction(f File, start, length int, name string) []Problem {
	limit := maxFunction
	if f.IsTest() {
		limit = maxTestFunction
	}
	if length <= limit {
		return nil
	}
	return []Problem{{f.Path, start, fmt.Sprintf(
		"function %s has %d lines, at most %d; split it by step", name, length, limit)}}
}

var (
	// cBody is the line at which the body of a function begins, in the layout of .clang-format: the
	// last line of its head, unindented or a continuation of an unindented line.
	cBody = regexp.MustCompile(`\)\s*(const|noexcept|override|->\s*[\w:<>*& ]+|\s)*\{$`)
	cHead = regexp.MustCompile(`^[A-Za-z_~].*?([\w:~]+)\s*\(`)
)

// cFunctions measures the functions of a C or C++ file by its layout, without parsing it: a head
// that starts in the first column, a body up to the next closing brace in the first column.
func cFunctions(f File) []Problem {
	var problems []Problem
	var name string
	start, inside := 0, false
	for i, line := range strings.Split(f.Text, "\n") {
		if m := cHead.FindStringSubmatch(line); m != nil && !inside {
			name, start = m[1], i
		}
		if name != "" && !inside && cBody.MatchString(line) {
			inside = true
		}
		if strings.HasPrefix(line, "}") {
			if inside {
				problems = append(problems, judgeFunction(f, start+1, i-start+1, name)...)
			}
			name, inside = "", false
		}
		if !inside && strings.HasSuffix(line, ";") {
			name = "" // a declaration
		}
	}
	return problems
}
