package engine

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// What DraftConfig.Most is if it is not set: as in llama.cpp for a model, and more for a lookup,
// which costs nothing. On CPUs with AMX up to seven rows of a request are rounded as one is.
const (
	DefaultDraftTokens  = 3
	DefaultLookupTokens = 6
)

// lookupLength is how many tokens must have come before for what followed them to be a guess.
const lookupLength = 3

// DraftConfig says who guesses the next tokens of those who generate, so that the model computes
// several tokens of a request in one step, and in which way. What was guessed wrong is forgotten,
// so the text is that of the model alone.
type DraftConfig struct {
	// Model has the vocabulary of the Engine's, and a sequence for each slot. Like the other model
	// it belongs to the Engine. Nil: there is none.
	Model Model
	// Lookup, where there is no Model, guesses that what followed the last tokens when they came
	// before in the same text follows again.
	Lookup bool
	// Sampling picks the likeliest token.
	Sampling Sampling
	// Most is how many tokens are drafted for a request at once. 0: DefaultDraftTokens, or
	// DefaultLookupTokens.
	Most int
	// Least is how many must be drafted for a request to be worth a try.
	Least int
	// Probability is that which a drafted token has at least by the draft model.
	Probability float32
	// Always drafts where steps without drafts were found to be faster, too.
	Always bool
}

// drafter has a smaller model guess. It has one sequence for each slot, which keeps what the slot's
// last request left there. The engine goroutine owns it.
type drafter struct {
	DraftConfig
	limits  Limits
	vocab   int // tokens of the other model; 0: not known
	seqs    []draftSequence
	busy    []*slot // for which the next token is guessed
	paying  []payoff
	slots   int           // most at once for which there is room in the draft model's cache
	took    time.Duration // to draft for the planned step
	drafted int           // tokens for that step
	behind  bool          // the draft model was still reading what it had missed
	mode    *payoff       // that chose for the planned step; nil: nothing to choose
	failure error         // why there are no more drafts
}

// draftSequence is one sequence of the draft model.
type draftSequence struct {
	held    []Token
	fed     int // tokens of its request in the step being made
	sampler Sampler
}

// newDrafter returns nil where nobody drafts, or can: what a model with a state has read stays.
func newDrafter(cfg *DraftConfig, limits Limits, slots int) *drafter {
	if limits.Rows == 0 || limits.Whole || cfg.Model == nil && !cfg.Lookup {
		return nil
	}
	d := &drafter{DraftConfig: *cfg, limits: limits, vocab: limits.Vocab,
		paying: make([]payoff, slots+1), slots: slots}
	if d.Most <= 0 {
		d.Most = DefaultDraftTokens
	}
	if cfg.Model == nil {
		d.Most = cmp.Or(max(0, cfg.Most), DefaultLookupTokens)
		return d
	}
	if d.limits = cfg.Model.Limits(); d.limits.Whole {
		return nil
	}
	d.seqs = make([]draftSequence, min(slots, d.limits.Sequences))
	for i := range d.seqs {
		if d.seqs[i].sampler, d.failure = d.Model.NewSampler(d.Sampling); d.failure != nil {
			d.seqs = d.seqs[:i]
			break
		}
		d.seqs[i].sampler.Prime(nil)
	}
	return d
}

// close gives back what the draft model has.
func (d *drafter) close() {
	if d == nil {
		return
	}
	for i := range d.seqs {
		d.seqs[i].sampler.Close()
		d.Model.Remove(int32(i), 0)
	}
}

// draftRows guesses the tokens after those of all who generate, if that makes them faster.
func (e *Engine) draftRows() {
	d := e.drafter
	if d == nil || len(e.rows) == 0 {
		return
	}
	most := e.draftMost()
	if most < max(1, d.Least) || d.failure != nil || len(e.rows) > d.slots {
		return
	}
	d.mode = &d.paying[len(e.rows)]
	if !d.Always && !d.mode.drafts() {
		return
	}
	start := time.Now()
	d.failure = d.draft(e.rows, most)
	if d.failure != nil {
		d.mode = nil
		e.counting.DraftFailure, e.counting.DraftsPaused = d.failure, true
	}
	e.trimDrafts()
	d.took = time.Since(start)
}

