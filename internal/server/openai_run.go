package server

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mullama/mullama"
)

// openAIRun is one answer of OpenAI's API.
type openAIRun struct {
	s       *Server
	encoder *openAIEncoder
	perItem int // choices of each prompt
	pieces  []piece
	states  []choiceState
	tally   tally
	prompt  string // to show beside the answer, if it is wanted
}

// choiceState is how far a choice is.
type choiceState struct {
	began  bool
	offset int    // characters so far
	echo   string // to begin with

	text, reasoning strings.Builder // of an answer that does not stream
}

func (s *Server) newOpenAIRun(e *openAIEncoder, choices, perItem int) *openAIRun {
	u := &openAIRun{
		s: s, encoder: e, perItem: perItem,
		pieces: make([]piece, choices), states: make([]choiceState, choices),
	}
	for i := range u.pieces {
		u.pieces[i].index = i
		u.pieces[i].role = e.chat
	}
	return u
}

// starter begins a choice. Each has a seed of its own, or all would be the same.
type starter func(ctx context.Context, i int, options *mullama.GenerateOptions) (
	*mullama.Stream, error)

// start begins all choices.
func (u *openAIRun) start(
	ctx context.Context, j *job, options *mullama.GenerateOptions, start starter,
) ([]*mullama.Stream, error) {
	streams := make([]*mullama.Stream, 0, len(u.pieces))
	for i := range u.pieces {
		one := *options
		if seed := j.generate.Sampling.Seed; seed != nil {
			sampling := *j.generate.Sampling
			next := *seed + uint32(i%u.perItem) //nolint:gosec // at most maxChoices
			sampling.Seed = &next
			one.Sampling = &sampling
		}
		stream, err := start(ctx, i, &one)
		if err != nil {
			closeAll(streams)
			return nil, err
		}
		streams = append(streams, stream)
	}
	return streams, nil
}

// next turns a chunk into what the choice says next.
func (u *openAIRun) next(i int, c *mullama.Chunk) piece {
	state := &u.states[i]
	p := piece{index: i, text: c.Text, reasoning: c.Thinking, logprobs: c.Logprobs,
		offset: state.offset}
	if !state.began {
		p.text = state.echo + p.text
		p.offset += utf8.RuneCountInString(state.echo)
	}
	state.offset += utf8.RuneCountInString(p.text)
	if c.Done {
		p.finish = string(c.FinishReason)
		u.count(i, c.Stats)
	}
	return p
}

func (u *openAIRun) count(i int, stats *mullama.Stats) {
	if i%u.perItem == 0 {
		u.tally.prompt += stats.PromptTokens
		u.tally.cached += stats.CachedTokens
	}
	u.tally.completion += stats.GeneratedTokens
	u.tally.stats = *stats
}

// whole answers with all choices at once.
func (u *openAIRun) whole(
	ctx context.Context, w http.ResponseWriter, streams []*mullama.Stream,
) error {
	err := u.s.deliverAll(ctx, streams, func(i int, c *mullama.Chunk) error {
		p, all := u.next(i, c), &u.pieces[i]
		if !u.states[i].began {
			all.offset = p.offset
		}
		u.states[i].began = true
		u.states[i].text.WriteString(p.text)
		u.states[i].reasoning.WriteString(p.reasoning)
		all.logprobs = append(all.logprobs, p.logprobs...)
		all.finish = p.finish
		return nil
	})
	if err != nil {
		return err
	}
	for i := range u.pieces {
		u.pieces[i].text = u.states[i].text.String()
		u.pieces[i].reasoning = u.states[i].reasoning.String()
	}
	buf := getBuffer()
	defer buf.put()
	buf.b = u.encoder.appendWhole(buf.b, u.pieces, &u.tally)
	if u.prompt != "" {
		buf.b = append(buf.b[:len(buf.b)-1], `,"__verbose":{"prompt":`...)
		buf.b = append(appendString(buf.b, u.prompt), '}', '}')
	}
	return writeJSON(w, buf.b)
}

// stream answers with events as they come.
func (u *openAIRun) stream(ctx context.Context, a *answer, streams []*mullama.Stream) error {
	buf := getBuffer()
	defer buf.put()
	err := u.s.deliverAll(ctx, streams, func(i int, c *mullama.Chunk) error {
		buf.b = u.appendEvents(buf.b[:0], i, c)
		if len(buf.b) == 0 {
			return nil
		}
		return a.write(buf.b)
	})
	if err != nil {
		return err
	}
	buf.b = buf.b[:0]
	if u.encoder.usage {
		buf.b = u.encoder.appendUsageEvent(buf.b, &u.tally)
	}
	return a.write(append(buf.b, "data: [DONE]\n\n"...))
}

// appendEvents appends the events of a chunk: the role comes before the first text, and the reason
// for the end after the last.
func (u *openAIRun) appendEvents(dst []byte, i int, c *mullama.Chunk) []byte {
	p := u.next(i, c)
	if !u.states[i].began && u.encoder.chat {
		dst = u.encoder.appendEvent(dst, &piece{index: i, role: true})
	}
	u.states[i].began = true
	finish := p.finish
	p.finish = ""
	if p.text != "" || p.reasoning != "" || len(p.logprobs) > 0 {
		dst = u.encoder.appendEvent(dst, &p)
	}
	if finish != "" {
		dst = u.encoder.appendEvent(dst, &piece{index: i, finish: finish})
	}
	return dst
}

// pingInterval is how long an event stream may be silent. Proxies cut what is silent for longer.
const pingInterval = 15 * time.Second

// keepAlive sends comments, which readers of event streams skip, until stop is called.
func (a *answer) keepAlive(interval time.Duration) (stop func()) {
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() { // ends with stop
		defer close(finished)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				a.comment(interval)
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-finished
	}
}

// comment sends a comment if nothing else was sent for some time.
func (a *answer) comment(silence time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended && time.Since(a.last) >= silence/2 {
		_ = a.send([]byte(": keep-alive\n\n"))
	}
}
