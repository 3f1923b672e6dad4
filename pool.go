package mullama

import (
	"context"
	"errors"
	"sync"
)

// pool shares expensive values by key, each alive while somebody uses it. Callers of one key wait
// for one load. The zero value is ready.
type pool[T any] struct {
	mu      sync.Mutex
	entries map[string]*entry[T]
}

type entry[T any] struct {
	users int           // guarded by pool.mu
	ready chan struct{} // closed when value and err are set
	value T
	err   error
}

// get returns the value of key, from load if nobody has one that is usable, and a function that
// gives it back, to be called once. The last to give it back passes it to free. When the load fails
// because the context of the one who started it ended, those who waited try again.
func (p *pool[T]) get(
	ctx context.Context, key string, load func(context.Context) (T, error), usable func(T) bool,
	free func(T),
) (T, func(), error) {
	for {
		e, first := p.join(key)
		if first {
			e.value, e.err = load(ctx)
			close(e.ready)
		}
		select {
		case <-e.ready:
		case <-ctx.Done():
			p.leave(key, e, free)
			var none T
			return none, nil, context.Cause(ctx)
		}
		if e.err == nil && !first && !usable(e.value) {
			p.forget(key, e)
			p.leave(key, e, free)
			continue
		}
		if e.err == nil {
			return e.value, sync.OnceFunc(func() { p.leave(key, e, free) }), nil
		}
		p.forget(key, e)
		if first || ctx.Err() != nil || !errors.Is(wrap("", e.err), ErrCancelled) {
			return e.value, nil, e.err
		}
	}
}

func (p *pool[T]) join(key string) (e *entry[T], first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entries == nil {
		p.entries = map[string]*entry[T]{}
	}
	e = p.entries[key]
	if e == nil {
		e = &entry[T]{ready: make(chan struct{})}
		p.entries[key] = e
		first = true
	}
	e.users++
	return e, first
}

// leave ends one use of e; the value is freed after its last.
func (p *pool[T]) leave(key string, e *entry[T], free func(T)) {
	p.mu.Lock()
	e.users--
	last := e.users == 0
	if last && p.entries[key] == e {
		delete(p.entries, key)
	}
	p.mu.Unlock()
	if !last {
		return
	}
	<-e.ready // the last one may leave while the load still runs
	if e.err == nil {
		free(e.value)
	}
}

// forget drops an entry whose load failed, so that the next caller loads again.
func (p *pool[T]) forget(key string, e *entry[T]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entries[key] == e {
		delete(p.entries, key)
	}
}
