package mullama

import (
	"cmp"
	"strings"

	"github.com/mullama/mullama/internal/chat"
)

// Thoughts say what is around the thoughts of a model that comes before its answers.
type Thoughts struct {
	Start, End string
	Begun      bool // the prompt ends with Start
	Dropped    bool // nobody wants to have them
}

// Thoughts says how thoughts come apart from an answer to p: nil where they stay in the text, or
// there are none. A model whose thoughts are on a channel of their own has them always.
func (p *ChatPrompt) Thoughts(opts *ChatOptions) *Thoughts {
	family := families[opts.Parser]
	t := &Thoughts{
		Start:   cmp.Or(opts.ThinkStart, p.ThinkStart, family.start, "<think>"),
		End:     cmp.Or(opts.ThinkEnd, p.ThinkEnd, family.end, "</think>"),
		Dropped: opts.Thinking != nil && !*opts.Thinking,
	}
	if !opts.ThoughtsApart || opts.Continue || t.Dropped && !chat.Channels(t.Start) {
		return nil
	}
	t.Begun = strings.HasSuffix(strings.TrimSpace(p.Text), t.Start)
	return t
}

// from returns what comes from inner with thoughts apart.
func (t *Thoughts) from(inner source) source {
	if t == nil {
		return inner
	}
	return thoughtSource{inner, chat.NewSplitter(t.Start, t.End, t.Begun), t.Dropped}
}

type thoughtSource struct {
	source
	splitter *chat.Splitter
	dropped  bool
}

func (s thoughtSource) next() (Chunk, error) {
	c, err := s.source.next()
	if err == nil {
		c.Thinking, c.Text = s.splitter.Split(c.Text, c.Done)
	}
	if s.dropped {
		c.Thinking = ""
	}
	return c, err
}

// controlsIn returns the control tokens in texts, which would not be part of an answer.
func (m *Model) controlsIn(texts []string) map[Token][]byte {
	controls := map[Token][]byte{}
	for _, text := range texts {
		tokens, err := m.shared.weights.Tokenize(text, false, true)
		if err != nil {
			continue // no text of this vocabulary, so the model does not write it
		}
		for _, t := range tokens {
			if len(m.shared.weights.Piece(t, false)) == 0 {
				controls[t] = m.shared.weights.Piece(t, true)
			}
		}
	}
	return controls
}

// family is what Ollama's code for a family of models finds in its answers.
type family struct {
	tools, thinks bool
	start, end    string // around thoughts, if not <think> and </think>
}

// families are those that Ollama has a PARSER for, by its name.
var families = map[string]family{
	"cogito":             {tools: true, thinks: true},
	"cohere":             {true, true, "<|START_THINKING|>", "<|END_THINKING|>"},
	"deepseek3":          {tools: true, thinks: true},
	"functiongemma":      {tools: true},
	"gemma4":             {true, true, "<|channel>thought", "<channel|>"},
	"gemma4-no-thinking": {tools: true},
	"glimmer":            {tools: true, thinks: true},
	"glm-4.7":            {tools: true, thinks: true},
	"glm-ocr":            {tools: true},
	"harmony":            {true, true, "<|channel|>analysis<|message|>", "<|end|>"},
	"laguna":             {tools: true, thinks: true},
	"lfm2":               {tools: true},
	"lfm2-thinking":      {tools: true, thinks: true},
	"ministral":          {true, false, "[THINK]", "[/THINK]"},
	"nemotron-3-nano":    {tools: true, thinks: true},
	"nemotron-3.5-nano":  {tools: true, thinks: true},
	"olmo3":              {tools: true},
	"olmo3-think":        {thinks: true},
	"ornith":             {tools: true, thinks: true},
	"poolside-v1":        {tools: true, thinks: true},
	"qwen3":              {tools: true},
	"qwen3-coder":        {tools: true},
	"qwen3-thinking":     {tools: true, thinks: true},
	"qwen3-vl-instruct":  {tools: true},
	"qwen3-vl-thinking":  {tools: true, thinks: true},
	"qwen3.5":            {tools: true, thinks: true},
}

// capabilities are those that come with the family.
func (f family) capabilities() (list []string) {
	if f.tools {
		list = append(list, "tools")
	}
	if f.thinks {
		list = append(list, "thinking")
	}
	return list
}
