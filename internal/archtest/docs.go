package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// typed matches what stands before a command that the reader is to type: a line's beginning with or
// without a prompt, a backquote, or the end of another command.
const typed = "(?:^\\s*(?:\\$ )?|`|[;&|(] *)"

var (
	makeTarget = regexp.MustCompile(`(?m)^([a-z][\w-]*):(?:[^=]|$)`)
	makeUse    = regexp.MustCompile(typed + `make((?: [a-z][\w-]*| [A-Z_]+=\S+)+)`)
	commandUse = regexp.MustCompile(typed + `(?:bin/)?mullama ([a-z][\w-]*)`)
	mdLink     = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
)

// CheckDocuments compares what the documents tell a reader to type or open with what exists.
func CheckDocuments(files []File) []Problem {
	makefile, _ := find(files, "Makefile")
	targets := makeTargets(makefile)
	commands := commandNames(files)
	var problems []Problem
	for _, f := range files {
		if path.Ext(f.Path) != ".md" {
			continue
		}
		for i, line := range strings.Split(f.Text, "\n") {
			for _, text := range judgeDocLine(line, targets, commands) {
				problems = append(problems, Problem{f.Path, i + 1, text})
			}
			for _, link := range brokenLinks(f.Path, line, files) {
				problems = append(problems, Problem{f.Path, i + 1,
					fmt.Sprintf("the link to %s leads nowhere", link)})
			}
		}
	}
	return problems
}

func judgeDocLine(line string, targets, commands []string) []string {
	var problems []string
	for _, m := range makeUse.FindAllStringSubmatch(line, -1) {
		for word := range strings.FieldsSeq(m[1]) {
			if !strings.Contains(word, "=") && !slices.Contains(targets, word) {
				problems = append(problems, fmt.Sprintf("the Makefile has no target %s", word))
			}
		}
	}
	for _, m := range commandUse.FindAllStringSubmatch(line, -1) {
		if !slices.Contains(commands, m[1]) {
			problems = append(problems, fmt.Sprintf("mullama has no command %s", m[1]))
		}
	}
	return problems
}

func makeTargets(makefile string) []string {
	var targets []string
	for _, m := range makeTarget.FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, m[1])
	}
	return targets
}

// commandNames returns the first words of the Use fields of the cobra commands in internal/cli and
// bench, and the names that cobra adds.
func commandNames(files []File) []string {
	names := []string{"help", "completion"}
	for _, f := range files {
		inCLI := strings.HasPrefix(f.Path, "internal/cli/") || strings.HasPrefix(f.Path, "bench/")
		if inCLI && f.IsGo() && !f.IsTest() {
			names = append(names, useFields(f)...)
		}
	}
	return names
}

func useFields(f File) []string {
	syntax, err := parser.ParseFile(token.NewFileSet(), f.Path, f.Text, parser.SkipObjectResolution)
	if err != nil {
		return nil // other checks say so
	}
	var names []string
	ast.Inspect(syntax, func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		key, isIdent := pair.Key.(*ast.Ident)
		value, isLit := pair.Value.(*ast.BasicLit)
		if isIdent && isLit && key.Name == "Use" && value.Kind == token.STRING {
			if text, err := strconv.Unquote(value.Value); err == nil {
				name, _, _ := strings.Cut(text, " ")
				names = append(names, name)
			}
		}
		return true
	})
	return names
}

// brokenLinks returns the relative links in a line that lead to no file or folder.
func brokenLinks(file, line string, files []File) []string {
	var broken []string
	for _, m := range mdLink.FindAllStringSubmatch(line, -1) {
		if strings.Contains(m[1], ":") {
			continue // another site, or mail
		}
		if !exists(files, path.Join(path.Dir(file), m[1])) {
			broken = append(broken, m[1])
		}
	}
	return broken
}

func exists(files []File, name string) bool {
	return slices.ContainsFunc(files, func(f File) bool {
		return f.Path == name || strings.HasPrefix(f.Path, name+"/")
	})
}
