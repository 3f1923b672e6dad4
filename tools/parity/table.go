package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mullama/mullama/conformance/vectors"
)

// row is what the table has a line for: the cases of one group of a run.
type row struct {
	run, group string
	cases      []string // their names, without the run's
}

// runs are the parts of a binding's results, each with the file of vectors that it runs.
var runs = []struct{ name, file string }{
	{"echo", "echo"}, {"smollm2", "smollm2"}, {"minilm", "minilm"}, {"ranker", "ranker"},
	{"daemon", "smollm2"}, {"daemon", "minilm"}, {"daemon", "ranker"},
}

// readRows finds the groups in the files of vectors, in their order.
func readRows(dir string) ([]row, error) {
	var rows []row
	for _, run := range runs {
		file, err := vectors.Read(dir, run.file, "")
		if err != nil {
			return nil, err
		}
		first := len(rows)
		for _, c := range file.Cases {
			if c.Name == "" || c.Group == "" {
				return nil, fmt.Errorf("%s: the case %q has no name or no group",
					vectors.Path(dir, run.file), c.Name)
			}
			i := slices.IndexFunc(rows[first:], func(r row) bool { return r.group == c.Group })
			if i < 0 {
				i = len(rows) - first
				rows = append(rows, row{run: run.name, group: c.Group})
			}
			rows[first+i].cases = append(rows[first+i].cases, c.Name)
		}
	}
	return rows, nil
}

// table has a line for each row and a column for each language, and the reasons of what is skipped.
func table(rows []row, all []vectors.Results) string {
	var b strings.Builder
	b.WriteString("| run | group | cases |")
	for _, r := range all {
		fmt.Fprintf(&b, " %s |", r.Language)
	}
	b.WriteString("\n|---|---|--:|" + strings.Repeat(":-:|", len(all)) + "\n")
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s | %s | %d |", row.run, row.group, len(row.cases))
		for i := range all {
			fmt.Fprintf(&b, " %s |", row.cell(&all[i]))
		}
		b.WriteString("\n")
	}
	counts := func(name string, count func(r *vectors.Results) int) {
		fmt.Fprintf(&b, "| **%s** | | |", name)
		for i := range all {
			fmt.Fprintf(&b, " %d |", count(&all[i]))
		}
		b.WriteString("\n")
	}
	counts("passed", func(r *vectors.Results) int { return r.Passed })
	counts("skipped", func(r *vectors.Results) int { return len(r.Skipped) })
	writeReasons(&b, all)
	return b.String()
}

// cell is what a language did of a row: ✓ for all of it, ✗ if something failed, – if nothing was
// run, and otherwise how many cases passed.
func (r *row) cell(of *vectors.Results) string {
	passed, known := 0, 0
	for _, name := range r.cases {
		switch of.Cases[r.run+"/"+name] {
		case "failed":
			return "✗"
		case "passed":
			passed++
			known++
		case "skipped":
			known++
		}
	}
	switch {
	case known == 0:
		return " "
	case passed == len(r.cases):
		return "✓"
	case passed == 0:
		return "–"
	}
	return fmt.Sprint(passed)
}

// skipped are the cases that are skipped for one reason.
type skipped struct{ runs, languages, cases []string }

// writeReasons lists why cases are skipped, each reason once.
func writeReasons(b *strings.Builder, all []vectors.Results) {
	reasons := map[string]*skipped{}
	for _, r := range all {
		for _, s := range r.Skipped {
			run, name, _ := strings.Cut(s.Name, "/")
			if reasons[s.Reason] == nil {
				reasons[s.Reason] = &skipped{}
			}
			of := reasons[s.Reason]
			of.runs = with(of.runs, run)
			of.languages = with(of.languages, r.Language)
			of.cases = with(of.cases, name)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		of := reasons[reason]
		who := strings.Join(of.languages, ", ")
		if len(of.languages) == len(all) {
			who = "all"
		}
		fmt.Fprintf(b, "\n- %s (%s): %s: %s; %s", strings.Join(of.runs, ", "), who, reason,
			count(len(of.cases)), names(of.cases))
	}
}

// with is a list that has an item, once.
func with(list []string, item string) []string {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

func count(n int) string {
	if n == 1 {
		return "1 case"
	}
	return fmt.Sprintf("%d cases", n)
}

// names quotes a few names.
func names(list []string) string {
	const few = 3
	quoted := make([]string, 0, few)
	for _, name := range list[:min(few, len(list))] {
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	if len(list) > few {
		quoted = append(quoted, "…")
	}
	return strings.Join(quoted, ", ")
}
