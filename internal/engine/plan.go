package engine

import "slices"

// plan fills the step: one token for each slot that generates, and prompt tokens, short prompts
// first, until the budget is used. Where sequences have cells of their own, llama.cpp computes
// those tokens apart in any case, so there a step has either: prompts get their first token sooner,
// and steps that generate have the same shape each time, which a GPU can run as a recorded graph.
func (e *Engine) plan() {
	e.model.Begin()
	e.planned, e.sampled, e.asked = e.planned[:0], e.sampled[:0], 0
	e.sort()
	e.work = work{rows: len(e.rows)}
	for _, s := range e.rows {
		e.work.reach += e.reach(s)
	}
	switch {
	case len(e.prefill) == 0:
		e.draftRows()
		e.takeRows()
	case e.cache.pooled:
		e.takeRows()
		e.planPrompts(e.budget-len(e.rows), e.pace.spare(e.work, len(e.prefill)), true)
	default:
		e.planApart()
	}
	e.fill()
}

// sort tells those who generate from those whose prompt is to be read, and leaves out those whose
// turn it is not. The last token of a prompt
// that is read in a step of its own goes with prompts where these have steps of their own.
func (e *Engine) sort() {
	e.rows, e.prefill = e.rows[:0], e.prefill[:0]
	e.dropDrafts()
	for _, s := range e.active {
		if s.req.adapters != e.turns.adapters {
			continue
		}
		if s.pending() == 1 && (e.cache.pooled || s.req.sampled > 0) {
			e.rows = append(e.rows, s)
		} else {
			e.prefill = append(e.prefill, s)
		}
	}
}

// planApart plans either prompts or rows: prompts until their steps have taken the time that one
// may take beside rows, then a step of rows.
func (e *Engine) planApart() {
	rows := e.work
	if e.stalled == 0 {
		e.patience = e.pace.spare(rows, len(e.prefill))
	}
	e.work = work{}
	e.planPrompts(e.budget, e.patience-e.stalled, e.stalled == 0)
	if len(e.planned) == 0 {
		e.work = rows
		e.takeRows()
	}
}

// stall books that those who generate have waited for a step of prompts, or that they need not.
func (e *Engine) stall(took float64) {
	if e.cache.pooled || len(e.rows) == 0 || e.work.rows > 0 {
		took, e.stalled = 0, 0
	}
	e.stalled += took
}

func (e *Engine) takeRows() {
	for _, s := range e.rows {
		e.take(s, 1)
	}
}

// fill gives the plan to the model. Where sequences have cells of their own, llama.cpp computes
// those together whose numbers follow one another in the batch.
func (e *Engine) fill() {
	if !e.cache.pooled {
		slices.SortFunc(e.planned, func(a, b *slot) int { return int(a.seq.id - b.seq.id) })
	}
	total := 0
	for _, s := range e.planned {
		if n := s.fill(e.model); n > 0 {
			e.sampled = append(e.sampled, s)
			e.asked += n
		}
		total += s.taken + len(s.drafts)
	}
	e.cache.reserve(total)
}

// planPrompts spends room for so many tokens, and so many milliseconds, on prompts. The first is
// read on however little time there is if must is set.
//
// Where sequences have cells of their own, prompts of which the cache has all but a token go apart
// from the others. llama.cpp computes sequences together while they have tokens left, and then only
// those whose numbers follow one another: a step of 15 prompts of 129 tokens took 19 ms on an H200,
// and 80 with 25 single tokens among them.
func (e *Engine) planPrompts(room int, spare float64, must bool) {
	e.orderPrompts()
	single := e.prefill[0].pending() == 1
	for _, s := range e.prefill {
		if !e.cache.pooled && single != (s.pending() == 1) {
			continue
		}
		reach := e.reach(s)
		fit := e.pace.fit(spare, reach)
		if must {
			fit = max(fit, leastChunk)
		}
		n := e.part(s, fit, room, must)
		if n <= 0 {
			continue
		}
		must = false
		spare -= e.pace.cost(n, reach)
		room -= n
		e.takePrompt(s, n)
		e.work.tokens += s.taken
		e.work.reach += reachOf(s.taken, reach)
	}
}

// oldestTurn is how often a step begins with the oldest prompt: every so many steps.
const oldestTurn = 4

// orderPrompts puts those first that are over soonest. So that a long one gets on beside any number
// of short ones, the oldest has its turn.
func (e *Engine) orderPrompts() {
	oldest := e.prefill[0] // they are in the order of their arrival
	slices.SortStableFunc(e.prefill, func(a, b *slot) int { return a.pending() - b.pending() })
	if e.turn++; e.turn%oldestTurn == 0 {
		i := slices.Index(e.prefill, oldest)
		e.prefill = slices.Insert(slices.Delete(e.prefill, i, i+1), 0, oldest)
	}
}

// part is how many tokens of the prompt of s to read when so many fit in the time and in the step.
// Where sequences have cells of their own, parts make more work than whole prompts, as llama.cpp
// computes those together that are equally long. So there a prompt is read to its end if that takes
// a quarter more time than there is, and only the first in a step is begun for a few tokens.
func (e *Engine) part(s *slot, fit, room int, first bool) int {
	const finishMore, leastPart = 4, 64
	whole := s.pending()
	if e.cache.pooled {
		return min(whole, fit, room)
	}
	if whole-whole/(finishMore+1) <= fit {
		fit = whole
	}
	if n := min(fit, room); n == whole || first || n >= max(leastPart, e.budget/4) {
		return n
	}
	return 0
}

// takePrompt plans n tokens of the prompt of s, or one less where the last needs a step of its own.
func (e *Engine) takePrompt(s *slot, n int) {
	last := n == s.pending()
	s.anchor = last && e.cache.anchors(len(s.req.tokens)-s.began)
	if s.anchor || last && s.req.repeats && n > 1 {
		n--
	}
	e.take(s, n)
}

// reach is how many cells the next token of s looks at: those of its sequence, or all that are
// used where they come from one pool.
func (e *Engine) reach(s *slot) int {
	if e.cache.pooled {
		return e.cache.tree.cells
	}
	return s.seq.n
}

// take plans the next n tokens of s.
func (e *Engine) take(s *slot, n int) {
	s.taken = n
	e.planned = append(e.planned, s)
}
