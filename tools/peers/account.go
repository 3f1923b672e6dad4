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
// colon and the reason. Lines that begin with # are remarks.
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

// account compares the outcomes with the list. A group whose subtests are listed needs no line of
// its own.
func account(outcomes []outcome, reasons map[string]string) report {
	r := report{reasons: map[string]string{}}
	for _, o := range outcomes {
		reason, listed := reasons[o.name]
		switch {
		case o.result == "SKIP":
			r.skipped++
		case o.result == "PASS":
			r.passed++
			if listed {
				r.stale = append(r.stale, o.name)
			}
		case listed:
			r.explained++
			r.reasons[o.name] = reason
		case hasListedChild(o.name, reasons):
			r.explained++
		default:
			r.unexplained = append(r.unexplained, o.name)
		}
	}
	return r
}

func hasListedChild(name string, reasons map[string]string) bool {
	for listed := range maps.Keys(reasons) {
		if strings.HasPrefix(listed, name+"/") {
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
