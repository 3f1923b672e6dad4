// Package engine runs one loaded model for many requests at once.
//
// An Engine owns a model's context and a fixed set of slots. A request waits in a
// queue for a slot; then its prompt is prefilled in batches shared with other slots, and after that
// one token per step is decoded for it, together with one for every other generating slot. The text
// of a request is valid UTF-8 at every border between events, and no part of a stop string shows in
// it. A request that loses its cells of the KV cache to an older one goes back to the queue and
// later continues where it was.
//
// What the sequence of a finished request holds stays in the cache as an idle prefix, and a new
// request takes the longest one that its prompt begins with, from a running request too.
//
// All of this happens on one goroutine, which alone touches slots, queue, cache and model.
// [Engine.Submit], [Engine.Close], [Engine.Stats] and all methods of a [Stream] may be called from
// any goroutine. Requests enter through a list guarded by Engine.mu; results leave
// through a buffer in each Stream, so a slow reader never delays a step.
package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config sizes an Engine. The zero value takes everything from the model's limits.
type Config struct {
	// Slots is the most requests decoded together. 0: one per sequence of the model. It is never
	// more than the model's sequences or the tokens of one step. Sequences beyond the slots keep
	// prefixes of finished requests.
	Slots int
	// StepTokens is the most tokens in one step. 0: the model's ubatch, so that a step is computed
	// in one go and a cancel takes effect within one ubatch. It is never more than that.
	StepTokens int
	// StepTime is how long a step should take at most while anybody generates: prompts are read in
	// parts that fit. While many prompts wait beside few that generate, it is up to four times
	// longer. 0: DefaultStepTime.
	StepTime time.Duration
	// SequenceTokens is the most tokens of one request, prompt and answer together. 0: what the
	// model's context takes. It is never more than that.
	SequenceTokens int
	// Draft says who drafts.
	Draft DraftConfig
}

// Engine runs requests on one model. Use [New] to make one and [Engine.Close] to end it.
type Engine struct {
	model  Model
	limits Limits
	budget int  // most tokens in one step
	shared bool // sequences take their cells from one pool
	pace   pace

	// Owned by the engine goroutine.
	waiting  []*request // oldest first; all of them newer than the active ones
	active   []*slot    // in order of arrival
	free     []*slot
	planned  []*slot // with tokens in this step
	rows     []*slot // that generate
	prefill  []*slot // with a prompt to read
	sampled  []*slot // with sampled rows in this step, in the rows' order
	asked    int     // those rows
	work     work    // of the planned step
	turn     int     // counts the steps with prompts
	turns    turns
	stalled  float64 // milliseconds for which those who generate have waited for prompts
	patience float64 // how long they may
	cache    *cache
	drafter  *drafter  // nil: nobody drafts
	crowded  bool      // the cache was full; admit nobody until a slot finishes
	returned time.Time // when the last step ended, or the engine stopped waiting for work
	together int       // most requests at once since a GPU last had nothing to do
	unasked  int       // steps that stopped without being asked to, since a token was sampled
	counting Stats

	coming atomic.Int32  // requests that [Engine.Expect] has told of
	reap   atomic.Bool   // some request was cancelled since the last look
	wake   chan struct{} // holds one token when there may be news for an idle engine
	done   chan struct{} // closed when the engine goroutine has ended

	mu         sync.Mutex
	submitting sync.WaitGroup // Submits that may still use the model
	incoming   []*request
	closed     bool
	stepping   bool // model.Step is running
	live       int  // requests in the running step that are not cancelled
	aborted    bool // model.Abort(true) was called in this step
	stats      Stats
	seats      []SlotStats
}

// Stats describes an Engine at its last border between steps. Counts are since it was made.
type Stats struct {
	Slots, Active, Waiting int
	CellsUsed, Cells       int // of the KV cache, by active requests, and in all
	CellsIdle              int // hold prefixes of finished requests
	Steps                  int
	DecodedTokens          int // prompt tokens and generated tokens that went through the model
	SampledTokens          int
	CachedTokens           int // prompt tokens that needed no compute
	Requeued               int // times a request gave its cells to an older one
	Aborted                int // steps stopped because all of their requests were cancelled
	Decode, Sample         time.Duration

	Drafted, DraftsAccepted int           // tokens that were guessed, and those guessed right
	Draft                   time.Duration // to guess
	DraftsPaused            bool          // steps without drafts were found to be faster
	DraftFailure            error         // why there are no more drafts
}

