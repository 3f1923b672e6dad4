package engine

import "slices"

const (
	// idleLeast is how many cells idle prefixes may hold in a small cache.
	idleLeast = 512
	// reuseLeast is the shortest prefix that is kept or taken: a shorter one is computed sooner
	// than looked after.
	reuseLeast = 16
	// awaitLeast is how many tokens of a prompt must be the same as those that another request is
	// reading for it to be worth waiting for.
	awaitLeast = 32
	// evictLeast is how many cells are freed at once, where an idle prefix has that many: while the
	// cache is full every step needs some, and each time the model looks at all its cells.
	evictLeast = 64
	// anchorLeast is how many new tokens a prompt has that is worth an anchor, which costs one more
	// step.
	anchorLeast = 32
	// moveLeast is the shortest prefix that is worth a copy between sequences with cells of their
	// own, for which the model copies all cells and not just their owner.
	moveLeast = 128
)

// cache decides which sequence of the model holds what. The sequence of a finished request stays as
// an idle prefix until its cells or its id are needed. A new request takes the longest prefix there
// is, by continuing an idle sequence or by a copy of any.
//
// Models with a sliding window lose cells behind it, and recurrent ones have but the state at the
// end of a sequence. There, an idle copy is left at the end of each prompt, an anchor, and a prefix
// is taken only where the model still has all that it needs to go on exactly.
type cache struct {
	model  Model
	limits Limits
	pooled bool // copies share cells, and all sequences take theirs from one pool
	cuts   bool // any part of a sequence can be kept or taken
	tree   tree
	all    []sequence  // by id
	spare  []*sequence // unused, the next one last
	idle   []*sequence
	clock  int // counts what happens to idle prefixes

	idleMost int // cells that idle prefixes may hold together
}

// prefix is the first n tokens of a sequence.
type prefix struct {
	seq *sequence // nil: none
	n   int
}

func newCache(model Model, limits Limits, pooled bool) *cache {
	c := &cache{
		model:  model,
		limits: limits,
		pooled: pooled,
		cuts:   limits.Window == 0 && !limits.Whole,
		all:    make([]sequence, limits.Sequences),

		idleMost: max(limits.Ctx/8, idleLeast),
	}
	for id := limits.Sequences - 1; id >= 0; id-- {
		s := &c.all[id]
		s.id, s.end = int32(id), &c.tree.root
		c.spare = append(c.spare, s)
	}
	return c
}

// find returns the longest prefix of tokens that can be taken, decoded with the same adapters. The
// last token is not part of it: it must be decoded to sample the next one.
func (c *cache) find(tokens []Token, adapters Adapters) (best prefix) {
	if len(c.tree.root.children) == 0 {
		return best
	}
	c.tree.match(tokens[:len(tokens)-1], adapters)
	for i := range c.all {
		s := &c.all[i]
		if n := c.tree.reach(s); n >= reuseLeast && c.better(prefix{s, n}, best) && c.takes(s, n) {
			best = prefix{s, n}
		}
	}
	return best
}

// better prefers the longer prefix, then one that can be continued in place.
func (c *cache) better(a, b prefix) bool {
	if a.n != b.n {
		return a.n > b.n
	}
	return a.whole() && !b.whole()
}

// whole reports whether p is an idle sequence and all of it.
func (p prefix) whole() bool { return p.seq.idle && p.n == p.seq.n }

// takes reports whether going on after the first n tokens of s gives what it would give had they
// been decoded just now.
func (c *cache) takes(s *sequence, n int) bool {
	if !c.pooled && !s.idle && n < moveLeast {
		return false
	}
	return n == s.n || c.cuts || !c.limits.Whole && c.windowed(s, n)
}

// windowed reports whether the model has all positions of s that a token at position n can see.
func (c *cache) windowed(s *sequence, n int) bool {
	first := int(c.model.First(s.id))
	return first >= 0 && first <= max(0, n-c.limits.Window+1)
}

// take returns a running sequence that holds the prefix p of tokens, or less of it, and goes on
// with the same adapters.
func (c *cache) take(p prefix, tokens []Token, adapters Adapters) *sequence {
	c.clock++
	s := c.choose(p)
	s.adapters = adapters
	switch {
	case s == p.seq:
		c.wake(s)
		c.cut(s, p.n)
	case p.seq != nil && (c.pooled || p.n >= moveLeast):
		c.copy(p, s, tokens)
	}
	c.tree.setRunning(s, true)
	c.tree.touch(s, c.clock)
	if !c.pooled && p.seq != nil && p.seq.idle && s.n == p.n && p.seq.n-p.n < moveLeast {
		c.drop(p.seq) // s has nearly all of it
	}
	return s
}

// choose returns the sequence for a request that begins with p: that of p, or one that is unused.
func (c *cache) choose(p prefix) *sequence {
	if c.pooled {
		if p.seq != nil && p.whole() && (c.cuts || len(c.spare) == 0) {
			return p.seq
		}
		return c.unused(p)
	}
	return c.place(p)
}

func (c *cache) copy(p prefix, to *sequence, tokens []Token) {
	c.model.Copy(p.seq.id, to.id, int32(p.n))
	if c.pooled {
		c.tree.share(p.seq, to, p.n)
	} else {
		to.adapters = p.seq.adapters
		c.tree.extend(to, tokens[:p.n])
	}
}

