package mullama

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/mullama/mullama/internal/engine"
)

// FinishReason says why a text ended.
type FinishReason string

// The reasons to finish.
const (
	FinishStop      FinishReason = "stop"      // the model ended, or a stop string came
	FinishLength    FinishReason = "length"    // MaxTokens, or the context is full
	FinishCancelled FinishReason = "cancelled" // the caller's context ended, or Close
)

// Chunk is the next part of a text. Its Text is valid UTF-8 and never ends within a character or a
// stop string.
type Chunk struct {
	Text     string
	Thinking string         // what the model thinks, with [ChatOptions.ThoughtsApart]
	Tokens   []Token        // those whose text begins in Text or Thinking
	Logprobs []TokenLogprob // one per token, if they were asked for

	// Done marks the last chunk; the fields below are set then.
	Done         bool
	FinishReason FinishReason
	StopString   string // the stop string that ended the text, or ""
	Stats        *Stats

	cut Truncation // of a daemon, which tells it at the end
}

// TokenLogprob is the natural logarithm of a token's probability, before sampling changed it.
type TokenLogprob struct {
	Token   Token        `json:"token"`
	Bytes   []byte       `json:"bytes"` // of the token alone; need not be valid UTF-8
	Logprob float32      `json:"logprob"`
	Top     []TopLogprob `json:"top,omitempty"` // the likeliest tokens, best first
}

// TopLogprob is one of the likeliest tokens. Control tokens are shown as text.
type TopLogprob struct {
	Token   Token   `json:"token"`
	Bytes   []byte  `json:"bytes"`
	Logprob float32 `json:"logprob"`
}

// Stats describe a finished call.
type Stats struct {
	PromptTokens    int
	CachedTokens    int           // prompt tokens that needed no compute
	ShiftedTokens   int           // tokens forgotten because the context was full; see Overflow
	GeneratedTokens int           // with the one that ended the text
	Drafts          int           // times that a draft model guessed tokens
	DraftedTokens   int           // those it guessed
	AcceptedTokens  int           // of those, guessed right
	Queue           time.Duration // until a slot was free
	Prefill         time.Duration // from the slot to the first token
	FirstToken      time.Duration // from the call to the first token
	Decode          time.Duration // from the first token to the end
	Total           time.Duration
	Steps           int           // steps of the engine that this call took part in
	StepOverhead    time.Duration // time of those steps outside llama.cpp
}

// Result is a whole text.
type Result struct {
	Text         string
	Thinking     string // with [ChatOptions.ThoughtsApart]
	Tokens       []Token
	Logprobs     []TokenLogprob
	FinishReason FinishReason
	StopString   string
	Stats        Stats
}

// Stream is a text that is being generated. Read it to its end or close it: until then it holds a
// slot. A slow reader delays nobody. Read with one of All, Each, Channel, Collect and Next, from
// one goroutine at a time.
type Stream struct {
	*streamState
}

// source is where a stream comes from: an engine of this process, or a daemon.
type source interface {
	next() (Chunk, error)
	close()
}

// streamState is apart from Stream so that a stream that is dropped without Close ends when the
// garbage collector finds it.
type streamState struct {
	op     string
	inner  source
	end    func()        // lets go of the caller's context
	closed chan struct{} // closed by close

	truncation Truncation

	closing sync.Once
	mu      sync.Mutex
	err     error // what Next returns from now on
}

func newStream(op string, inner source, end func()) *Stream {
	s := &Stream{&streamState{
		op:     op,
		inner:  inner,
		end:    sync.OnceFunc(end),
		closed: make(chan struct{}),
	}}
	runtime.AddCleanup(s, (*streamState).close, s.streamState)
	return s
}

// Truncation says what was left out of the prompt; nothing unless the options allow it. A daemon
// tells it with the last part.
func (s *Stream) Truncation() Truncation { return s.truncation }

// Next waits for the next part of the text. After the chunk with Done it returns [io.EOF].
func (s *Stream) Next() (Chunk, error) {
	defer runtime.KeepAlive(s)
	if err := s.ended(); err != nil {
		return Chunk{}, err
	}
	chunk, err := s.inner.next()
	if err != nil {
		return Chunk{}, s.finish(s.failure(err))
	}
	if chunk.Done {
		if (chunk.cut != Truncation{}) {
			s.truncation = chunk.cut
		}
		_ = s.finish(io.EOF)
	}
	return chunk, nil
}

func (s *streamState) failure(err error) error {
	if errors.Is(err, io.EOF) {
		err = errNoAnswer
	}
	return wrap(s.op, err)
}

