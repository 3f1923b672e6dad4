package engine

// slot is the engine's seat for a request: one sequence of the KV cache. The engine goroutine owns
// it.
type slot struct {
	seq    int32
	req    *request // nil when free
	cached int      // req.tokens[:cached] are in the KV cache
	taken  int      // tokens after those that are in this step's plan
}

// pending is how many tokens must be decoded before the next one can be sampled: 1 while
// generating, more while prefilling or after a loss of cells.
func (s *slot) pending() int { return len(s.req.tokens) - s.cached }

// plan adds the next n tokens of s to the step, and a sampled row if they are the last.
func (s *slot) plan(m Model, n int) (sampled bool) {
	s.taken = n
	index := 0
	for pos := s.cached; pos < s.cached+n; pos++ {
		index = m.Add(s.req.tokens[pos], int32(pos), s.seq)
	}
	if n < s.pending() {
		return false
	}
	m.Sample(index, s.req.sampler, s.req.top)
	return true
}

// rollback brings the cache to the state before a step that failed half-way. Models that cannot
// forget the tail of a sequence (recurrent ones) forget all of it and prefill again.
func (s *slot) rollback(m Model) {
	if !m.Remove(s.seq, int32(s.cached)) {
		s.clear(m)
	}
}

// clear frees the cells of the sequence.
func (s *slot) clear(m Model) {
	m.Remove(s.seq, 0)
	s.cached = 0
}