// New starts an Engine on model, which belongs to it until [Engine.Close] returns.
func New(model Model, cfg Config) *Engine {
	limits := model.Limits()
	limits.CtxPerSeq = atMost(cfg.SequenceTokens, limits.CtxPerSeq)
	e := &Engine{
		model:  model,
		limits: limits,
		budget: atMost(cfg.StepTokens, min(limits.Batch, limits.UBatch)),
		shared: limits.CtxPerSeq*limits.Sequences > limits.Ctx,
		wake:   make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
	// No more slots than tokens in a step: all generating slots fit, and one that prefills always
	// gets a token.
	slots := atMost(cfg.Slots, min(limits.Sequences, e.budget))
	for i := range slots {
		e.free = append(e.free, &slot{index: int32(slots - 1 - i)})
	}
	e.drafter = newDrafter(&cfg.Draft, limits, slots)
	e.cache = newCache(model, limits, e.shared || limits.Sequences == 1)
	e.pace.limit = cfg.StepTime
	if e.pace.limit == 0 {
		e.pace.limit = DefaultStepTime
	}
	e.counting = Stats{Slots: slots, Cells: limits.Ctx}
	e.stats = e.counting
	go e.run()
	return e
}

// atMost returns n, or limit where n is not set or larger.
func atMost(n, limit int) int {
	if n <= 0 || n > limit {
		return limit
	}
	return n
}

// Submit queues a request and returns its output as a Stream. It does not wait for a slot. When ctx
// ends, the request is cancelled. Errors: [ErrInvalid], [ErrContextFull], [ErrClosed],
// [ErrCancelled] when ctx has ended already, and what the model says of the sampling options.
//
// The caller reads the Stream to its end or closes it. An abandoned Stream holds its slot until the
// request is finished.
func (e *Engine) Submit(ctx context.Context, req Request) (*Stream, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrCancelled, context.Cause(ctx))
	}
	if err := req.check(e.limits); err != nil {
		return nil, err
	}
	if !e.enter() {
		return nil, ErrClosed
	}
	defer e.submitting.Done()
	sampler, err := e.model.NewSampler(req.Sampling)
	if err != nil {
		return nil, fmt.Errorf("make a sampler: %w", err)
	}
	sampler.Prime(req.Prompt)
	r := newRequest(&req, sampler, e.limits)
	r.stream = newStream(func() { e.cancel(r) })
	if !e.enqueue(ctx, r) {
		sampler.Close()
		return nil, ErrClosed
	}
	return r.stream, nil
}

// Expect tells that a request is on its way to Submit, while its prompt is made, say. The caller
// calls arrived when it was submitted or will not be. A GPU that has nothing to do waits a moment
// for requests that are expected, as one step reads many prompts in hardly more time than one.
func (e *Engine) Expect() (arrived func()) {
	e.coming.Add(1)
	return func() {
		if e.coming.Add(-1) == 0 {
			e.notify()
		}
	}
}

// enter keeps Close from returning, and the model from going away, until submitting.Done.
func (e *Engine) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.submitting.Add(1)
	}
	return !e.closed
}

func (e *Engine) enqueue(ctx context.Context, r *request) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	r.unwatch = context.AfterFunc(ctx, func() { e.cancel(r) })
	e.incoming = append(e.incoming, r)
	e.notify()
	return true
}

func (e *Engine) notify() {
	select {
	case e.wake <- struct{}{}:
	default: // a wake-up is on its way
	}
}

// cancel marks r; the engine goroutine drops it at the next border between steps. When nobody else
// waits for the running step, that step is stopped. Both flags are set and cleared under e.mu
// together with stepping, so an abort never reaches a step that somebody still wants.
func (e *Engine) cancel(r *request) {
	r.cancelled.Store(true)
	e.reap.Store(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !r.inStep {
		return
	}
	r.inStep = false
	e.live--
	if e.live == 0 {
		e.abort()
	}
}

// abort stops the running step. The caller holds e.mu.
func (e *Engine) abort() {
	if e.stepping && !e.aborted {
		e.aborted = true
		e.model.Abort(true)
	}
}

// Close ends the Engine: the running step is stopped, and every request that has not finished gets
// [ErrClosed] after the text it has. Close returns when the model is no longer used. It may be
// called more than once.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	e.abort()
	e.mu.Unlock()
	e.notify()
	<-e.done
	e.submitting.Wait()
}

// SlotStats describes one request that has a slot.
type SlotStats struct {
	ID                        int // of its sequence in the cache
	Prompt, Cached, Generated int // tokens
	Prefilling                bool
}

// Slots describes the requests that had a slot at the last border between steps.
func (e *Engine) Slots() []SlotStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.seats)
}

// Stats returns the counters as of the last border between steps.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// run is the engine goroutine.
func (e *Engine) run() {
	defer close(e.done)
	e.returned = time.Now()
	for e.collect() && e.gather() {
		e.admit()
		e.step()
	}
	e.endAll()
}
