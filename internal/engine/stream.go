package engine

import (
	"io"
	"slices"
	"sync"
)

// FinishReason says why a request ended.
type FinishReason string

// The reasons to finish.
const (
	FinishStop      FinishReason = "stop"      // the model ended, or a stop string came
	FinishLength    FinishReason = "length"    // MaxTokens, or the context is full
	FinishCancelled FinishReason = "cancelled" // by the request's context or Stream.Close
)

// Event is the next part of a request's output: all that came since the Event before.
type Event struct {
	Text     string         // valid UTF-8
	Tokens   []Token        // those whose text begins in Text
	Logprobs []TokenLogprob // one per token, if the request asked for them

	Done       bool // the last Event; the fields below are set
	Finish     FinishReason
	StopString string // the stop string that ended the text, or ""
	Counters   Counters
}

// TokenLogprob is the log probability of one token. Its bytes belong to the Event.
type TokenLogprob struct {
	Token   Token
	Bytes   []byte // the token alone; often not valid UTF-8
	Logprob float32
	Top     []TopToken
}

// Stream is the output of one request. Its methods may be called from any goroutine; a slow reader
// costs memory for the text it has not read, and delays nobody.
type Stream struct {
	cancel func()

	mu    sync.Mutex
	news  sync.Cond // something was added; L is &mu
	text  []byte
	event Event // what was added since the last Next, but for its Text
	ended bool  // no more will be added
	err   error // what Next says after the end
}

func newStream(cancel func()) *Stream {
	s := &Stream{cancel: cancel}
	s.news.L = &s.mu
	return s
}

// Next waits for output and returns all there is. After the Event that is Done it returns [io.EOF];
// a request that failed returns its error after the text it had. A cancelled request ends with
// [FinishCancelled], within one step.
func (s *Stream) Next() (Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && !s.filled() {
		s.news.Wait()
	}
	if !s.filled() {
		return Event{}, s.err
	}
	event := s.event
	event.Text = string(s.text)
	event.Tokens = slices.Clone(s.event.Tokens)
	s.text = s.text[:0]
	s.event = Event{Tokens: s.event.Tokens[:0]}
	return event, nil
}

func (s *Stream) filled() bool {
	return len(s.text) > 0 || len(s.event.Tokens) > 0 || s.event.Done
}

// Close cancels the request if it still runs. It does not wait, and what was sent can still be
// read. It returns nil, always.
func (s *Stream) Close() error {
	s.cancel()
	return nil
}

// deliver moves what is ready of o to the reader.
func (s *Stream) deliver(o *output) {
	if !o.ready() {
		return
	}
	s.mu.Lock()
	s.take(o)
	s.mu.Unlock()
	s.news.Signal()
}

func (s *Stream) finish(o *output, reason FinishReason, c Counters) {
	s.mu.Lock()
	s.take(o)
	s.event.Done, s.event.Finish = true, reason
	s.event.StopString, s.event.Counters = o.stop, c
	s.ended, s.err = true, io.EOF
	s.mu.Unlock()
	s.news.Broadcast()
}

func (s *Stream) fail(err error) {
	s.mu.Lock()
	s.ended, s.err = true, err
	s.mu.Unlock()
	s.news.Broadcast()
}

func (s *Stream) take(o *output) {
	s.text = append(s.text, o.text...)
	s.event.Tokens = append(s.event.Tokens, o.tokens...)
	s.event.Logprobs = append(s.event.Logprobs, o.logprobs...)
	o.drain()
}
