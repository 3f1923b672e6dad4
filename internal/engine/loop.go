package engine

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// unaskedMost is how often steps may stop without being asked to, with no token sampled in between,
// before their requests fail.
const unaskedMost = 10

// yieldBelow is the length of steps after which the engine goroutine lets readers run, so that they
// do not run in the middle of the next step, where they would take a core from llama.cpp's threads.
// A call into C that lasts more than 10 ms loses its place in Go's scheduler anyway, and if the
// goroutine had yielded before, the scheduler's monitor thread wakes 50 times per step to see to
// it. On two cores that made steps of 15 ms 10 % longer, where yielding makes those of 4 ms 5 %
// shorter.
const yieldBelow = 8 * time.Millisecond

// collect takes new requests and drops cancelled ones. It waits while there is nothing to do, and
// reports false when the engine is closed.
func (e *Engine) collect() bool {
	for {
		e.mu.Lock()
		closed := e.closed
		if len(e.incoming) > 0 {
			e.waiting = append(e.waiting, e.incoming...)
			clear(e.incoming)
			e.incoming = e.incoming[:0]
			e.reap.Store(true) // a cancel may have come before its request
		}
		e.mu.Unlock()
		if closed {
			return false
		}
		if e.reap.Swap(false) {
			e.dropCancelled()
		}
		if len(e.active)+len(e.waiting) > 0 {
			return true
		}
		e.publish()
		<-e.wake
		e.returned = time.Now()
	}
}

func (e *Engine) dropCancelled() {
	for _, s := range slices.Clone(e.active) {
		if s.req.cancelled.Load() {
			e.finish(s, FinishCancelled)
		}
	}
	e.waiting = slices.DeleteFunc(e.waiting, func(r *request) bool {
		if !r.cancelled.Load() {
			return false
		}
		r.finish(FinishCancelled)
		return true
	})
}

// admit gives slots to waiting requests, oldest first. A large one at the head is not overtaken.
func (e *Engine) admit() {
	for len(e.waiting) > 0 && len(e.free) > 0 && e.fits(e.waiting[0]) {
		r := e.waiting[0]
		e.waiting[0] = nil
		e.waiting = e.waiting[1:]
		s := e.free[len(e.free)-1]
		e.free = e.free[:len(e.free)-1]
		s.req = r
		if r.admitted.IsZero() {
			r.admitted = time.Now()
		}
		e.active = append(e.active, s)
	}
}

// fits reports whether the cache has cells for r beside what the active slots hold or are about to
// prefill. A request alone always fits, or [Engine.Submit] had refused it.
func (e *Engine) fits(r *request) bool {
	if len(e.active) == 0 || !e.shared && !e.crowded {
		return true
	}
	if e.crowded {
		return false
	}
	used := r.cells()
	for _, s := range e.active {
		used += s.req.cells()
	}
	return used <= e.limits.Ctx
}

// step plans, runs and evaluates one step.
func (e *Engine) step() {
	e.plan()
	if !e.beginStep() {
		return
	}
	result, err := e.model.Step()
	aborted := e.endStep()
	if err == nil && len(result.Rows) != len(e.sampled) {
		err = fmt.Errorf("the model sampled %d rows of %d", len(result.Rows), len(e.sampled))
	}
	if err != nil {
		e.recover(err, aborted)
		return
	}
	now := time.Now()
	e.count(&result, now)
	for i, s := range e.sampled {
		e.accept(s, &result.Rows[i], now)
	}
	if result.Decode < yieldBelow {
		runtime.Gosched()
	}
}

func (e *Engine) accept(s *slot, row *Row, now time.Time) {
	if row.Err != nil {
		e.fail(s, fmt.Errorf("sample token %d: %w", s.req.sampled+1, row.Err))
		return
	}
	if reason := s.req.accept(row, now); reason != "" {
		e.finish(s, reason)
	}
}

// plan fills the step: one token for each slot that needs just one, then prompt tokens in order of
// arrival until the budget is used.
func (e *Engine) plan() {
	e.model.Begin()
	e.planned, e.sampled = e.planned[:0], e.sampled[:0]
	budget := e.budget
	for _, s := range e.active {
		if s.pending() == 1 {
			e.take(s, 1)
			budget--
		}
	}
	for _, s := range e.active {
		if budget == 0 {
			return
		}
		if s.pending() > 1 {
			n := min(s.pending(), budget)
			e.take(s, n)
			budget -= n
		}
	}
}

