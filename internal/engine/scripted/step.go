package scripted

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mullama/mullama/internal/engine"
)

// Step checks the plan, puts its tokens in the cache and samples its rows.
func (m *Model) Step() (engine.StepResult, error) {
	before, start := len(m.Violations()), time.Now()
	m.check()
	m.record()
	fault := m.cfg.Fault(&m.plan)
	m.plan.Step++
	if m.Cached()+len(m.plan.Tokens) > m.cfg.Cells {
		return engine.StepResult{}, engine.ErrCacheFull
	}
	if err := m.wait(fault); err != nil {
		if !errors.Is(err, engine.ErrCacheFull) {
			m.store(m.plan.Tokens[:min(fault.Kept, len(m.plan.Tokens))])
		}
		return engine.StepResult{}, err
	}
	m.store(m.plan.Tokens)
	result := engine.StepResult{Rows: m.sample(), Decode: time.Since(start)}
	if all := m.Violations(); len(all) > before {
		return engine.StepResult{}, fmt.Errorf("scripted model: %s", all[before])
	}
	return result, nil
}

// wait spends the time of a step and returns how it ends.
func (m *Model) wait(fault Fault) error {
	m.mu.Lock()
	aborted := m.aborted
	m.mu.Unlock()
	if fault.Block {
		<-aborted
		return engine.ErrCancelled
	}
	timer := time.NewTimer(fault.Delay)
	defer timer.Stop()
	if fault.Delay > 0 {
		select {
		case <-aborted:
		case <-timer.C:
		}
	}
	select {
	case <-aborted:
		return engine.ErrCancelled
	default:
		return fault.Err
	}
}

func (m *Model) record() {
	if !m.cfg.Record {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.plans = append(m.plans, Plan{
		Step:   m.plan.Step,
		Tokens: slices.Clone(m.plan.Tokens),
		Rows:   slices.Clone(m.plan.Rows),

		Adapters: m.adapters,
	})
}

// check looks for what a real model would refuse or, worse, accept.
func (m *Model) check() {
	p, limits := &m.plan, m.cfg.Limits
	if n := len(p.Tokens); n == 0 || n > min(limits.Batch, limits.UBatch) {
		m.violate("step %d has %d tokens; 1 to %d are allowed", p.Step, n, limits.UBatch)
	}
	next := make([]int, len(m.seqs))
	for i := range m.seqs {
		next[i] = len(m.seqs[i])
	}
	for _, t := range p.Tokens {
		if t.Seq < 0 || int(t.Seq) >= len(m.seqs) {
			m.violate("step %d uses sequence %d of %d", p.Step, t.Seq, len(m.seqs))
			continue
		}
		if int(t.Pos) != next[t.Seq] || int(t.Pos) >= limits.CtxPerSeq {
			m.violate("step %d puts position %d of sequence %d after %d; %d are allowed",
				p.Step, t.Pos, t.Seq, next[t.Seq], limits.CtxPerSeq)
		}
		m.checkWindow(t, next[t.Seq])
		m.checkAdapters(t)
		next[t.Seq]++
	}
	m.checkRows()
}

// checkWindow looks whether all is there that the first token of a sequence in a step can see.
func (m *Model) checkWindow(t Planned, pos int) {
	w := m.cfg.Limits.Window
	if w > 0 && pos == len(m.seqs[t.Seq]) && m.first[t.Seq] > max(0, pos-w+1) {
		m.violate("step %d: position %d of sequence %d looks back %d; the model has it from %d on",
			m.plan.Step, pos, t.Seq, w, m.first[t.Seq])
	}
}

// checkAdapters looks whether all of a sequence was decoded with the adapters of this step.
func (m *Model) checkAdapters(t Planned) {
	for _, c := range m.seqs[t.Seq] {
		if c.adapters != m.adapters {
			m.violate("step %d has the adapters %v, and sequence %d those of %v", m.plan.Step,
				m.adapters.Scales(2), t.Seq, c.adapters.Scales(2))
			return
		}
	}
}

func (m *Model) checkRows() {
	p := &m.plan
	last := map[int32]int{}
	for i, t := range p.Tokens {
		last[t.Seq] = i
	}
	if most := max(m.cfg.Limits.Rows, m.cfg.Limits.Sequences); len(p.Rows) > most {
		m.violate("step %d samples %d rows of %d", p.Step, len(p.Rows), most)
	}
	rows, samplers := map[int]bool{}, map[*Sampler]bool{}
	for i, r := range p.Rows {
		if r.Index < 0 || r.Index >= len(p.Tokens) {
			m.violate("step %d samples row %d of %d", p.Step, r.Index, len(p.Tokens))
			continue
		}
		if draft := p.drafted(i); rows[r.Index] || samplers[r.sampler] != draft {
			m.violate("step %d uses row %d or its sampler twice", p.Step, r.Index)
		}
		if last[p.Tokens[r.Index].Seq] != r.Index && !p.drafted(i+1) {
			m.violate("step %d samples row %d, not the last of its sequence", p.Step, r.Index)
		}
		rows[r.Index], samplers[r.sampler] = true, true
	}
}

func (m *Model) store(tokens []Planned) {
	for _, t := range tokens {
		if t.Seq >= 0 && int(t.Seq) < len(m.seqs) {
			m.seqs[t.Seq] = append(m.seqs[t.Seq], &cell{t.Token, m.adapters})
		}
	}
	m.slide()
}

// slide forgets what lies behind the window, but not in every step: a real model does it when it
// needs cells.
func (m *Model) slide() {
	w := m.cfg.Limits.Window
	if w == 0 || m.plan.Step%3 == 0 {
		return
	}
	for i, seq := range m.seqs {
		m.first[i] = max(m.first[i], len(seq)-w+1)
	}
}

// tokens are those of a sequence. The result is used until the next call.
func (m *Model) tokens(seq int32) []engine.Token {
	m.held = m.held[:0]
	for _, c := range m.seqs[seq] {
		m.held = append(m.held, c.token)
	}
	return m.held
}

// sample fills the rows. The result is used until the next step, so its memory is too.
func (m *Model) sample() []engine.Row {
	m.rows = m.rows[:0]
	for i, r := range m.plan.Rows {
		seq := int32(-1)
		if r.Index >= 0 && r.Index < len(m.plan.Tokens) {
			seq = m.plan.Tokens[r.Index].Seq
		}
		if seq < 0 || int(seq) >= len(m.seqs) {
			continue // recorded as a violation
		}
		at := m.plan.Tokens[r.Index]
		if m.plan.drafted(i) && (m.rows[i-1].Token != at.Token || m.rows[i-1].End) {
			m.rows = append(m.rows, engine.Row{Token: -1, Skipped: true})
			continue
		}
		m.rows = append(m.rows, r.sampler.next(m.tokens(seq)[:at.Pos+1], r.Top))
	}
	return m.rows
}

// drafted reports whether row i is sampled only if the row before gave the token at it.
func (p *Plan) drafted(i int) bool {
	if i == 0 || i >= len(p.Rows) {
		return false
	}
	r, before := p.Rows[i], p.Rows[i-1]
	return r.sampler == before.sampler && r.Index == before.Index+1 && r.Index < len(p.Tokens) &&
		p.Tokens[r.Index].Seq == p.Tokens[before.Index].Seq
}
