package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// outcome is what became of one foreign test.
type outcome struct {
	name   string
	result string // "PASS", "FAIL" or "SKIP"
}

// readReasons reads the list of tests that are known not to pass: per line the name of a test, a
// colon and the reason. A name that ends in * stands for all that begin so, and one after a ? for
// a test that passes at times. Lines that begin with # are remarks.
func readReasons(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reasons := map[string]string{}
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, ": ")
		if !ok || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s:%d: want the name of a test, a colon and a reason", path, n)
		}
		reasons[name] = strings.TrimSpace(reason)
	}
	return reasons, lines.Err()
}

// report is the account of a run.
type report struct {
	passed, skipped, explained int
	unexplained                []string // failed without a reason in the list
	stale                      []string // in the list, but they pass
	reasons                    map[string]string
}

// sometimes marks a test that passes at times.
const sometimes = "? "

// listed finds the line for a test: its own, or else the longest that stands for it.
func listed(name string, reasons map[string]string) (line string, ok bool) {
	for _, line := range []string{name, sometimes + name} {
		if _, ok := reasons[line]; ok {
			return line, true
		}
	}
	for l := range reasons {
		if stem, many := strings.CutSuffix(l, "*"); many && strings.HasPrefix(name, stem) &&
			len(l) > len(line) {
			line = l
		}
	}
	return line, line != ""
}

// account compares the outcomes with the list. A group whose subtests are listed needs no line of
// its own. A line is stale when a test passes and none fails for which it stands.
func account(outcomes []outcome, reasons map[string]string) report {
	r := report{reasons: map[string]string{}}
	passing := map[string]bool{} // lines
	for _, o := range outcomes {
		line, known := listed(o.name, reasons)
		switch {
		case o.result == "SKIP":
			r.skipped++
		case o.result == "PASS":
			r.passed++
			if known && !strings.HasPrefix(line, sometimes) {
				passing[line] = true
			}
		case known:
			r.explained++
			r.reasons[line] = reasons[line]
		case hasListedChild(o.name, reasons):
			r.explained++
		default:
			r.unexplained = append(r.unexplained, o.name)
		}
	}
	for line := range passing {
		if _, fails := r.reasons[line]; !fails {
			r.stale = append(r.stale, line)
		}
	}
	slices.Sort(r.stale)
	return r
}

func hasListedChild(name string, reasons map[string]string) bool {
	for line := range reasons {
		if strings.HasPrefix(line, name+"/") {
			return true
		}
	}
	return false
}

func (r *report) print(w io.Writer, suite string) {
	all := r.passed + r.skipped + r.explained + len(r.unexplained)
	fmt.Fprintf(w, "%s: %d tests, %d passed, %d skipped by themselves, %d do not pass for a known "+
		"reason, %d fail\n", suite, all, r.passed, r.skipped, r.explained, len(r.unexplained))
	for _, name := range slices.Sorted(maps.Keys(r.reasons)) {
		fmt.Fprintf(w, "  known: %s: %s\n", name, r.reasons[name])
	}
	for _, name := range r.unexplained {
		fmt.Fprintf(w, "  FAIL:  %s\n", name)
	}
	for _, name := range r.stale {
		fmt.Fprintf(w, "  passes now, take it off the list: %s\n", name)
	}
}