// draftMost is how many tokens can be drafted for each of those who generate.
func (e *Engine) draftMost() int {
	rows := min(e.budget, e.limits.Rows)
	if e.cache.pooled {
		rows = min(rows, e.limits.Ctx-e.cache.tree.held)
	}
	most := min(e.drafter.Most, rows/len(e.rows)-1)
	for _, s := range e.rows {
		if e.drafter.Model != nil && int(s.index) >= len(e.drafter.seqs) {
			return 0
		}
		if !e.cache.pooled {
			most = min(most, e.draftRoom(s))
		}
	}
	return most
}

// draftRoom is how many drafted tokens s can use: with the one that follows them it must end at the
// latest where it would without drafts.
func (e *Engine) draftRoom(s *slot) int {
	full := min(e.limits.sequence(), e.drafter.limits.sequence())
	return min(s.req.most-s.req.sampled-1, full-len(s.req.tokens))
}

// trimDrafts drops drafts that are too short. Where sequences have cells of their own, llama.cpp
// computes equally many tokens of each together, so there all get as many as the one with the
// fewest.
func (e *Engine) trimDrafts() {
	fewest := e.drafter.Most
	for _, s := range e.rows {
		s.drafts = s.drafts[:max(0, min(len(s.drafts), e.draftRoom(s)))]
		if len(s.drafts) < e.drafter.Least {
			s.drafts = s.drafts[:0]
		}
		fewest = min(fewest, len(s.drafts))
	}
	for _, s := range e.rows {
		if !e.cache.pooled {
			s.drafts = s.drafts[:fewest]
		}
		n := len(s.drafts)
		e.drafter.drafted += n
		e.work.rows += n
		e.work.reach += reachOf(n, e.reach(s)+1)
	}
}

// dropDrafts begins a step without drafts.
func (e *Engine) dropDrafts() {
	if d := e.drafter; d != nil {
		d.took, d.drafted, d.behind, d.mode = 0, 0, false, nil
	}
	for _, s := range e.active {
		s.drafts = s.drafts[:0]
	}
}

// draft guesses up to most tokens for each slot, one for all of them in a step.
func (d *drafter) draft(slots []*slot, most int) error {
	if d.Model == nil {
		for _, s := range slots {
			s.drafts = append(s.drafts[:0], lookup(s.req.tokens, most)...)
		}
		return nil
	}
	d.busy = append(d.busy[:0], slots...)
	for n := 0; n < most && len(d.busy) > 0; n++ {
		if err := d.guess(); err != nil {
			if !errors.Is(err, ErrCacheFull) {
				return err
			}
			d.makeRoom(slots)
			return nil
		}
	}
	return nil
}

// lookup returns up to most tokens that followed when the last ones came before, the latest time.
func lookup(tokens []Token, most int) []Token {
	last := len(tokens) - lookupLength
	for i := last - 1; i >= 0; i-- {
		if slices.Equal(tokens[i:i+lookupLength], tokens[last:]) {
			next := tokens[i+lookupLength:]
			return next[:min(most, len(next))]
		}
	}
	return nil
}

// guess adds a token to the drafts of those who are busy. Who has much to read still gets none.
func (d *drafter) guess() error {
	d.Model.Begin()
	room := min(d.limits.Batch, d.limits.UBatch)
	busy := d.busy[:0]
	for _, s := range d.busy {
		if n := d.feed(s, room); n > 0 {
			room -= n
			busy = append(busy, s)
		}
	}
	d.busy = busy
	if len(busy) == 0 {
		return nil
	}
	result, err := d.Model.Step()
	if err != nil {
		d.rollback()
		return err
	}
	rows := result.Rows
	busy = d.busy[:0]
	for _, s := range d.busy {
		q := &d.seqs[s.index]
		d.book(s, q)
		if len(q.held) < len(s.req.tokens)+len(s.drafts) {
			continue // it was not sampled
		}
		if row := &rows[0]; d.usable(row) {
			s.drafts = append(s.drafts, row.Token)
			busy = append(busy, s)
		}
		rows = rows[1:]
	}
	d.busy = busy
	return nil
}

// feed plans what the draft model has not read yet of s and its drafts, up to room tokens, and
// returns how many those are: 0 if it cannot read on.
func (d *drafter) feed(s *slot, room int) int {
	q := &d.seqs[s.index]
	if len(s.drafts) == 0 {
		d.cut(s, q)
	}
	total := len(s.req.tokens) + len(s.drafts)
	if total > d.limits.sequence() {
		return 0
	}
	n := min(total-len(q.held), room)
	d.behind = d.behind || n < total-len(q.held)
	q.fed = 0
	index := 0
	for i := range n {
		t := s.token(len(q.held) + i)
		if d.limits.Vocab > 0 && int(t) >= d.limits.Vocab {
			return q.fed // never sampled, as it cannot be read to its end
		}
		index = d.Model.Add(t, int32(len(q.held)+i), s.index)
		q.fed++
	}
	if len(q.held)+n == total {
		top := -1
		if d.Probability > 0 {
			top = 0
		}
		d.Model.Sample(index, q.sampler, top)
	}
	return n
}

