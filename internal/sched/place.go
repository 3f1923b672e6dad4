package sched

import "time"

// place finds room for the requests that have no model, oldest first.
func (s *Scheduler) place(now time.Time) {
	waiting := s.pending
	s.pending = nil
	freeing := s.freeing()
	served := map[string]bool{} // weights that the place of another is meant for
	for _, r := range waiting {
		m, weights := s.models[r.key], r.key.Weights
		switch {
		case m != nil && s.join(now, m, r):
			continue
		case m != nil || s.leaving(weights): // it is about to go, and comes back then
		case s.hasRoom(r.key):
			s.load(now, r)
			continue
		case served[weights]:
		case freeing > 0: // room is on its way
			freeing--
			served[weights] = true
		case s.evict(weights):
			served[weights] = true
		default:
			s.drain(now, r)
		}
		s.pending = append(s.pending, r)
	}
}

// leaving reports whether a context of weights takes no more requests. Another context of them has
// to wait then: two that take turns would keep the weights for ever.
func (s *Scheduler) leaving(weights string) bool {
	for _, m := range s.models {
		if m.key.Weights == weights && m.leaving && m.state != unloading {
			return true
		}
	}
	return false
}

// hasRoom reports whether a key can be loaded without another one going.
func (s *Scheduler) hasRoom(key Key) bool {
	weights := map[string]bool{}
	for _, m := range s.models {
		weights[m.key.Weights] = true
	}
	return weights[key.Weights] && !s.goingAway(key.Weights) || len(weights) < s.cfg.MaxModels
}

// goingAway reports whether all contexts of weights are being unloaded: what is loaded in that
// moment would read the weights again beside the old ones.
func (s *Scheduler) goingAway(weights string) bool {
	for _, m := range s.models {
		if m.key.Weights == weights && m.state != unloading {
			return false
		}
	}
	return true
}

// freeing counts the weights that are about to be free.
func (s *Scheduler) freeing() int {
	seen := map[string]bool{}
	n := 0
	for _, m := range s.models {
		if !seen[m.key.Weights] {
			seen[m.key.Weights] = true
			if s.goingAway(m.key.Weights) {
				n++
			}
		}
	}
	return n
}

func (s *Scheduler) load(now time.Time, r *request) {
	m := &model{
		key: r.key, state: loading, users: map[Ticket]bool{}, progress: now, used: now,
		keepAlive: s.clamp(r.keepAlive), queue: []*request{r},
	}
	s.models[r.key] = m
	s.fx.Load(r.key)
}

// evict unloads the idle weights that were used longest ago, those that are to stay for ever last.
// It reports false when all are in use.
func (s *Scheduler) evict(except string) bool {
	all := s.sorted()
	for _, pinned := range []bool{false, true} {
		for _, m := range all {
			if m.key.Weights != except && m.idle() && (m.keepAlive < 0) == pinned &&
				s.allIdle(m.key.Weights) {
				s.unloadWeights(m.key.Weights)
				return true
			}
		}
	}
	return false
}

func (s *Scheduler) allIdle(weights string) bool {
	for _, m := range s.models {
		if m.key.Weights == weights && !m.idle() && m.state != unloading {
			return false
		}
	}
	return true
}

func (s *Scheduler) unloadWeights(weights string) {
	for _, m := range s.sorted() {
		if m.key.Weights == weights && m.idle() {
			s.unload(m)
		}
	}
}

// drain makes the busy weights that were used longest ago take no more requests, if r has waited
// long.
func (s *Scheduler) drain(now time.Time, r *request) {
	victim := s.victim(r)
	if victim == nil || now.Sub(r.since) < s.cfg.Patience {
		return
	}
	for _, m := range s.sorted() {
		if m.key.Weights == victim.key.Weights && m.state != unloading {
			m.leaving = true
			s.rest(now, m)
		}
	}
}

// victim is a busy model that could be drained for r: the one used longest ago, or none while
// another is leaving already.
func (s *Scheduler) victim(r *request) *model {
	var found *model
	for _, m := range s.sorted() {
		if m.key.Weights == r.key.Weights {
			continue
		}
		if m.leaving || m.state == unloading {
			return nil
		}
		if m.state == ready && found == nil {
			found = m
		}
	}
	return found
}

