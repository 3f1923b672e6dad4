package engine

import "slices"

// The tree of what the KV cache holds. A run is a piece of it: tokens at consecutive positions
// whose cells belong to every sequence that passes through. A sequence is a path from the root,
// and ends at the end of a run. Only copies share cells: two sequences that computed the same
// tokens apart are two branches with equal tokens. So the used cells are exactly the tokens of all
// runs.
type tree struct {
	root  run
	cells int // in all runs
	held  int // in runs of running sequences
	epoch int // counts matches
}

// run is a node of the tree.
type run struct {
	parent   *run
	children []*run
	tokens   []Token
	start    int  // position of the first token
	seqs     int  // sequences that pass through or end here
	running  int  // those of them that belong to a slot
	used     int  // when a request last took it, on the cache's clock
	opaque   bool // made with tokens that were dropped since: nobody else may take it

	adapters Adapters // that its tokens were decoded with

	epoch int // the match that came here
	depth int // how many tokens agreed in it, from position 0 on
}

// sequence is one sequence id of the model. It is unused, running (it belongs to a slot) or idle.
type sequence struct {
	id      int32
	end     *run
	n       int // tokens
	running bool
	idle    bool

	adapters Adapters // that its tokens are decoded with
}

// stop is the position after the last token of r.
func (r *run) stop() int { return r.start + len(r.tokens) }

// extend books tokens that were decoded at the end of s.
func (t *tree) extend(s *sequence, tokens []Token) {
	if s.end == &t.root || s.end.seqs > 1 {
		r := &run{parent: s.end, start: s.n, seqs: 1, used: s.end.used, opaque: s.end.opaque,
			adapters: s.adapters}
		if s.running {
			r.running = 1
		}
		s.end.children = append(s.end.children, r)
		s.end = r
	}
	s.end.tokens = append(s.end.tokens, tokens...)
	s.n += len(tokens)
	t.cells += len(tokens)
	if s.running {
		t.held += len(tokens)
	}
}

// cut shortens s to its first n tokens.
func (t *tree) cut(s *sequence, n int) {
	for s.end != &t.root && s.end.start >= n {
		r := s.end
		s.end = r.parent
		t.leave(r, s)
	}
	if r := s.end; r != &t.root && r.stop() > n {
		if r.seqs > 1 {
			s.end = t.split(r, n)
			t.leave(r, s)
		} else {
			t.shrink(r, n)
		}
	}
	s.n = n
}

// shrink drops the tokens of r from position n on.
func (t *tree) shrink(r *run, n int) {
	lost := r.stop() - n
	r.tokens = r.tokens[:n-r.start]
	t.cells -= lost
	if r.running > 0 {
		t.held -= lost
	}
}

// leave takes s off r. A run without sequences is gone.
func (t *tree) leave(r *run, s *sequence) {
	if s.running {
		t.rest(r)
	}
	r.seqs--
	if r.seqs > 0 {
		return
	}
	t.cells -= len(r.tokens)
	i := slices.Index(r.parent.children, r)
	r.parent.children = slices.Delete(r.parent.children, i, i+1)
}

// share lets dst, which is empty, hold the first n tokens of src.
func (t *tree) share(src, dst *sequence, n int) {
	r := src.end
	for r.start >= n {
		r = r.parent
	}
	if n < r.stop() {
		r = t.split(r, n)
	}
	dst.end, dst.n, dst.adapters = r, n, src.adapters
	for ; r != &t.root; r = r.parent {
		r.seqs++
		if dst.running {
			t.hold(r)
		}
	}
}

// split divides r at position n, and returns the upper half. Whoever ended in r ends in the lower.
func (t *tree) split(r *run, n int) *run {
	k := n - r.start
	upper := &run{
		parent: r.parent, children: []*run{r}, tokens: r.tokens[:k:k], start: r.start,
		seqs: r.seqs, running: r.running, used: r.used, opaque: r.opaque,
		adapters: r.adapters, epoch: r.epoch, depth: min(r.depth, n),
	}
	r.parent.children[slices.Index(r.parent.children, r)] = upper
	r.parent, r.tokens, r.start = upper, r.tokens[k:], n
	if r.depth <= n {
		r.epoch = 0
	}
	return upper
}

// setRunning says whether s belongs to a slot.
func (t *tree) setRunning(s *sequence, running bool) {
	if s.running == running {
		return
	}
	s.running = running
	for r := s.end; r != &t.root; r = r.parent {
		if running {
			t.hold(r)
		} else {
			t.rest(r)
		}
	}
}

func (t *tree) hold(r *run) {
	r.running++
	if r.running == 1 {
		t.held += len(r.tokens)
	}
}

func (t *tree) rest(r *run) {
	r.running--
	if r.running == 0 {
		t.held -= len(r.tokens)
	}
}

// match compares tokens with every branch that was decoded with the same adapters. [tree.reach] has
// the result until the tree changes.
func (t *tree) match(tokens []Token, adapters Adapters) {
	t.epoch++
	t.root.epoch = t.epoch
	t.descend(&t.root, tokens, adapters)
}

func (t *tree) descend(r *run, tokens []Token, adapters Adapters) {
	for _, child := range r.children {
		if child.opaque || child.adapters != adapters {
			continue
		}
		n := common(child.tokens, tokens[child.start:])
		if n == 0 {
			continue
		}
		child.epoch, child.depth = t.epoch, child.start+n
		if n == len(child.tokens) {
			t.descend(child, tokens, adapters)
		}
	}
}

// reach is how many tokens at the start of s agree with the last match.
func (t *tree) reach(s *sequence) int {
	r := s.end
	for r.epoch != t.epoch {
		r = r.parent
	}
	return r.depth
}

// tokens are those of s from its start.
func (t *tree) tokens(s *sequence) []Token {
	all := make([]Token, s.n)
	for r := s.end; r != &t.root; r = r.parent {
		copy(all[r.start:], r.tokens)
	}
	return all
}

// alone is how many tokens at the end of s no other sequence holds.
func (t *tree) alone(s *sequence) int {
	n := 0
	for r := s.end; r != &t.root && r.seqs == 1; r = r.parent {
		n += len(r.tokens)
	}
	return n
}

// heldOf is how many of the first n tokens of s running sequences hold.
func (t *tree) heldOf(s *sequence, n int) int {
	for r := s.end; r != &t.root; r = r.parent {
		if r.running > 0 { // and so is everything above
			return min(n, r.stop())
		}
	}
	return 0
}

// touch notes that the whole of s is in use now.
func (t *tree) touch(s *sequence, now int) {
	for r := s.end; r != nil; r = r.parent {
		r.used = now
	}
}

// common is the length of the common start of a and b.
func common(a, b []Token) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
