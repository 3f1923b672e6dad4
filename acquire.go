package mullama

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mullama/mullama/internal/sched"
)

// What Options that are not set stand for.
const (
	DefaultMaxModels   = 3
	DefaultMaxQueue    = 512
	DefaultKeepAlive   = 5 * time.Minute
	DefaultLoadTimeout = 5 * time.Minute
)

// patience is how long a request waits for a model to become idle before one in use is drained.
const patience = 2 * time.Second

// AcquireOptions say how a model is made ready for one request.
type AcquireOptions struct {
	// Load says how the model is loaded if it is not yet with these options. Nil: as
	// Options.Defaults say.
	Load *LoadOptions
	// KeepAlive is how long the model stays after its last use, within the bounds of Options. Nil:
	// Options.KeepAlive; 0: it is unloaded as soon as nobody uses it; negative: for ever.
	KeepAlive *time.Duration
}

// Lease is the use of a model by one request.
type Lease struct {
	Model    *Model        // shared with others; do not close it
	Stored   *StoredModel  // nil for a model that was named by its file
	LoadTime time.Duration // how long the request waited for the model

	release func()
}

// Release ends the use. It may be called more than once.
func (l *Lease) Release() { l.release() }

// RunningModel is a model that Acquire has loaded or is loading.
type RunningModel struct {
	Stored      StoredModel
	Size        int64 // bytes of weights, KV cache and buffers
	SizeVRAM    int64 // the part of it that is on GPUs
	Plan        *Plan // nil while it is loaded
	ContextSize int
	Expires     time.Time // when it is unloaded if nobody uses it; zero: not, or it is in use
	Busy        int       // requests that use it
	Waiting     int
	Slots       int
	Loading     bool
	Engine      EngineStats
}

// BusyError is the cause of an ErrBusy.
type BusyError = sched.BusyError

// acquirer is the scheduler with what its decisions act on.
type acquirer struct {
	runtime *Runtime

	mu      sync.Mutex // guards all below, and calls into sched
	sched   *sched.Scheduler
	next    sched.Ticket
	tickets map[sched.Ticket]*ticket
	jobs    map[sched.Key]*job
	timer   *time.Timer
	empty   chan struct{} // closed when nothing is left after Shutdown
}

// ticket is a request that waits or uses a model.
type ticket struct {
	ready chan error // nil: granted
	job   *job
}

// job is a model that is loaded or about to be.
type job struct {
	key    sched.Key
	path   string
	stored *StoredModel
	opts   LoadOptions
	model  *Model
	cancel context.CancelFunc // of the load
}

func newAcquirer(r *Runtime, o Options) *acquirer {
	a := &acquirer{runtime: r, tickets: map[sched.Ticket]*ticket{}, jobs: map[sched.Key]*job{},
		empty: make(chan struct{})}
	cfg := sched.Config{
		MaxModels: o.MaxModels, MaxQueue: o.MaxQueue, KeepAlive: o.KeepAlive,
		Min: o.MinKeepAlive, Max: o.MaxKeepAlive, LoadTimeout: o.LoadTimeout, Patience: patience,
	}
	if cfg.MaxModels <= 0 {
		cfg.MaxModels = DefaultMaxModels
	}
	if cfg.MaxQueue <= 0 {
		cfg.MaxQueue = DefaultMaxQueue
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = DefaultKeepAlive
	}
	if cfg.LoadTimeout <= 0 {
		cfg.LoadTimeout = DefaultLoadTimeout
	}
	a.sched = sched.New(cfg, effects{a})
	a.timer = time.AfterFunc(time.Hour, a.tick)
	a.timer.Stop()
	return a
}