// unused returns a sequence that holds nothing, giving up the idle one that is worth least. That
// may be the one that p is a part of: then it comes as it is.
func (c *cache) unused(p prefix) *sequence {
	if len(c.spare) == 0 {
		worst := slices.MinFunc(c.idle, func(a, b *sequence) int {
			return compare(c.worth(a, p), c.worth(b, p))
		})
		if worst == p.seq {
			return worst
		}
		c.drop(worst)
	}
	s := c.spare[len(c.spare)-1]
	c.spare = c.spare[:len(c.spare)-1]
	return s
}

// worth is what it would cost to compute s again, less the longer nobody asked for it. Of a
// sequence that is to be continued after p, only the rest would be lost.
func (c *cache) worth(s *sequence, p prefix) float64 {
	lost := c.own(s)
	if s == p.seq {
		lost = min(lost, s.n-p.n)
	}
	return float64(lost+1) / float64(c.clock-s.end.used+1)
}

// own is how many tokens would be lost with s.
func (c *cache) own(s *sequence) int {
	if c.cuts {
		return c.tree.alone(s)
	}
	return s.n
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// retire makes a running sequence an idle prefix, if it is of use as one.
func (c *cache) retire(s *sequence) {
	c.clock++
	c.tree.setRunning(s, false)
	if s.n < reuseLeast || s.end.opaque || c.has(s) {
		c.drop(s)
		return
	}
	c.tree.touch(s, c.clock)
	s.idle = true
	c.idle = append(c.idle, s)
	c.trim()
}

// trim forgets idle prefixes, those used longest ago first, while they hold more than a share of
// the cache. The one that was used last stays in any case: its conversation may go on.
//
// They are not free. llama.cpp's attention looks at every used cell of a pool for every token, so
// on two cores SmolLM2 takes 5 ms for a token beside none and 8 ms beside 2000 cells of others.
func (c *cache) trim() {
	for c.pooled && len(c.idle) > 1 && c.tree.cells-c.tree.held > c.idleMost {
		last := slices.MaxFunc(c.idle, func(a, b *sequence) int { return a.end.used - b.end.used })
		oldest := slices.MinFunc(c.idle, func(a, b *sequence) int {
			return a.end.used - b.end.used
		})
		if oldest == last {
			return
		}
		c.drop(oldest)
	}
}

// has reports whether other sequences make s superfluous.
func (c *cache) has(s *sequence) bool {
	if c.cuts {
		return s.end != &c.tree.root && s.end.seqs > 1
	}
	return slices.ContainsFunc(c.idle, func(other *sequence) bool {
		return other != s && other.end == s.end && other.n == s.n
	})
}

// anchor leaves an idle copy of s where it ends now, for models that cannot go back there later.
func (c *cache) anchor(s *sequence) {
	if c.has(s) || len(c.spare)+len(c.idle) == 0 {
		return
	}
	c.clock++
	to := c.unused(prefix{})
	c.copy(prefix{s, s.n}, to, nil)
	c.tree.touch(to, c.clock)
	to.idle = true
	c.idle = append(c.idle, to)
}

// anchors reports whether a prompt is worth an anchor, of which n tokens are new.
func (c *cache) anchors(n int) bool { return !c.cuts && c.pooled && n > anchorLeast }

// reserve makes room for n more cells as far as idle prefixes hold them.
func (c *cache) reserve(n int) {
	if !c.pooled {
		return
	}
	for need := c.tree.cells + n - c.limits.Ctx; need > 0; need = c.tree.cells + n - c.limits.Ctx {
		if !c.evict(need) {
			return
		}
	}
}

// evict frees up to n cells of the idle prefix that is worth least, or reports that there is none.
// Where the model can keep a part of it, the end goes first.
func (c *cache) evict(n int) bool {
	if len(c.idle) == 0 {
		return false
	}
	c.clock++
	worst := slices.MinFunc(c.idle, func(a, b *sequence) int {
		if c.cuts {
			return a.end.used - b.end.used // a cell costs the same everywhere
		}
		return compare(c.worth(a, prefix{}), c.worth(b, prefix{}))
	})
	if rest := worst.n - max(n, evictLeast); c.cuts && rest > worst.n-c.tree.alone(worst) {
		c.cut(worst, rest)
	} else {
		c.drop(worst)
	}
	return true
}

// cut shortens s to n tokens, which the model must be able to do.
func (c *cache) cut(s *sequence, n int) {
	if n < s.n {
		c.model.Remove(s.id, int32(n))
		c.tree.cut(s, n)
	}
}

// rollback brings the model to what the tree says of s, after a step that failed half-way. What
// cannot be mended is forgotten.
func (c *cache) rollback(s *sequence) {
	if !c.model.Remove(s.id, int32(s.n)) || s.n > 0 && c.limits.Window > 0 && !c.windowed(s, s.n) {
		c.clear(s)
	}
}

// clear forgets all of s.
func (c *cache) clear(s *sequence) {
	c.model.Remove(s.id, 0)
	c.tree.cut(s, 0)
}

// drop makes s unused.
func (c *cache) drop(s *sequence) {
	c.wake(s)
	c.clear(s)
	c.tree.setRunning(s, false)
	c.spare = append(c.spare, s)
}

// dropIdle forgets all idle prefixes.
func (c *cache) dropIdle() {
	for len(c.idle) > 0 {
		c.drop(c.idle[0])
	}
}

// wake takes s off the idle ones.
func (c *cache) wake(s *sequence) {
	if !s.idle {
		return
	}
	s.idle = false
	i := slices.Index(c.idle, s)
	c.idle = slices.Delete(c.idle, i, i+1)
}
