package archtest

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// wordRule is something that no file may contain. The patterns are put together from pieces, so
// that this file does not break its own rules.
type wordRule struct {
	pattern *regexp.Regexp
	advice  string
}

var wordRules = []wordRule{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`),
		"finish it or file an issue; unfinished work is not marked in the files"},
	{regexp.MustCompile(`(^|[^\w.-])/(wo` + `rk|ro` + `ot)/`),
		"a path of one machine; compute it, or use the cache folder"},
	{regexp.MustCompile(`(?i)\b(crat` + `es\.io|py` + `pi\.org|pythonho` + `sted\.org|npm` +
		`js\.org|proxy\.gol` + `ang\.org|maven\.org|deb` + `ian\.org)\b`),
		"a registry's host; name the package and its version, and let the client find it"},
}

// CheckWords looks for words and paths that no file may contain, outside lock files.
func CheckWords(files []File) []Problem {
	var problems []Problem
	for _, f := range files {
		if isLock(f.Path) {
			continue
		}
		for i, line := range strings.Split(f.Text, "\n") {
			for _, rule := range wordRules {
				if word := rule.pattern.FindString(line); word != "" {
					problems = append(problems, Problem{f.Path, i + 1,
						fmt.Sprintf("%q: %s", strings.TrimSpace(word), rule.advice)})
				}
			}
		}
	}
	return problems
}

// isLock reports whether a file is written by a package client, addresses and all.
func isLock(file string) bool {
	return slices.Contains([]string{"Cargo.lock", "go.sum", "package-lock.json"}, path.Base(file))
}