// Acquire makes a model of the store, or of a file named by its path, ready for one request. It
// loads what is not loaded, unloads idle models where that needs room, and waits for its turn where
// all are in use. The caller releases the lease. Errors: ErrNotFound, ErrBusy, ErrOutOfMemory,
// ErrClosed, ErrCancelled, and those of [Runtime.Load].
func (r *Runtime) Acquire(ctx context.Context, name string, o AcquireOptions) (*Lease, error) {
	j, err := r.job(name, o.Load)
	if err != nil {
		return nil, err
	}
	if cause := context.Cause(ctx); cause != nil { // nothing is loaded for who has gone
		return nil, acquireError(name, cause)
	}
	began := time.Now()
	t := &ticket{ready: make(chan error, 1)}
	a := r.acquirer
	number := a.request(t, j, o.KeepAlive)
	select {
	case err = <-t.ready:
	case <-ctx.Done():
		a.cancel(number)
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, acquireError(name, err)
	}
	lease := &Lease{Model: t.job.model, Stored: j.stored, LoadTime: time.Since(began)}
	lease.release = sync.OnceFunc(func() { a.cancel(number) })
	return lease, nil
}

// acquireError gives an error of the scheduler its kind.
func acquireError(name string, err error) error {
	op := "load " + name
	busy := (*BusyError)(nil)
	switch {
	case errors.As(err, &busy):
		return &Error{Kind: ErrBusy, Op: op, Err: err, Hint: fmt.Sprintf(
			"try again in %d seconds", int(busy.RetryAfter.Seconds()+0.5))}
	case errors.Is(err, sched.ErrClosed):
		return &Error{Kind: ErrClosed, Op: op, Err: errors.New("the runtime is shutting down")}
	case errors.Is(err, sched.ErrStalled):
		return &Error{Kind: ErrInternal, Op: op, Err: err,
			Hint: "is the disk busy? a longer load timeout helps"}
	}
	return wrap(op, err)
}

// job looks a name up and fixes the options.
func (r *Runtime) job(name string, opts *LoadOptions) (*job, error) {
	j := &job{path: name, opts: r.defaults}
	if opts != nil {
		j.opts = *opts
	}
	if !isPath(name) {
		stored, err := r.Find(name)
		if err != nil {
			return nil, err
		}
		j.stored, j.path = stored, stored.Path
		if j.path == "" {
			return nil, &Error{Kind: ErrUnsupported, Op: "load " + name,
				Err: errors.New("its weights are not in a GGUF file")}
		}
		if why := tooNew(stored.Requires); why != "" {
			r.warnOnce(why, stored.Name)
		}
		stored.Complete(&j.opts)
	} else if _, err := os.Stat(name); err != nil {
		return nil, wrap("load "+name, withoutPath(err, name))
	}
	if err := j.opts.check("load " + name); err != nil {
		return nil, err
	}
	with, err := r.withDraft("load "+name, &j.opts)
	if err != nil {
		return nil, err
	}
	j.opts = *with
	weights, err := j.opts.weightsKey(j.path)
	if err != nil {
		return nil, wrap("load "+name, err)
	}
	whole, err := j.opts.key(j.path)
	j.key = sched.Key{Weights: weights, Context: whole}
	return j, wrap("load "+name, err)
}

// isPath tells a file from a name of the store.
func isPath(name string) bool {
	return filepath.IsAbs(name) || strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../")
}

func (a *acquirer) request(t *ticket, j *job, keepAlive *time.Duration) sched.Ticket {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next++
	a.tickets[a.next] = t
	if known := a.jobs[j.key]; known != nil {
		j = known
		if j.model != nil && !j.model.shared.usable() {
			a.sched.Stop(time.Now(), j.key) // it is loaded again for this request
		}
	} else {
		a.jobs[j.key] = j
	}
	t.job = j
	a.sched.Request(time.Now(), a.next, j.key, keepAlive)
	a.settle()
	return a.next
}

// cancel ends a request that waits, or the use of a model.
func (a *acquirer) cancel(t sched.Ticket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.tickets, t)
	a.sched.Cancel(time.Now(), t)
	a.settle()
}

func (a *acquirer) tick() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sched.Tick(time.Now())
	a.settle()
}

// settle sets the timer and forgets jobs that are done, after something happened. The caller holds
// a.mu.
func (a *acquirer) settle() {
	for key := range a.jobs {
		if !a.sched.Known(key) {
			delete(a.jobs, key)
		}
	}
	if next, ok := a.sched.Next(); ok {
		a.timer.Reset(max(0, time.Until(next)))
	} else {
		a.timer.Stop()
	}
	if a.sched.Closed() && a.sched.Empty() {
		select {
		case <-a.empty:
		default:
			close(a.empty)
		}
	}
}
