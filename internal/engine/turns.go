package engine

import (
	"fmt"
	"slices"
)

// A step is computed with one set of adapters. Where requests with others are active, each set has
// its turn: some steps, because llama.cpp lays out all compute buffers anew for a change. For
// SmolLM2 that takes 5 ms of a CPU, as long as a token.
const (
	turnSteps = 8   // most steps of a turn while others wait
	turnTime  = 100 // milliseconds of steps after which it ends
)

// turns is whose turn it is.
type turns struct {
	adapters Adapters // of the running turn
	number   int      // of that turn
	steps    int      // that it had
	took     float64  // milliseconds that those took
	changed  bool     // the model has others than in the step before

	applied Adapters // that the model has
	unsure  bool     // it may have others, as a change failed
}

// nextTurn goes on with the running turn, or gives those one who had theirs longest ago. New slots
// come behind all that wait already, so nobody waits for ever.
func (e *Engine) nextTurn() error {
	t := &e.turns
	if next := e.longestAgo(); next != nil && !e.goesOn() {
		t.number++
		t.steps, t.took, t.adapters = 0, 0, next.req.adapters
		e.stalled = 0
	}
	t.changed = t.unsure || t.applied != t.adapters
	if !t.changed {
		return nil
	}
	err := e.model.Adapt(t.adapters)
	t.applied, t.unsure = t.adapters, err != nil
	if err != nil {
		return fmt.Errorf("apply adapters: %w", err)
	}
	return nil
}

// goesOn reports whether the running turn has requests and time left.
func (e *Engine) goesOn() bool {
	t := &e.turns
	mine := false
	for _, s := range e.active {
		if s.req.adapters == t.adapters {
			s.turn, mine = t.number, true
		}
	}
	return mine && t.steps < turnSteps && t.took < turnTime
}

// longestAgo is a slot with other adapters than those of the running turn. Nil: there is none.
func (e *Engine) longestAgo() (longest *slot) {
	for _, s := range e.active {
		if s.req.adapters != e.turns.adapters && (longest == nil || s.turn < longest.turn) {
			longest = s
		}
	}
	return longest
}

// failTurn ends the requests whose adapters cannot be applied.
func (e *Engine) failTurn(err error) {
	for _, s := range slices.Clone(e.active) {
		if s.req.adapters == e.turns.adapters {
			e.fail(s, err)
		}
	}
}