func (s *streamState) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// finish makes err the answer of every later Next.
func (s *streamState) finish(err error) error {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.end()
	return err
}

func (s *streamState) close() {
	s.closing.Do(func() { close(s.closed) })
	s.inner.close()
	s.end()
}

// Close cancels the call if it still runs; the slot is free within a step. It returns nil and may
// be called more than once, from any goroutine. What was generated can still be read.
func (s *Stream) Close() error {
	s.streamState.close()
	return nil
}

// All returns the chunks as an iterator. Leaving the loop early cancels the call.
func (s *Stream) All() iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		defer s.Close()
		for {
			chunk, err := s.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}

// Each calls fn with every chunk. An error of fn cancels the call and is returned.
func (s *Stream) Each(fn func(Chunk) error) error {
	for chunk, err := range s.All() {
		if err != nil {
			return err
		}
		if err := fn(chunk); err != nil {
			return err
		}
	}
	return nil
}

// Channel returns the chunks as a channel, closed after the last; then [Stream.Err] says whether
// the text is whole. When ctx ends or the stream is closed, the call is cancelled and the channel
// is closed soon after.
func (s *Stream) Channel(ctx context.Context) <-chan Chunk {
	chunks := make(chan Chunk)
	go func() { // owns the sending side; ends with the text, with ctx or with Close
		defer close(chunks)
		defer context.AfterFunc(ctx, s.streamState.close)()
		for chunk, err := range s.All() {
			if err != nil {
				return
			}
			select {
			case chunks <- chunk:
			case <-ctx.Done():
				_ = s.finish(wrap(s.op, context.Cause(ctx)))
				return
			case <-s.closed:
				_ = s.finish(wrap(s.op, context.Canceled))
				return
			}
		}
	}()
	return chunks
}

// Err returns the error that ended the stream, or nil while it runs and after it ended well.
func (s *Stream) Err() error {
	if err := s.ended(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Collect reads the rest of the text.
func (s *Stream) Collect() (*Result, error) {
	var text, thinking strings.Builder
	result := &Result{}
	err := s.Each(func(c Chunk) error {
		text.WriteString(c.Text)
		thinking.WriteString(c.Thinking)
		result.Tokens = append(result.Tokens, c.Tokens...)
		result.Logprobs = append(result.Logprobs, c.Logprobs...)
		if c.Done {
			result.FinishReason, result.StopString = c.FinishReason, c.StopString
			result.Stats = *c.Stats
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	result.Text, result.Thinking = text.String(), thinking.String()
	return result, nil
}

// engineSource is an answer of an engine in this process.
type engineSource struct{ stream *engine.Stream }

func (s engineSource) next() (Chunk, error) {
	event, err := s.stream.Next()
	if err != nil {
		return Chunk{}, err
	}
	return toChunk(&event), nil
}

func (s engineSource) close() { _ = s.stream.Close() }

func toChunk(e *engine.Event) Chunk {
	c := Chunk{Text: e.Text, Tokens: e.Tokens, Logprobs: toLogprobs(e.Logprobs)}
	if e.Done {
		c.Done = true
		c.FinishReason = FinishReason(e.Finish)
		c.StopString = e.StopString
		c.Stats = &Stats{
			PromptTokens:    e.Counters.PromptTokens,
			CachedTokens:    e.Counters.CachedTokens,
			ShiftedTokens:   e.Counters.ShiftedTokens,
			GeneratedTokens: e.Counters.GeneratedTokens,
			Drafts:          e.Counters.Drafts,
			DraftedTokens:   e.Counters.DraftedTokens,
			AcceptedTokens:  e.Counters.AcceptedTokens,
			Queue:           e.Counters.Queue,
			Prefill:         e.Counters.Prefill,
			FirstToken:      e.Counters.FirstToken,
			Decode:          e.Counters.Decode,
			Total:           e.Counters.Total,
			Steps:           e.Counters.Steps,
			StepOverhead:    e.Counters.StepOverhead,
		}
	}
	return c
}

func toLogprobs(list []engine.TokenLogprob) []TokenLogprob {
	if list == nil {
		return nil
	}
	out := make([]TokenLogprob, len(list))
	for i, l := range list {
		out[i] = TokenLogprob{Token: l.Token, Bytes: l.Bytes, Logprob: l.Logprob}
		for _, t := range l.Top {
			out[i].Top = append(out[i].Top, TopLogprob{t.Token, t.Piece, t.Logprob})
		}
	}
	return out
}
