// Package chat parts the answers of models that think into thoughts and what is said.
//
// A [Splitter] reads one answer as it comes and is used by one goroutine.
package chat

import (
	"cmp"
	"strings"
)

// The tags around what a model thinks, in the form that most of them use.
const (
	thinkOpen  = "<think>"
	thinkClose = "</think>"
)

// Splitter parts the text of a thinking model into thoughts and answer, as it comes.
type Splitter struct {
	begin string // what begins a thought
	end   string // and ends it
	state splitState
	held  string // may be the beginning of a tag
	began bool   // the thought has more than line ends
}

// NewSplitter takes the tags of a model, which may have none of its own, and the prompt: an answer
// may begin with a thought, or be in one already.
func NewSplitter(begin, end, prompt string) *Splitter {
	p := &Splitter{begin: cmp.Or(begin, thinkOpen), end: cmp.Or(end, thinkClose)}
	if strings.HasSuffix(strings.TrimSpace(prompt), p.begin) {
		p.state = splitThought
	}
	return p
}

type splitState int

const (
	splitStart   splitState = iota // nothing but space has come
	splitThought                   // in the tags
	splitGap                       // space after a thought, which belongs to neither
	splitAnswer
)

// Split takes the next text. At the end, last makes it give out what it held back.
func (p *Splitter) Split(text string, last bool) (thought, answer string) {
	text = p.held + text
	p.held = ""
	for {
		switch p.state {
		case splitStart:
			rest := strings.TrimLeft(text, " \n\r\t")
			if after, ok := strings.CutPrefix(rest, p.begin); ok {
				text, p.state = after, splitThought
				continue
			}
			if !last && strings.HasPrefix(p.begin, rest) {
				p.held = text
				return thought, answer
			}
			p.state = splitAnswer
		case splitThought:
			if !p.began {
				text = strings.TrimLeft(text, "\n")
				p.began = text != ""
			}
			before, after, found := strings.Cut(text, p.end)
			if found {
				thought += strings.TrimRight(before, "\n")
				text, p.state = after, splitGap
				continue
			}
			keep := 0
			if !last {
				keep = tailOf(text, p.end)
			}
			p.held = text[len(text)-keep:]
			return thought + text[:len(text)-keep], answer
		case splitGap:
			text = strings.TrimLeft(text, " \n\r\t")
			if text == "" {
				return thought, answer
			}
			p.state = splitAnswer
		case splitAnswer:
			return thought, answer + text
		}
	}
}

// tailOf is how many bytes at the end of text may be the beginning of tag, with the line ends
// before it.
func tailOf(text, tag string) int {
	n := min(len(text), len(tag)-1)
	for n > 0 && !strings.HasPrefix(tag, text[len(text)-n:]) {
		n--
	}
	rest := strings.TrimRight(text[:len(text)-n], "\n")
	return len(text) - len(rest)
}
