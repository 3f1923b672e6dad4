// Package scripted is a model that says what it is told to, for tests and for trying a binding
// without a model file.
//
// A [Model] implements engine.Model. A script decides from a request's prompt and sampling options
// which pieces it generates. The model keeps the contents of its KV cache as plain tokens, and for
// every sampled row compares them with the prompt and the tokens sampled before, so an engine that
// loses, repeats or mixes up a token is caught. It can be slow, stop half-way, run out of cells and
// fail on demand.
//
// As with engine.Model, one goroutine uses a Model, but for NewSampler, Limits and Abort, which are
// free to call, and Plans, Violations and Samplers, which read what was recorded.
package scripted

import (
	"fmt"
	"sync"
	"time"

	"github.com/mullama/mullama/internal/engine"
)

// Piece is one generated token.
type Piece struct {
	Token   engine.Token
	Bytes   []byte
	End     bool
	Logprob float32
	Top     []engine.TopToken
	Err     error // sampling it fails
}

// Script returns what is generated after prompt. An end of generation follows the last piece.
type Script func(prompt []engine.Token, s engine.Sampling) []Piece

// Config is the behaviour of a Model.
type Config struct {
	Limits engine.Limits
	Script Script
	// Fault is asked before each step what goes wrong in it. nil: nothing.
	Fault func(*Plan) Fault
	// Refuse makes NewSampler fail. nil: it never does.
	Refuse func(engine.Sampling) error
	// Unfit makes Adapt fail. nil: it never does.
	Unfit func(engine.Adapters) error
	// Cells is how many cells the cache has, where that is less than Limits.Ctx says.
	Cells int
	// Whole makes the model forget only whole sequences, as recurrent ones do.
	Whole bool
	// Shifts lets sequences lose tokens in their middle: only their end is compared.
	Shifts bool
	// Guess, instead of the Script, says what comes after the tokens of a sequence, as a model does
	// that drafts for another.
	Guess func(tokens []engine.Token) Piece
	// Record keeps every plan for Plans.
	Record bool
}

// Fault is what goes wrong in a step.
type Fault struct {
	Delay time.Duration // the step takes this long, or until it is aborted
	Block bool          // the step takes until it is aborted
	Err   error         // the step fails with it
	Kept  int           // tokens that stay in the cache when the step fails or is aborted
}

// Plan is one step as the engine asked for it.
type Plan struct {
	Step   int // counted from 0, failed ones too
	Tokens []Planned
	Rows   []Sampled

	Adapters engine.Adapters
}

// Planned is one token to decode.
type Planned struct {
	Token    engine.Token
	Pos, Seq int32
}

// Sampled is one row to sample.
type Sampled struct {
	Index   int
	Top     int
	sampler *Sampler
}

// Model is a scripted model. Use [New] to make one.
type Model struct {
	cfg   Config
	plan  Plan
	seqs  [][]*cell // the cache
	first []int     // per sequence, the first position that it has not lost behind the window
	rows  []engine.Row
	held  []engine.Token // of one sequence

	adapters engine.Adapters

	mu         sync.Mutex
	plans      []Plan
	violations []string
	samplers   int           // not closed yet
	aborted    chan struct{} // closed while Abort(true) holds
	aborts     int
	resting    bool // Abort(false) was last
}

// cell is one cell of the cache. Sequences that were copied share theirs.
type cell struct {
	token    engine.Token
	adapters engine.Adapters // that it was decoded with
}

// New returns a model with an empty cache.
func New(cfg Config) *Model {
	if cfg.Cells == 0 {
		cfg.Cells = cfg.Limits.Ctx
	}
	if cfg.Fault == nil {
		cfg.Fault = func(*Plan) Fault { return Fault{} }
	}
	return &Model{
		cfg:     cfg,
		seqs:    make([][]*cell, cfg.Limits.Sequences),
		first:   make([]int, cfg.Limits.Sequences),
		aborted: make(chan struct{}),
		resting: true,
	}
}

// Limits returns those of the Config.
func (m *Model) Limits() engine.Limits { return m.cfg.Limits }

