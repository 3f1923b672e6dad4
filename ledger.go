package mullama

import (
	"sync"

	"github.com/mullama/mullama/internal/llama"
)

// ledger knows what loads that are under way will still take of each GPU: of two at once, the
// second must not count memory as free that the first was promised. The zero value is ready.
type ledger struct {
	fitting sync.Mutex // held from the look at the free memory until it is reserved

	mu       sync.Mutex // guards the below
	accounts map[string]*account
}

type account struct {
	loads    int
	promised uint64 // to all of them
	before   uint64 // free memory when there were none
}

// outstanding is what loads will still take of a device that has so much free memory now.
func (l *ledger) outstanding(device string, free uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[device]
	if a == nil {
		return 0
	}
	taken := a.before - min(a.before, free)
	return a.promised - min(a.promised, taken)
}

// reserve promises what a load will take. The result ends that, when the load is done; it may be
// called more than once.
func (l *ledger) reserve(memory []llama.Memory) (done func()) {
	if len(memory) == 0 {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	gpus := memory[:len(memory)-1]
	for _, m := range gpus {
		if l.accounts == nil {
			l.accounts = map[string]*account{}
		}
		a := l.accounts[m.Device]
		if a == nil {
			a = &account{before: m.Free}
			l.accounts[m.Device] = a
		}
		a.loads++
		a.promised += m.Weights + m.Cache + m.Compute
	}
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, m := range gpus {
			l.accounts[m.Device].end(m.Weights + m.Cache + m.Compute)
			if l.accounts[m.Device].loads == 0 {
				delete(l.accounts, m.Device)
			}
		}
	})
}

// end takes a load out that took size: it is not free any more, nor promised.
func (a *account) end(size uint64) {
	a.loads--
	a.promised -= size
	a.before -= min(a.before, size)
}
