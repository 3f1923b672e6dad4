package server

import (
	"context"
	"sync"
	"time"

	"github.com/mullama/mullama"
)

// linger is how long a model is held after a request that only needed its vocabulary. Such
// requests take less time than finding the model does, and often come in rows.
const linger = 100 * time.Millisecond

// borrowed are the models held for requests that need but a vocabulary or a template. Those at the
// same time, and soon after, share a lease.
type borrowed struct {
	mu     sync.Mutex    // guards all below
	linger time.Duration // how long a model is held that nobody uses
	held   map[string]*held
}

type held struct {
	lease *mullama.Lease
	users int
	timer *time.Timer // runs while there are no users
}

// borrow makes a model ready with the options that it is loaded with, if it is. The caller calls
// release.
func (s *Server) borrow(
	ctx context.Context, name string,
) (lease *mullama.Lease, release func(), err error) {
	if name, err = s.theModel(name); err != nil {
		return nil, nil, err
	}
	if lease := s.borrowed.join(name); lease != nil {
		note(ctx, func(n *notes) { n.model = lease.Stored.Name })
		return lease, func() { s.borrowed.leave(name) }, nil
	}
	stored, _, err := s.findAny(name)
	if err != nil {
		return nil, nil, err
	}
	settings, err := s.settings(stored, mullama.DefaultSampling(), nil)
	if err != nil {
		return nil, nil, err
	}
	lease, err = s.acquire(ctx, stored, settings, nil)
	if err != nil {
		return nil, nil, err
	}
	if s.draining.Load() || !s.borrowed.add(name, lease) {
		return lease, lease.Release, nil
	}
	return lease, func() { s.borrowed.leave(name) }, nil
}

// join returns a lease that is held, or nil.
func (b *borrowed) join(name string) *mullama.Lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.held[name]
	if h == nil {
		return nil
	}
	h.users++
	h.timer.Stop() // if it has gone off, it will find the user
	return h.lease
}

// add holds a lease with one user, unless there is one of this name already.
func (b *borrowed) add(name string, lease *mullama.Lease) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[name] != nil {
		return false
	}
	if b.held == nil {
		b.held = map[string]*held{}
	}
	h := &held{lease: lease, users: 1}
	h.timer = time.AfterFunc(time.Hour, func() { b.expire(name, h) })
	h.timer.Stop()
	b.held[name] = h
	return true
}

// leave ends one use.
func (b *borrowed) leave(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.held[name]
	if h.users--; h.users == 0 {
		h.timer.Reset(b.linger)
	}
}

// expire gives a lease back that nobody uses.
func (b *borrowed) expire(name string, h *held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.users > 0 || b.held[name] != h {
		return
	}
	delete(b.held, name)
	h.lease.Release()
}

// forget lets go of what nobody uses, so that a model can be unloaded at once.
func (b *borrowed) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, h := range b.held {
		if h.users == 0 {
			h.timer.Stop()
			delete(b.held, name)
			h.lease.Release()
		}
	}
}
