package main

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mullama/mullama"
)

// table has the objects behind the handles of one kind. A number is used once, so that a closed
// handle never means another object.
type table[T any] struct {
	what string // for errors: "model"

	mu      sync.RWMutex // guards objects; a sync.Map costs each call more
	objects map[uintptr]T
}

// numbers counts the handles of all tables: the handle of a model is never that of a stream.
var numbers atomic.Uintptr

// handleStep keeps handles apart from small numbers, which may come from a mistake.
const handleStep = 16

func newTable[T any](what string) *table[T] {
	return &table[T]{what: what, objects: map[uintptr]T{}}
}

func (t *table[T]) add(object T) uintptr {
	handle := numbers.Add(handleStep)
	t.mu.Lock()
	t.objects[handle] = object
	t.mu.Unlock()
	return handle
}

func (t *table[T]) get(handle uintptr) (T, error) {
	t.mu.RLock()
	object, ok := t.objects[handle]
	t.mu.RUnlock()
	if !ok {
		return object, t.gone(handle)
	}
	return object, nil
}

// all returns the objects that are there.
func (t *table[T]) all() []T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Collect(maps.Values(t.objects))
}

// gone is the error of using a handle that is not there.
func (t *table[T]) gone(handle uintptr) error {
	state := "closed"
	if handle == 0 {
		state = "NULL"
	}
	return &mullama.Error{Kind: mullama.ErrClosed, Op: "use a " + t.what,
		Err: stateError(t.what + " is " + state)}
}

// remove takes an object out; false if it was not there.
func (t *table[T]) remove(handle uintptr) (T, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	object, ok := t.objects[handle]
	delete(t.objects, handle)
	return object, ok
}

// stateError says in which state a handle is.
type stateError string

func (e stateError) Error() string { return "the " + string(e) }

var (
	runtimes = newTable[engine]("runtime")
	models   = newTable[model]("model")
	indexes  = newTable[*index]("index")
	streams  = newTable[*stream]("stream")
)
