// Package chat parts the answers of models that think into thoughts and what is said.
//
// A [Splitter] reads one answer as it comes and is used by one goroutine.
package chat

import "strings"

// Models as gpt-oss write messages, each with a header that names a channel. Answers are on the
// channels final and commentary:
//
//	<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…
const (
	channelThought = "<|channel|>analysis<|message|>"
	headerStart    = "<|start|>"
	headerChannel  = "<|channel|>"
	headerEnd      = "<|message|>"
	messageEnd     = "<|end|>"
)

// Marks are what the answers of a model are parted at. If some of them are control tokens, which
// are no text otherwise, they must be in the text that [Splitter.Split] takes.
func Marks(begin, end string) []string {
	if begin == channelThought {
		return []string{headerStart, headerChannel, headerEnd, messageEnd}
	}
	return []string{begin, end}
}

// Channels reports whether thoughts that begin so are messages on a channel of their own. Such a
// model writes headers before its answers, and thinks whatever it is asked.
func Channels(begin string) bool { return begin == channelThought }

// Splitter parts the text of a thinking model into thoughts and answer, as it comes.
type Splitter struct {
	begin    string // what begins a thought
	end      string // and ends it
	channels bool
	state    splitState
	held     string // may be the beginning of a tag
	began    bool   // the thought has more than line ends
}

// NewSplitter takes the tags of a model, and whether the prompt has begun a thought already. If
// not, the answer may begin with one.
func NewSplitter(begin, end string, begun bool) *Splitter {
	p := &Splitter{begin: begin, end: end, channels: Channels(begin)}
	if begun {
		p.state = splitThought
	}
	return p
}

type splitState int

const (
	splitStart   splitState = iota // nothing but space has come
	splitHeader                    // before a message on a channel
	splitThought                   // in the tags
	splitGap                       // space after a thought, which belongs to neither
	splitAnswer
)

// Split takes the next text. At the end, last makes it give out what it held back.
func (p *Splitter) Split(text string, last bool) (thought, answer string) {
	text = p.held + text
	p.held = ""
	for more := true; more; {
		var said string
		switch p.state {
		case splitStart:
			text, more = p.start(text, last)
		case splitHeader:
			text, more = p.header(text, last)
		case splitThought:
			said, text, more = p.thought(text, last)
			thought += said
		case splitGap:
			if text = strings.TrimLeft(text, " \n\r\t"); text == "" {
				return thought, answer
			}
			p.state = splitAnswer
		case splitAnswer:
			said, text, more = p.answer(text, last)
			answer += said
		}
	}
	return thought, answer
}

// start looks whether a thought begins. It returns the rest of the text, and whether to go on.
func (p *Splitter) start(text string, last bool) (rest string, more bool) {
	rest = strings.TrimLeft(text, " \n\r\t")
	tags, next := []string{p.begin}, splitThought
	if p.channels {
		tags, next = []string{headerStart, headerChannel}, splitHeader
	}
	for _, tag := range tags {
		if after, ok := strings.CutPrefix(rest, tag); ok {
			p.state = next
			return after, true
		}
		if !last && strings.HasPrefix(tag, rest) {
			p.held = text
			return "", false
		}
	}
	p.state = splitAnswer
	return text, true
}

// header reads up to the message itself.
func (p *Splitter) header(text string, last bool) (rest string, more bool) {
	header, after, found := strings.Cut(text, headerEnd)
	switch {
	case !found && !last:
		p.held = text
	case strings.Contains(header, "analysis"):
		p.state, p.began = splitThought, false
	default:
		p.state = splitAnswer
	}
	return after, found
}

func (p *Splitter) thought(text string, last bool) (said, rest string, more bool) {
	if !p.began {
		text = strings.TrimLeft(text, "\n")
		p.began = text != ""
	}
	before, after, found := strings.Cut(text, p.end)
	if found {
		p.state = splitGap
		if p.channels {
			p.state = splitStart
		}
		return strings.TrimRight(before, "\n"), after, true
	}
	return p.hold(text, p.end, last), "", false
}

func (p *Splitter) answer(text string, last bool) (said, rest string, more bool) {
	if !p.channels {
		return text, "", false
	}
	before, after, found := strings.Cut(text, messageEnd)
	if found {
		p.state = splitStart
		return before, after, true
	}
	return p.hold(text, messageEnd, last), "", false
}

// hold keeps back what may be the beginning of tag, and returns what is before it.
func (p *Splitter) hold(text, tag string, last bool) string {
	if last {
		return text
	}
	n := len(text) - tailOf(text, tag)
	p.held = text[n:]
	return text[:n]
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
