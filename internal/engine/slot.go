package engine

// slot is the engine's seat for a request. The engine goroutine owns it.
type slot struct {
	index  int32     // among the slots
	req    *request  // nil when free
	seq    *sequence // holds req.tokens[:seq.n]
	began  int       // tokens of the prefix that it was given
	taken  int       // tokens after those that are in this step's plan
	drafts []Token   // guessed to follow, in this step's plan too
	anchor bool      // the step ends where an anchor is wanted
	turn   int       // the last that its adapters had
}

// pending is how many tokens must be decoded before the next one can be sampled: 1 while
// generating, more while prefilling or after a loss of cells.
func (s *slot) pending() int { return len(s.req.tokens) - s.seq.n }

// fill adds the planned tokens of s to the step, and if they are the last a sampled row, and one
// more for each token that was drafted. It returns how many rows those are.
func (s *slot) fill(m Model) (rows int) {
	index := 0
	for pos := s.seq.n; pos < s.seq.n+s.taken; pos++ {
		index = m.Add(s.req.tokens[pos], int32(pos), s.seq.id)
	}
	if s.taken < s.pending() {
		return 0
	}
	m.Sample(index, s.req.sampler, s.req.top)
	for i, t := range s.drafts {
		index = m.Add(t, int32(s.seq.n+s.taken+i), s.seq.id)
		m.Sample(index, s.req.sampler, s.req.top)
	}
	return 1 + len(s.drafts)
}
