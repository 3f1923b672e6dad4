package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/testregistry"
)

// compareCommands has both command lines ask our daemon, and wants them to print the same: tables
// to the cell, parts of a model to the byte, the steps of a pull, and of what we tell of a model at
// least what Ollama tells.
func compareCommands(ctx context.Context, out io.Writer, work, ours, ollama string) error {
	k, err := serveStore(ctx, work, "mullama", "mullama", ours)
	if err != nil {
		return err
	}
	defer func() { _ = end(k.cmd) }()
	load := map[string]any{"model": "plain", "keep_alive": "1h"}
	if err := k.ask(ctx, http.MethodPost, "/api/generate", load, &struct{}{}); err != nil {
		return err
	}
	w := &workshop{}
	defer w.close()
	pulled, err := k.pushed(ctx, w, work)
	if err != nil {
		return err
	}
	for _, c := range []printed{
		{"list", sameCells}, {"ps", sameCells},
		{"show made --parameters", sameText}, {"show made --license", sameText},
		{"show made --system", sameText}, {"show made --template", sameText},
		{"show made --modelfile", sameText},
		{"show made", hasSections}, {"show plain", hasSections},
		{"pull --insecure " + pulled, sameSteps},
	} {
		err := c.compare(ctx, k, work, ours, ollama)
		for try := 1; err != nil && try < 3; try++ { // a second may have passed between the two
			err = c.compare(ctx, k, work, ours, ollama)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "store: %s prints the same as Ollama's\n", c.command)
	}
	if text, err := k.command(ctx, work, "rm", pulled).CombinedOutput(); err != nil {
		return fmt.Errorf("rm: %w: %s", err, text)
	}
	return nil
}

// printed is a command of both, and what of its output is to be the same.
type printed struct {
	command string
	same    func(ours, theirs string) bool
}

func (p *printed) compare(
	ctx context.Context, k *keeper, work string, programs ...string,
) error {
	var texts []string
	for _, program := range programs {
		k.program = program
		text, err := k.command(ctx, work, strings.Fields(p.command)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %s: %w: %s", program, p.command, err, text)
		}
		texts = append(texts, string(text))
	}
	if !p.same(texts[0], texts[1]) {
		return fmt.Errorf("%s prints\n%s\nand Ollama's\n%s", p.command, texts[0], texts[1])
	}
	return nil
}

// pushed sends a model to a registry of the workshop, and returns what to pull.
func (k *keeper) pushed(ctx context.Context, w *workshop, work string) (name string, err error) {
	name = testregistry.New(w).Host() + "/some/made"
	for _, args := range [][]string{{"cp", "made", name}, {"push", "--insecure", name}} {
		if text, err := k.command(ctx, work, args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w: %s", args, err, text)
		}
	}
	return name, nil
}

// sameCells compares tables, but for the space between columns, and for sizes, which differ in how
// exact they are.
func sameCells(ours, theirs string) bool { return reflect.DeepEqual(cells(ours), cells(theirs)) }

func cells(text string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		row := columnGap.Split(strings.TrimSpace(line), -1)
		if len(rows) > 0 && len(row) > 2 {
			row[2] = ""
		}
		rows = append(rows, row)
	}
	return rows
}

var columnGap = regexp.MustCompile(`\s{2,}`)

// sameText compares texts but for the space at their ends.
func sameText(ours, theirs string) bool {
	return strings.TrimSpace(ours) == strings.TrimSpace(theirs)
}

// hasSections reports whether a description has all rows of another, under the same titles.
func hasSections(ours, theirs string) bool {
	has := sections(ours)
	for title, rows := range sections(theirs) {
		for _, row := range rows {
			if !slices.Contains(has[title], row) {
				return false
			}
		}
	}
	return true
}

// sections are the rows by title: the lines that are indented least.
func sections(text string) map[string][]string {
	indent := func(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
	all, title := map[string][]string{}, ""
	least := indent(text)
	for line := range strings.Lines(text) {
		switch row := strings.TrimSpace(line); {
		case row == "":
		case indent(line) == least:
			title = row
		default:
			all[title] = append(all[title], columnGap.ReplaceAllString(row, "  "))
		}
	}
	return all
}

// sameSteps compares the steps of a pull, each told once, without what draws on a terminal.
func sameSteps(ours, theirs string) bool {
	steps := func(text string) []string { return slices.Compact(step.FindAllString(text, -1)) }
	return len(steps(ours)) > 0 && slices.Equal(steps(ours), onceEach(steps(theirs)))
}

// onceEach drops what was there before: a list that is drawn again and again.
func onceEach(texts []string) []string {
	var once []string
	for _, text := range texts {
		if !slices.Contains(once, text) {
			once = append(once, text)
		}
	}
	return once
}

var step = regexp.MustCompile(`pulling manifest|pulling [0-9a-f]{12}|verifying sha256 digest|` +
	`writing manifest|success`)
