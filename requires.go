package mullama

import (
	"fmt"
	"strconv"
	"strings"
)

// ollamaVersion is the version of Ollama whose models we run: REQUIRES of a Modelfile names the
// least one that a model needs.
const ollamaVersion = "0.32.15"

// tooNew says that a model needs a newer version, or "".
func tooNew(requires string) string {
	if !newer(requires, ollamaVersion) {
		return ""
	}
	return fmt.Sprintf("it requires Ollama %s, and this version of Mullama runs models of "+
		"Ollama %s", requires, ollamaVersion)
}

// newer compares the numbers of versions.
func newer(a, b string) bool {
	x, y := numbers(a), numbers(b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] > y[i]
		}
	}
	return false
}

func numbers(version string) (all [3]int) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	version, _, _ = strings.Cut(version, "+")
	for i, part := range strings.SplitN(version, ".", len(all)) {
		all[i], _ = strconv.Atoi(part) // what is no number counts as 0
	}
	return all
}