// NewSampler returns a sampler that follows the script.
func (m *Model) NewSampler(s engine.Sampling) (engine.Sampler, error) {
	if m.cfg.Refuse != nil {
		if err := m.cfg.Refuse(s); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samplers++
	return &Sampler{model: m, sampling: s}, nil
}

// Adapt changes the adapters of the steps to come.
func (m *Model) Adapt(a engine.Adapters) error {
	if m.cfg.Unfit != nil {
		if err := m.cfg.Unfit(a); err != nil {
			return err
		}
	}
	m.adapters = a
	return nil
}

// Begin starts a plan.
func (m *Model) Begin() {
	step := m.plan.Step
	m.plan = Plan{Step: step, Tokens: m.plan.Tokens[:0], Rows: m.plan.Rows[:0]}
}

// Add plans a token.
func (m *Model) Add(token engine.Token, pos, seq int32) int {
	m.plan.Tokens = append(m.plan.Tokens, Planned{token, pos, seq})
	return len(m.plan.Tokens) - 1
}

// Sample asks for a row.
func (m *Model) Sample(index int, s engine.Sampler, topLogprobs int) {
	sampler, ok := s.(*Sampler)
	if !ok {
		m.violate("row %d has a sampler of type %T", index, s)
		return
	}
	m.plan.Rows = append(m.plan.Rows, Sampled{index, topLogprobs, sampler})
}

// Remove forgets the end of a sequence.
func (m *Model) Remove(seq, from int32) bool {
	if int(seq) >= len(m.seqs) || seq < 0 {
		m.violate("remove from sequence %d of %d", seq, len(m.seqs))
		return false
	}
	if int(from) >= len(m.seqs[seq]) {
		return true
	}
	if m.cfg.Whole && from > 0 {
		return false
	}
	m.seqs[seq] = m.seqs[seq][:from]
	if from == 0 {
		m.first[seq] = 0
	}
	return true
}

// Copy lets dst hold the first n tokens of src too. In a pool they share the cells.
func (m *Model) Copy(src, dst, n int32) {
	if int(src) >= len(m.seqs) || int(dst) >= len(m.seqs) || src == dst ||
		int(n) > len(m.seqs[src]) || len(m.seqs[dst]) > 0 ||
		m.cfg.Whole && int(n) < len(m.seqs[src]) {
		m.violate("copy %d tokens of sequence %d to %d", n, src, dst)
		return
	}
	m.first[dst] = m.first[src]
	for _, c := range m.seqs[src][:n] {
		if l := m.cfg.Limits; l.CtxPerSeq*l.Sequences <= l.Ctx {
			c = &cell{c.token, c.adapters}
		}
		m.seqs[dst] = append(m.seqs[dst], c)
	}
}

// First returns the first position of seq.
func (m *Model) First(seq int32) int32 {
	if m.first[seq] >= len(m.seqs[seq]) {
		return -1
	}
	return int32(m.first[seq])
}

// Abort stops the running step and all steps to come, until it is called with false.
func (m *Model) Abort(stop bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if stop == !m.resting {
		return
	}
	m.resting = !stop
	if stop {
		m.aborts++
		close(m.aborted)
		return
	}
	m.aborted = make(chan struct{})
}

// Plans returns the recorded plans.
func (m *Model) Plans() []Plan {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.plans
}

// Violations returns what the engine did wrong, one sentence each.
func (m *Model) Violations() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.violations
}

// Samplers returns how many samplers are not closed.
func (m *Model) Samplers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.samplers
}

// Aborts returns how often a step was asked to stop.
func (m *Model) Aborts() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.aborts
}

// Cached returns how many cells of the cache are used. Only while no engine uses the model.
func (m *Model) Cached() int {
	cells := map[*cell]bool{}
	for _, seq := range m.seqs {
		for _, c := range seq {
			cells[c] = true
		}
	}
	return len(cells)
}

func (m *Model) violate(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.violations = append(m.violations, fmt.Sprintf(format, args...))
}