func (e *Engine) take(s *slot, n int) {
	e.planned = append(e.planned, s)
	if s.plan(e.model, n) {
		e.sampled = append(e.sampled, s)
	}
}

// beginStep counts who waits for the planned step. It reports false when nobody does any more.
func (e *Engine) beginStep() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.publishLocked()
	if e.closed {
		return false
	}
	for _, s := range e.planned {
		if !s.req.cancelled.Load() {
			s.req.inStep = true
			e.live++
		}
	}
	e.stepping = e.live > 0
	return e.stepping
}

// endStep ends the time in which a cancel may abort the step, and reports whether one did.
func (e *Engine) endStep() (aborted bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.planned {
		s.req.inStep = false
	}
	aborted = e.aborted
	if aborted {
		e.model.Abort(false)
	}
	e.stepping, e.live, e.aborted = false, 0, false
	return aborted
}

// count books a step that succeeded and returned at now.
func (e *Engine) count(result *StepResult, now time.Time) {
	c := &e.counting
	overhead := now.Sub(e.returned) - result.Decode - result.Sample
	e.returned = now
	for _, s := range e.planned {
		s.cached += s.taken
		c.DecodedTokens += s.taken
		s.req.steps++
		s.req.overhead += overhead
	}
	if len(result.Rows) > 0 {
		e.unasked = 0
	}
	c.Steps++
	c.SampledTokens += len(result.Rows)
	c.Decode += result.Decode
	c.Sample += result.Sample
}

// recover deals with a failed step. A full cache takes the cells of the newest request; a stopped
// step is planned again for those who still want it; any other error ends the step's requests.
func (e *Engine) recover(err error, aborted bool) {
	e.returned = time.Now()
	switch {
	case errors.Is(err, ErrCacheFull):
		e.makeRoom(err)
		return
	case errors.Is(err, ErrCancelled) && aborted:
		e.counting.Aborted++
	case errors.Is(err, ErrCancelled) && e.unasked < unaskedMost:
		e.unasked++
	default:
		e.failStep(err)
		return
	}
	for _, s := range e.planned {
		s.rollback(e.model)
	}
}

// makeRoom frees cells after a step found none. The newest request goes back to the head of the
// queue with its text and sampler, to be prefilled again later: it loses time and no text. The
// oldest always goes on, so all come to an end. A request that is alone has reached the end of its
// context.
func (e *Engine) makeRoom(err error) {
	newest := e.active[len(e.active)-1]
	switch {
	case len(e.active) > 1:
		e.crowded = true
		e.counting.Requeued++
		r := newest.req
		e.vacate(newest)
		e.waiting = slices.Insert(e.waiting, 0, r)
	case newest.req.sampled > 0:
		e.finish(newest, FinishLength)
	default:
		e.fail(newest, fmt.Errorf("prefill a prompt of %d tokens, context of %d cells: %w",
			newest.req.prompt, e.limits.Ctx, err))
	}
}

func (e *Engine) failStep(err error) {
	err = fmt.Errorf("decode a step of %d requests: %w", len(e.planned), err)
	for _, s := range e.planned {
		e.fail(s, err)
	}
}

func (e *Engine) finish(s *slot, reason FinishReason) {
	r := s.req
	e.vacate(s)
	e.crowded = false
	r.finish(reason)
}

func (e *Engine) fail(s *slot, err error) {
	r := s.req
	e.vacate(s)
	e.crowded = false
	r.fail(err)
}

// vacate frees the slot and its cells.
func (e *Engine) vacate(s *slot) {
	s.clear(e.model)
	s.req = nil
	i := slices.Index(e.active, s)
	e.active = slices.Delete(e.active, i, i+1)
	e.free = append(e.free, s)
}

// endAll gives ErrClosed to everyone left.
func (e *Engine) endAll() {
	for len(e.active) > 0 {
		e.fail(e.active[0], ErrClosed)
	}
	for _, r := range e.waiting {
		r.fail(ErrClosed)
	}
	e.waiting = nil
	e.publish()
}

// publish shows the engine goroutine's counters to Stats.
func (e *Engine) publish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.publishLocked()
}

func (e *Engine) publishLocked() {
	c := &e.counting
	c.Active, c.Waiting, c.CellsUsed = len(e.active), len(e.waiting), 0
	for _, s := range e.active {
		c.CellsUsed += s.cached
	}
	e.stats = *c
}
