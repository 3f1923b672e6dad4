package archtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Block is one fenced block of a document.
type Block struct {
	Line int    // of the opening fence
	Kind string // the words after the fence: "console", "go", …
	Text string
}

// Blocks returns the fenced blocks of a document.
func Blocks(text string) []Block {
	var blocks []Block
	var open *Block
	for i, line := range strings.Split(text, "\n") {
		switch {
		case open == nil && strings.HasPrefix(line, "```"):
			open = &Block{Line: i + 1, Kind: strings.TrimSpace(strings.TrimPrefix(line, "```"))}
		case open != nil && strings.HasPrefix(line, "```"):
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Text += line + "\n"
		}
	}
	return blocks
}

// Example is one command of a console block and the output that the document shows for it.
type Example struct {
	Line    int
	Command string
	Output  []string // a line "..." stands for any lines
}

// Examples returns the commands of a document's console blocks: lines after "$ ", continued by a
// backslash or as the input that ends with END, with the lines up to the next command as output.
func Examples(text string) []Example {
	var examples []Example
	for _, block := range Blocks(text) {
		if block.Kind != "console" {
			continue
		}
		examples = append(examples, blockExamples(block)...)
	}
	return examples
}

func blockExamples(block Block) []Example {
	var examples []Example
	continued, input := false, false
	for i, line := range strings.Split(strings.TrimSuffix(block.Text, "\n"), "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case input:
			examples[len(examples)-1].Command += "\n" + line
			input = line != inputEnd
			continue
		case continued:
			last := &examples[len(examples)-1]
			last.Command = strings.TrimSuffix(last.Command, "\\") + strings.TrimSpace(line)
		case isCommand:
			examples = append(examples, Example{Line: block.Line + 1 + i, Command: command})
		case len(examples) > 0:
			last := &examples[len(examples)-1]
			last.Output = append(last.Output, line)
			continue
		}
		continued = strings.HasSuffix(line, "\\")
		input = strings.HasSuffix(line, inputBegin)
	}
	return examples
}

// A command with its input, as a shell reads it.
const inputBegin, inputEnd = "<<END", "END"

// MatchOutput compares what a command printed with what a document shows, line by line without
// trailing spaces. A line "..." stands for any number of lines; "..." within a line for any text.
func MatchOutput(shown []string, printed string) error {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range shown {
		line = strings.TrimRight(line, " ")
		if line == "..." {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		quoted := strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, `.*`)
		pattern.WriteString(quoted + ` *\n`)
	}
	pattern.WriteString(`\n*\z`)
	if regexp.MustCompile(pattern.String()).MatchString(strings.TrimRight(printed, "\n") + "\n") {
		return nil
	}
	return fmt.Errorf("the document shows:\n%s\nbut it prints:\n%s",
		strings.Join(shown, "\n"), strings.TrimRight(printed, "\n"))
}

// Shortened reports whether a document shows less than a command printed: a line with "..." that
// the command did not print itself, as a help text does whose command takes several words.
func Shortened(shown []string, printed string) bool {
	lines := strings.Split(printed, "\n")
	return slices.ContainsFunc(shown, func(line string) bool {
		return strings.Contains(line, "...") && !slices.Contains(lines, line)
	})
}

// ReplaceOutput returns a document with what an example shows replaced by what it printed.
func ReplaceOutput(text string, example Example, printed string) string {
	lines := strings.Split(text, "\n")
	start := example.Line // the line after the command's first, counted from 0
	for strings.HasSuffix(lines[start-1], "\\") {
		start++
	}
	if strings.HasSuffix(lines[start-1], inputBegin) {
		start += strings.Count(example.Command, "\n")
	}
	var fresh []string
	fresh = append(fresh, lines[:start]...)
	for line := range strings.Lines(strings.TrimRight(printed, "\n")) {
		fresh = append(fresh, strings.TrimRight(line, " \n"))
	}
	return strings.Join(append(fresh, lines[start+len(example.Output):]...), "\n")
}
