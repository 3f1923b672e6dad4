package main

import (
	"regexp"
	"strings"
)

var (
	tableRow = regexp.MustCompile(`^  (\w+)  +(.*)`) // "  ctx_size     tokens that …"
	code     = regexp.MustCompile(`^    `)
)

// rustDoc returns a comment of C as lines of Markdown of at most that width. Rows of tables become
// items of a list; code stays as it is.
func rustDoc(text string, width int) []string {
	d := &docWriter{width: width}
	for line := range strings.Lines(text) {
		d.add(strings.TrimRight(line, "\n"))
	}
	d.endBlock()
	return d.lines
}

// docWriter collects the words of a paragraph or item, or the lines of code, until it ends.
type docWriter struct {
	width  int
	lines  []string
	words  []string
	isCode bool // words are code, a line each
}

func (d *docWriter) add(line string) {
	row := tableRow.FindStringSubmatch(line)
	switch {
	case line == "" && d.isCode:
		d.words = append(d.words, "") // of the code, unless it ends here
	case line == "":
		d.endBlock()
		d.lines = append(d.lines, "")
	case code.MatchString(line) && (d.isCode || len(d.words) == 0):
		d.isCode = true
		d.words = append(d.words, strings.TrimPrefix(line, "    "))
	case row != nil:
		d.endBlock()
		d.words = append([]string{"-", "`" + row[1] + "`:"}, strings.Fields(row[2])...)
	default:
		if d.isCode || strings.HasPrefix(line, "- ") {
			d.endBlock()
		}
		d.words = append(d.words, strings.Fields(line)...)
	}
}

// endBlock writes what was collected.
func (d *docWriter) endBlock() {
	words := d.words
	d.words = nil
	if d.isCode {
		d.isCode = false
		d.lines = append(d.lines, "```text")
		ended := words[len(words)-1] == ""
		if ended {
			words = words[:len(words)-1]
		}
		d.lines = append(append(d.lines, words...), "```")
		if ended {
			d.lines = append(d.lines, "")
		}
		return
	}
	if len(words) == 0 {
		return
	}
	hang := ""
	if words[0] == "-" {
		hang = "  "
	}
	line := words[0]
	for _, word := range words[1:] {
		if len([]rune(line))+1+len([]rune(word)) > d.width {
			d.lines = append(d.lines, line)
			line = hang + word
			continue
		}
		line += " " + word
	}
	d.lines = append(d.lines, line)
}
