package mullama

import (
	"context"
	"errors"
	"time"

	"github.com/mullama/mullama/internal/sched"
)

// effects does what the scheduler decides. Its methods run with the acquirer's lock held; what
// takes time gets a goroutine, which ends with an event for the scheduler.
type effects struct{ *acquirer }

func (e effects) Load(key sched.Key) {
	j := e.jobs[key]
	var ctx context.Context
	ctx, j.cancel = context.WithCancel(context.Background())
	go e.load(ctx, j)
}

func (e effects) Abandon(key sched.Key) { e.jobs[key].cancel() }

func (e effects) Unload(key sched.Key) {
	j := e.jobs[key]
	go func() {
		_ = j.model.Close() // it returns nil, always
		e.event(func(now time.Time) {
			j.model = nil
			e.sched.Unloaded(now, key)
		})
	}()
}

func (e effects) Grant(t sched.Ticket) {
	if waiting := e.tickets[t]; waiting != nil {
		waiting.ready <- nil
	}
}

func (e effects) Refuse(t sched.Ticket, err error) {
	if waiting := e.tickets[t]; waiting != nil {
		delete(e.tickets, t)
		waiting.ready <- err
	}
}

// event tells the scheduler that something happened.
func (a *acquirer) event(tell func(now time.Time)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	tell(time.Now())
	a.settle()
}

// load runs a load to its end. While other models could make room, this one is to fit on the GPUs
// as a whole; after that, as much of it as does.
func (a *acquirer) load(ctx context.Context, j *job) {
	opts := j.opts
	progress := opts.Progress
	opts.Progress = func(fraction float32) {
		a.event(func(now time.Time) { a.sched.Progress(now, j.key) })
		if progress != nil {
			progress(fraction)
		}
	}
	for again := true; again; {
		a.event(func(time.Time) { opts.whole = a.sched.CanFree(j.key) })
		model, err := a.runtime.Load(ctx, j.path, &opts)
		a.event(func(now time.Time) { again = a.loaded(now, j, model, err, opts.whole) })
	}
}

// loaded tells the scheduler how a load ended. It reports true when it has to be tried once more,
// because those that could have made room are in use by now.
func (a *acquirer) loaded(now time.Time, j *job, model *Model, err error, whole bool) bool {
	full := errors.Is(err, ErrOutOfMemory)
	if full && whole && !a.sched.CanFree(j.key) {
		return true
	}
	j.cancel()
	if err != nil {
		a.sched.LoadFailed(now, j.key, err, full)
		return false
	}
	j.model = model
	a.sched.Loaded(now, j.key, model.Slots())
	return false
}

// Running lists the models that Acquire has loaded or is loading, the one used last first.
func (r *Runtime) Running() []RunningModel {
	a := r.acquirer
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []RunningModel
	for _, s := range a.sched.Models() {
		all = append(all, a.jobs[s.Key].running(s))
	}
	return all
}

func (j *job) running(s sched.Status) RunningModel {
	m := RunningModel{
		Busy: s.Users, Waiting: s.Waiting, Expires: s.Expires, Loading: s.Loading,
		ContextSize: j.opts.ContextSize,
	}
	if j.stored != nil {
		m.Stored = *j.stored
	} else {
		m.Stored = StoredModel{Name: j.path, Path: j.path}
	}
	if j.model != nil && !s.Loading {
		m.ContextSize, m.Slots = j.model.ContextSize(), j.model.Slots()
		m.Engine = j.model.EngineStats()
		if m.Plan = j.model.Plan(); m.Plan != nil {
			m.Size, m.SizeVRAM = sizes(m.Plan)
		}
	}
	return m
}

// sizes are what a model takes and the part of it on GPUs. Where all layers are on GPUs, what is
// left in this machine's memory, the table of tokens and buffers, does not count: Ollama's clients
// take a model for one that is partly on the CPU unless both are equal.
func sizes(p *Plan) (size, vram int64) {
	all, gpu := p.Size()
	if p.GPULayers == p.Layers && p.CPUExperts == 0 {
		all = gpu
	}
	return int64(all), int64(gpu)
}

// Unload lets the model of a name go when its requests have ended. It returns ErrNotFound when
// there is no such model in the store.
func (r *Runtime) Unload(name string) error {
	j, err := r.job(name, nil)
	if err != nil {
		return err
	}
	a := r.acquirer
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, other := range a.jobs {
		if other.path == j.path {
			a.sched.Stop(time.Now(), key)
		}
	}
	a.settle()
	return nil
}

// Shutdown refuses new leases with ErrClosed and waits for the running ones, until ctx ends; then
// their streams are cancelled. Models are unloaded. It returns the cause of ctx's end if that came
// first.
func (r *Runtime) Shutdown(ctx context.Context) error {
	a := r.acquirer
	a.event(a.sched.Shutdown)
	select {
	case <-a.empty:
		return nil
	case <-ctx.Done():
	}
	a.mu.Lock()
	for _, j := range a.jobs {
		if j.model != nil {
			j.model.stop(ErrClosed)
		}
	}
	a.mu.Unlock()
	return context.Cause(ctx)
}
