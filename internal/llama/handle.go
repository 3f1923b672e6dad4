package llama

import "sync/atomic"

// handle counts the users of a native object: its owner until Close, every object made from it,
// and every call in flight. The last to leave frees it.
type handle struct {
	users  atomic.Int64
	closed atomic.Bool
	free   func()
}

// init makes the owner the first user.
func (h *handle) init(free func()) {
	h.free = free
	h.users.Store(1)
}

// acquire adds a user. It fails once the owner has closed the handle.
func (h *handle) acquire() error {
	for {
		n := h.users.Load()
		if n == 0 || h.closed.Load() {
			return ErrClosed
		}
		if h.users.CompareAndSwap(n, n+1) {
			return nil
		}
	}
}

func (h *handle) release() {
	if h.users.Add(-1) == 0 {
		h.free()
	}
}

// close ends the owner's use. Further calls do nothing.
func (h *handle) close() {
	if h.closed.CompareAndSwap(false, true) {
		h.release()
	}
}
