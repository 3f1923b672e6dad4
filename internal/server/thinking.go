package server

import "strings"

// The tags around what a model thinks, in the form that most of them use.
const (
	thinkOpen  = "<think>"
	thinkClose = "</think>"
)

// splitter parts the text of a thinking model into thoughts and answer, as it comes. The zero value
// expects an answer that may begin with a thought.
type splitter struct {
	state splitState
	held  string // may be the beginning of a tag
	began bool   // the thought has more than line ends
}

type splitState int

const (
	splitStart   splitState = iota // nothing but space has come
	splitThought                   // in the tags
	splitGap                       // space after a thought, which belongs to neither
	splitAnswer
)

// split takes the next text. At the end, last makes it give out what it held back.
func (p *splitter) split(text string, last bool) (thought, answer string) {
	text = p.held + text
	p.held = ""
	for {
		switch p.state {
		case splitStart:
			rest := strings.TrimLeft(text, " \n\r\t")
			if after, ok := strings.CutPrefix(rest, thinkOpen); ok {
				text, p.state = after, splitThought
				continue
			}
			if !last && strings.HasPrefix(thinkOpen, rest) {
				p.held = text
				return thought, answer
			}
			p.state = splitAnswer
		case splitThought:
			if !p.began {
				text = strings.TrimLeft(text, "\n")
				p.began = text != ""
			}
			before, after, found := strings.Cut(text, thinkClose)
			if found {
				thought += strings.TrimRight(before, "\n")
				text, p.state = after, splitGap
				continue
			}
			keep := 0
			if !last {
				keep = tailOf(text, thinkClose)
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
