package engine

import "slices"

// Where sequences have cells of their own, llama.cpp computes those together whose ids follow one
// another, and reads all weights once more for each gap. So running sequences are kept side by
// side: a request gets the place beside one that runs, and an idle prefix that is in the way moves.

// place returns the sequence for a request that begins with p: that of p, or one that is unused.
func (c *cache) place(p prefix) *sequence {
	// An idle sequence goes on where it is if that does not lose much of what others may ask for.
	stays := p.seq != nil && p.seq.idle && p.seq.n-p.n < moveLeast
	places := c.places()
	if stays && slices.Contains(places, p.seq) {
		return p.seq
	}
	s := slices.MinFunc(places, func(a, b *sequence) int { return compare(c.price(a), c.price(b)) })
	if s.idle {
		c.evacuate(s, p)
	}
	c.claim(s)
	return s
}

// claim takes s off the spare ones, if it is one.
func (c *cache) claim(s *sequence) {
	c.spare = slices.DeleteFunc(c.spare, func(other *sequence) bool { return other == s })
}

// places are the sequences that do not run but whose neighbours do, or all where nobody runs.
func (c *cache) places() []*sequence {
	var all, beside []*sequence
	for i := range c.all {
		s := &c.all[i]
		switch {
		case s.running:
		case c.runs(i-1) || c.runs(i+1):
			beside = append(beside, s)
		default:
			all = append(all, s)
		}
	}
	if len(beside) > 0 {
		return beside
	}
	return all
}

func (c *cache) runs(i int) bool { return i >= 0 && i < len(c.all) && c.all[i].running }

// price says how much it costs to take s for another request. A gap between two that run is filled
// first.
func (c *cache) price(s *sequence) float64 {
	i := int(s.id)
	switch {
	case c.runs(i-1) && c.runs(i+1):
		return -1
	case s.idle:
		return c.worth(s, prefix{})
	}
	return 0
}

// outlasts reports whether the idle sequence s is worth so much more than other that it should have
// the place of that. Those left by requests that came together are of the same age, whichever was
// the last: in a burst of requests each would move one over another, which keeps nothing of more
// worth, and the model copies all cells of a sequence each time before it begins.
func (c *cache) outlasts(s, other *sequence) bool {
	const times = 4
	rounds := func(s *sequence) int { return (c.clock-s.end.used)/len(c.all) + 1 }
	return c.own(s)*rounds(other) >= times*c.own(other)*rounds(s)
}

// evacuate makes the idle sequence s unused. What it holds moves to a spare sequence, or to that of
// the idle prefix which is worth far less; p, which somebody is about to take, stays.
func (c *cache) evacuate(s *sequence, p prefix) {
	to := s
	if len(c.spare) > 0 {
		to = slices.MaxFunc(c.spare, func(a, b *sequence) int { return int(a.id - b.id) })
	} else {
		for _, other := range c.idle {
			if other != p.seq && c.worth(other, prefix{}) < c.worth(to, prefix{}) {
				to = other
			}
		}
	}
	if to == s || s == p.seq || s.n < moveLeast || to.idle && !c.outlasts(s, to) {
		c.drop(s)
		return
	}
	if to.idle {
		c.drop(to)
	}
	c.claim(to)
	used := s.end.used
	c.copy(prefix{s, s.n}, to, c.tree.tokens(s))
	c.tree.touch(to, used)
	to.idle = true
	c.idle = append(c.idle, to)
	c.drop(s)
}