// Loaded says that a load succeeded. A model computes slots requests at once.
func (s *Scheduler) Loaded(now time.Time, key Key, slots int) {
	m := s.models[key]
	m.state, m.slots, m.used = ready, slots, now
	queue := m.queue
	m.queue = nil
	for _, r := range queue {
		s.grant(now, m, r)
	}
	s.retire(key)
	s.rest(now, m)
	s.place(now)
}

// retire unloads the idle contexts that share the weights of a new one.
func (s *Scheduler) retire(key Key) {
	for _, m := range s.sorted() {
		if m.key.Weights == key.Weights && m.key != key && m.idle() {
			s.unload(m)
		}
	}
}

// LoadFailed says that a load failed. If that was for want of memory, an idle model goes and the
// load is tried again.
func (s *Scheduler) LoadFailed(now time.Time, key Key, err error, outOfMemory bool) {
	m := s.models[key]
	if outOfMemory && !s.closed && len(m.queue) > 0 && s.freeMemory(key) {
		m.state = starved
		return
	}
	if m.abandoned && !s.closed { // these came after it was given up
		s.pending = append(s.pending, m.queue...)
	} else {
		s.refuseQueue(m, err)
	}
	delete(s.models, key)
	s.place(now)
}

// freeMemory lets something idle go for a load: another context of its weights, or else other
// weights. It reports false when nothing goes.
func (s *Scheduler) freeMemory(key Key) bool {
	s.retire(key)
	for _, m := range s.models {
		if m.state == unloading {
			return true
		}
	}
	return s.evict(key.Weights)
}

// CanFree reports whether a load that fails for want of memory will be tried again, because
// something goes or can go. What is to stay for ever does not count: it makes room for a load that
// cannot do without, but not for one that could be slower.
func (s *Scheduler) CanFree(key Key) bool {
	for _, m := range s.models {
		can := m.key != key && m.idle() && m.keepAlive >= 0 &&
			(m.key.Weights == key.Weights || s.allIdle(m.key.Weights))
		if can || m.state == unloading {
			return !s.closed
		}
	}
	return false
}

// Unloaded says that an unload has ended.
func (s *Scheduler) Unloaded(now time.Time, key Key) {
	delete(s.models, key)
	for _, m := range s.sorted() {
		switch {
		case m.state != starved:
		case len(m.queue) == 0: // all who waited have gone
			delete(s.models, m.key)
		default:
			m.state, m.progress, m.abandoned = loading, now, false
			s.fx.Load(m.key)
		}
	}
	s.place(now)
}

// Progress says that a load goes on.
func (s *Scheduler) Progress(now time.Time, key Key) {
	if m := s.models[key]; m != nil {
		m.progress = now
	}
}

// Next is when Tick should be called if nothing happens before; false: never.
func (s *Scheduler) Next() (time.Time, bool) {
	var next time.Time
	consider := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, m := range s.models {
		switch {
		case m.idle():
			consider(m.expires)
		case m.watched():
			consider(m.progress.Add(s.cfg.LoadTimeout))
		}
	}
	for _, r := range s.pending {
		if s.models[r.key] == nil && s.mayDrain(r) {
			consider(r.since.Add(s.cfg.Patience))
		}
	}
	return next, !next.IsZero()
}

// mayDrain reports whether only its patience keeps r from draining a model.
func (s *Scheduler) mayDrain(r *request) bool {
	return !s.leaving(r.key.Weights) && !s.hasRoom(r.key) && s.freeing() == 0 &&
		s.victim(r) != nil
}

// watched reports whether a load can be given up for want of progress: one that was given up only
// fails those who came later.
func (m *model) watched() bool {
	return m.state == loading && (len(m.queue) > 0 || !m.abandoned)
}

func (s *Scheduler) abandon(m *model) {
	if !m.abandoned {
		m.abandoned = true
		s.fx.Abandon(m.key)
	}
}

// Tick does what is due at now.
func (s *Scheduler) Tick(now time.Time) {
	for _, m := range s.sorted() {
		switch {
		case m.idle() && !m.expires.IsZero() && !now.Before(m.expires):
			s.unload(m)
		case m.watched() && now.Sub(m.progress) >= s.cfg.LoadTimeout:
			s.refuseQueue(m, ErrStalled)
			s.abandon(m)
		}
	}
	s.place(now)
}