// book notes that the draft model has read what was planned of s.
func (d *drafter) book(s *slot, q *draftSequence) {
	for range q.fed {
		q.held = append(q.held, s.token(len(q.held)))
	}
	q.fed = 0
}

// token is the one at position i of s and its drafts.
func (s *slot) token(i int) Token {
	if i < len(s.req.tokens) {
		return s.req.tokens[i]
	}
	return s.drafts[i-len(s.req.tokens)]
}

// cut leaves of q what s begins with, but for its last token, which is read to guess the next.
func (d *drafter) cut(s *slot, q *draftSequence) {
	n := min(common(q.held, s.req.tokens), len(s.req.tokens)-1)
	if n == len(q.held) {
		return
	}
	if !d.Model.Remove(s.index, int32(n)) || n > 0 && !d.sees(s.index, n) {
		d.Model.Remove(s.index, 0)
		n = 0
	}
	q.held = q.held[:n]
}

// sees reports whether the draft model has all that a token at position n of a sequence looks at.
func (d *drafter) sees(seq int32, n int) bool {
	if d.limits.Window == 0 {
		return true
	}
	first := int(d.Model.First(seq))
	return first >= 0 && first <= max(0, n-d.limits.Window+1)
}

// usable reports whether the other model may be asked about a guessed token. The end of a text is
// not drafted: nothing comes after it.
func (d *drafter) usable(row *Row) bool {
	if row.Err != nil || row.End || d.vocab > 0 && int(row.Token) >= d.vocab {
		return false
	}
	return d.Probability <= 0 || row.Logprob >= logOf(d.Probability)
}

// rollback forgets what a step that failed may have left.
func (d *drafter) rollback() {
	for _, s := range d.busy {
		q := &d.seqs[s.index]
		if !d.Model.Remove(s.index, int32(len(q.held))) {
			d.Model.Remove(s.index, 0)
			q.held = q.held[:0]
		}
		q.fed = 0
	}
}

// makeRoom forgets what others than these slots have left in a cache that is full. If that is
// nothing, there is no more drafting for so many at once.
func (d *drafter) makeRoom(slots []*slot) {
	freed := 0
	for i := range d.seqs {
		q := &d.seqs[i]
		used := false
		for _, s := range slots {
			used = used || int(s.index) == i
		}
		if !used && len(q.held) > 0 {
			freed += len(q.held)
			d.Model.Remove(int32(i), 0)
			q.held = q.held[:0]
		}
	}
	if freed == 0 {
		d.slots = len(slots) - 1
	}
}

// settle keeps of the drafts of s those of which the model said the same, and cuts off the others.
func (e *Engine) settle(s *slot, rows []Row) (sampled []Row) {
	n := 0
	for n+1 < len(rows) && !rows[n+1].Skipped {
		n++
	}
	if len(s.drafts) == 0 {
		return rows
	}
	if n > 0 {
		e.cache.tree.extend(s.seq, s.drafts[:n])
	}
	if n < len(s.drafts) {
		e.cache.rollback(s.seq)
	}
	s.req.drafts++
	s.req.drafted += len(s.drafts)
	s.req.agreed += n
	e.counting.Drafted += len(s.drafts)
	e.counting.DraftsAccepted += n
	return rows[:n+1]
}

// learnDrafts books what a step with or without drafts cost that sampled so many tokens.
func (e *Engine) learnDrafts(result *StepResult, sampled int) {
	d := e.drafter
	if d == nil || d.mode == nil || len(e.prefill) > 0 || sampled == 0 {
		return
	}
	// A lookup that finds nothing costs nothing, and says nothing about drafts.
	if empty := d.Model == nil && d.mode.with && d.drafted == 0; !d.behind && !empty {
		d.mode.learn(milliseconds(d.took+result.Decode+result.Sample), float64(sampled))
	}
	e.counting.DraftsPaused = d.mode.known && !d.mode.better
	d.mode = nil
}
