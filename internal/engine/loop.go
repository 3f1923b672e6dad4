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
//
// Steps on a GPU leave the cores to the readers, so there the next one starts at once.
const yieldBelow = 8 * time.Millisecond

// collect takes new requests and drops cancelled ones. It waits while there is nothing to do, and
// reports false when the engine is closed.
func (e *Engine) collect() bool {
	for {
		if !e.receive() {
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

// receive takes the requests that were submitted. It reports false when the engine is closed.
func (e *Engine) receive() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.incoming) > 0 {
		e.waiting = append(e.waiting, e.incoming...)
		clear(e.incoming)
		e.incoming = e.incoming[:0]
		e.reap.Store(true) // a cancel may have come before its request
	}
	return !e.closed
}

const (
	// gatherMost is how long the first step of an idle GPU waits at most. With 64 requests that
	// come over HTTP at once, 16 cores have prompts for a full step 2 to 5 ms after the first.
	gatherMost = 5 * time.Millisecond
	// gatherQuiet is how long it waits for one more where requests came together the last time.
	gatherQuiet = time.Millisecond
)

// gather waits for more requests before a GPU that had nothing to do begins, as one step reads many
// prompts in hardly more time than one: for those that are expected, and for others if the last
// ones did not come alone. It reports false when the engine is closed.
func (e *Engine) gather() bool {
	if e.limits.Device && len(e.active) == 0 {
		quiet := time.Duration(0)
		if e.together > 1 {
			quiet = gatherQuiet
		}
		e.together = 0
		if !e.awaitMore(quiet) {
			return false
		}
	}
	e.together = max(e.together, len(e.active)+len(e.waiting))
	return true
}

// awaitMore waits until the step is full, or no request is expected and none has come for a time.
func (e *Engine) awaitMore(quiet time.Duration) bool {
	late, still := time.NewTimer(gatherMost), time.NewTimer(quiet)
	defer late.Stop()
	defer still.Stop()
	maybe := quiet > 0 // some may come that are not expected
	for (maybe || e.coming.Load() > 0) && !e.stepIsFull() {
		select {
		case <-late.C:
			return true
		case <-still.C:
			maybe = false
		case <-e.wake:
			n := len(e.waiting)
			if !e.receive() {
				return false
			}
			if len(e.waiting) > n {
				maybe = quiet > 0
				still.Reset(quiet)
			}
		}
	}
	return true
}

// stepIsFull reports whether those that wait have the tokens of a step, or all slots.
func (e *Engine) stepIsFull() bool {
	return e.waitingTokens() >= e.budget || len(e.waiting) >= len(e.free)
}

func (e *Engine) waitingTokens() (n int) {
	for _, r := range e.waiting {
		n += len(r.tokens)
	}
	return n
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

// admit gives slots to waiting requests, oldest first. A large one at the head is not overtaken,
// but one that waits for another's prefix is.
func (e *Engine) admit() {
	for len(e.free) > 0 {
		i := slices.IndexFunc(e.waiting, func(r *request) bool { return !e.awaits(r) })
		if i < 0 {
			return
		}
		r := e.waiting[i]
		p := e.prefix(r)
		if !e.fits(r, p) {
			return
		}
		e.waiting = slices.Delete(e.waiting, i, i+1)
		e.seat(r, p)
	}
}

// prefix is what the cache has of r, as far as r wants it.
func (e *Engine) prefix(r *request) prefix {
	if r.fresh {
		return prefix{}
	}
	return e.cache.find(r.tokens, r.adapters)
}

// seat gives r a slot whose sequence begins with the prefix p.
func (e *Engine) seat(r *request, p prefix) {
	s := e.free[len(e.free)-1]
	e.free = e.free[:len(e.free)-1]
	s.req, s.seq = r, e.cache.take(p, r.tokens, r.adapters)
	s.began, s.turn = s.seq.n, e.turns.number
	if r.admitted.IsZero() {
		r.admitted = time.Now()
		r.cached = s.seq.n
		e.counting.CachedTokens += s.seq.n
	}
	e.active = append(e.active, s)
}

// awaits reports whether r had better wait for a request whose prompt begins like its own and is
// being read right now: then it need not be read twice.
func (e *Engine) awaits(r *request) bool {
	return !r.fresh && slices.ContainsFunc(e.active, func(s *slot) bool {
		if s.pending() == 1 || !e.cache.pooled || s.req.adapters != r.adapters {
			return false
		}
		n := min(common(s.req.tokens, r.tokens), len(r.tokens)-1)
		if !e.cache.cuts && n < len(s.req.tokens)-1 {
			return false // it cannot be taken from there
		}
		return n >= awaitLeast && n > s.seq.n
	})
}

// fits reports whether the cache has cells for r, which begins with the prefix p, beside what the
// active slots hold or are about to. Idle prefixes make room. A request alone always fits, or
// [Engine.Submit] had refused it.
func (e *Engine) fits(r *request, p prefix) bool {
	if len(e.active) == 0 || !e.shared && !e.crowded {
		return true
	}
	if e.crowded {
		return false
	}
	used := e.cache.tree.held + r.cells()
	if p.seq != nil {
		used -= e.cache.tree.heldOf(p.seq, p.n)
	}
	for _, s := range e.active {
		used += s.req.cells() - s.seq.n
	}
	return used <= e.limits.Ctx
}

// step plans, runs and evaluates one step.
func (e *Engine) step() {
	if err := e.nextTurn(); err != nil {
		e.failTurn(err)
		return
	}
	e.plan()
	if !e.beginStep() {
		return
	}
	result, err := e.model.Step()
	aborted := e.endStep()
	if err == nil && len(result.Rows) != e.asked {
		err = fmt.Errorf("the model sampled %d rows of %d", len(result.Rows), e.asked)
	}
	if err != nil {
		e.recover(err, aborted)
		return
	}
	now := time.Now()
	e.count(&result, now)
	e.acceptRows(&result, now)
	if result.Decode < yieldBelow && !e.limits.Device {
		runtime.Gosched()
	}
}

// acceptRows takes the tokens of a step: one for each sampled slot, and more where drafts were
// right.
func (e *Engine) acceptRows(result *StepResult, now time.Time) {
	sampled := 0
	rows := result.Rows
	for _, s := range e.sampled {
		n, r := 1+len(s.drafts), s.req
		got := e.settle(s, rows[:n])
		rows = rows[n:]
		sampled += len(got)
		for i := 0; i < len(got) && s.req == r; i++ { // it may end with any of them
			e.accept(s, &got[i], now)
		}
	}
	e.counting.SampledTokens += sampled
	e.learnDrafts(result, sampled)
}

func (e *Engine) accept(s *slot, row *Row, now time.Time) {
	if row.Err != nil {
		e.fail(s, fmt.Errorf("sample token %d: %w", s.req.sampled+1, row.Err))
		return
	}
	if reason := s.req.accept(row, now); reason != "" {
		e.finish(s, reason)
		return
	}
	if s.req.shift(e.limits.sequence()) {
		e.shift(s)
	}
}

// shift leaves of the cache of s what its tokens still begin with.
func (e *Engine) shift(s *slot) {
	e.cache.retire(s.seq)
	tokens, adapters := s.req.tokens, s.req.adapters
	s.seq = e.cache.take(e.cache.find(tokens, adapters), tokens, adapters)
	s.began = s.seq.n
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
	if e.drafter != nil {
		overhead -= e.drafter.took
		c.Draft += e.drafter.took
	}
	e.returned = now
	tokens := 0
	for _, s := range e.planned {
		e.cache.tree.extend(s.seq, s.req.tokens[s.seq.n:s.seq.n+s.taken])
		if s.anchor {
			e.cache.anchor(s.seq)
			s.anchor = false
		}
		tokens += s.taken + len(s.drafts)
		s.req.steps++
		s.req.overhead += overhead
	}
	if !e.turns.changed {
		e.pace.learn(result.Decode, e.work)
	}
	e.turns.steps++
	e.turns.took += milliseconds(result.Decode)
	e.stall(milliseconds(result.Decode))
	c.DecodedTokens += tokens
	if len(result.Rows) > 0 {
		e.unasked = 0
	}
	c.Steps++
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
		e.cache.rollback(s.seq)
	}
}

// makeRoom frees cells after a step found none. The newest request goes back to the head of the
// queue with its text and sampler, to be prefilled again later: it loses time and no text. The
// oldest always goes on, so all come to an end. A request that is alone has reached the end of its
// context.
func (e *Engine) makeRoom(err error) {
	if e.cache.evict(evictLeast) {
		return // the step is tried again
	}
	newest := e.active[len(e.active)-1]
	switch {
	case len(e.active) > 1:
		e.crowded = true
		e.counting.Requeued++
		r := newest.req
		e.vacate(newest, false)
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
	e.vacate(s, true)
	e.crowded = false
	r.finish(reason)
}

func (e *Engine) fail(s *slot, err error) {
	r := s.req
	e.vacate(s, false)
	e.crowded = false
	r.fail(err)
}

// vacate frees the slot. Its sequence stays as an idle prefix if it is to be kept.
func (e *Engine) vacate(s *slot, keep bool) {
	if keep {
		e.cache.cut(s.seq, len(s.req.tokens)) // drafts may have been right beyond the end
		e.cache.retire(s.seq)
	} else {
		e.cache.drop(s.seq)
	}
	s.req, s.seq, s.anchor, s.drafts = nil, nil, false, s.drafts[:0]
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
	e.cache.dropIdle()
	e.drafter.close()
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
	tree := &e.cache.tree
	c.Active, c.Waiting = len(e.active), len(e.waiting)
	c.CellsUsed, c.CellsIdle = tree.held, tree.cells-tree.held
	e.stats = *c
	e.seats = e.seats[:0]
	for _, s := range e.active {
		r := s.req
		e.seats = append(e.seats, SlotStats{
			ID: int(s.seq.id), Prompt: r.prompt, Cached: r.cached, Generated: r.sampled,
			Prefilling: s.pending() > 1,
		})
	}
}
