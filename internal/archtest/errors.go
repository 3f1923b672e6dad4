package archtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	errorKind = regexp.MustCompile(`(?m)^\s*(Err\w+)\s*= errors\.New\("([^"]+)"\)`)
	errorRow  = regexp.MustCompile("(?m)^\\| `(Err\\w+)` \\| ")
)

// CheckErrors compares the kinds of error of the root package with docs/errors.md.
func CheckErrors(files []File) []Problem {
	const source, table = "errors.go", "docs/errors.md"
	code, _ := find(files, source)
	text, _ := find(files, table)
	var problems []Problem
	var kinds []string
	for _, m := range errorKind.FindAllStringSubmatch(code, -1) {
		kinds = append(kinds, m[1])
		if !strings.Contains(text, fmt.Sprintf("\n| `%s` | %s |", m[1], m[2])) &&
			!strings.HasPrefix(text, fmt.Sprintf("| `%s` | %s |", m[1], m[2])) {
			problems = append(problems, Problem{table, 0,
				fmt.Sprintf("has no row for %s with the text %q", m[1], m[2])})
		}
	}
	for _, m := range errorRow.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(kinds, m[1]) {
			problems = append(problems, Problem{table, 0,
				fmt.Sprintf("has a row for %s, which %s does not have", m[1], source)})
		}
	}
	return problems
}
