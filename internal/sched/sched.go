package sched

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Key is what can be loaded: weights, and a context of them.
type Key struct{ Weights, Context string }

// Ticket is the number of a request. The owner chooses it and uses it once.
type Ticket uint64

// Forever as a keep-alive time keeps a model until its place is needed.
const Forever = time.Duration(-1)

// Config are the limits. None may be zero but the bounds of the keep-alive time.
type Config struct {
	MaxModels   int           // weights that are loaded at the same time
	MaxQueue    int           // requests that wait for one key
	KeepAlive   time.Duration // of requests that ask for none; negative: Forever
	Min, Max    time.Duration // bounds of the keep-alive time; 0: none
	LoadTimeout time.Duration // a load may make no progress for so long
	Patience    time.Duration // wait for an idle model before a busy one is drained
}

// Effects are what a Scheduler has done. They are called inside its methods and must not call back.
type Effects interface {
	// Load starts a load; Loaded or LoadFailed follows.
	Load(Key)
	// Abandon asks a load to stop; Loaded or LoadFailed still follows.
	Abandon(Key)
	// Unload starts an unload; Unloaded follows.
	Unload(Key)
	// Grant lets a request use its model until Release.
	Grant(Ticket)
	// Refuse ends a request.
	Refuse(Ticket, error)
}

// Reasons to refuse, beside the errors of loads.
var (
	ErrClosed  = errors.New("the scheduler is shut down")
	ErrStalled = errors.New("the load made no progress")
)

// BusyError refuses a request because too many wait already.
type BusyError struct {
	Waiting    int
	RetryAfter time.Duration // estimate of when there is room
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%d requests are waiting for this model", e.Waiting)
}

type state int

const (
	loading state = iota
	starved       // a load that ran out of memory; waits for an unload to try again
	ready
	unloading
)

// model is a key that is loaded, or about to be or to go.
type model struct {
	key       Key
	state     state
	users     map[Ticket]bool
	slots     int
	queue     []*request // wait for the load
	keepAlive time.Duration
	expires   time.Time // of an idle one; zero: never
	used      time.Time
	progress  time.Time // of the load
	abandoned bool      // the load was asked to stop
	leaving   bool      // takes no more requests, and goes when idle
	gave      time.Time // last release
	pace      time.Duration
}

func (m *model) idle() bool { return m.state == ready && len(m.users) == 0 }

// request waits.
type request struct {
	ticket    Ticket
	key       Key
	keepAlive *time.Duration
	since     time.Time
}

// Scheduler is the state machine. One goroutine at a time uses it.
type Scheduler struct {
	cfg     Config
	fx      Effects
	models  map[Key]*model
	pending []*request // no model of theirs is loaded or loading; oldest first
	holds   map[Ticket]Key
	closed  bool
}

// New returns a Scheduler that has nothing loaded.
func New(cfg Config, fx Effects) *Scheduler {
	return &Scheduler{cfg: cfg, fx: fx, models: map[Key]*model{}, holds: map[Ticket]Key{}}
}

// Request asks for a model. A nil keepAlive is the default.
func (s *Scheduler) Request(now time.Time, t Ticket, key Key, keepAlive *time.Duration) {
	if s.closed {
		s.fx.Refuse(t, ErrClosed)
		return
	}
	r := &request{ticket: t, key: key, keepAlive: keepAlive, since: now}
	m := s.models[key]
	if waiting, full := s.full(key, m); full {
		s.fx.Refuse(t, &BusyError{Waiting: waiting, RetryAfter: m.retryAfter(waiting)})
		return
	}
	if m == nil || !s.join(now, m, r) {
		s.pending = append(s.pending, r)
	}
	s.place(now)
}

// full reports how many wait for a key, those that have the model but no slot of it among them, and
// whether that is all there may be.
func (s *Scheduler) full(key Key, m *model) (waiting int, full bool) {
	waiting = s.without(key, m)
	if m != nil {
		waiting += max(0, len(m.users)-m.slots)
	}
	return waiting, waiting >= s.cfg.MaxQueue
}

// without counts those that wait for a model.
func (s *Scheduler) without(key Key, m *model) int {
	n := 0
	for _, r := range s.pending {
		if r.key == key {
			n++
		}
	}
	if m != nil {
		n += len(m.queue)
	}
	return n
}

// retryAfter estimates when one of waiting requests has been served.
func (m *model) retryAfter(waiting int) time.Duration {
	if m == nil || m.pace == 0 {
		return time.Second
	}
	const most = 10 * time.Minute
	return min(most, max(time.Second, time.Duration(waiting)*m.pace/2))
}

// join adds a request to a model that is there, if it takes any.
func (s *Scheduler) join(now time.Time, m *model, r *request) bool {
	if m.leaving || m.state == unloading {
		return false
	}
	if m.state == ready {
		s.grant(now, m, r)
	} else {
		m.queue = append(m.queue, r)
	}
	return true
}

func (s *Scheduler) grant(now time.Time, m *model, r *request) {
	m.users[r.ticket] = true
	s.holds[r.ticket] = m.key
	m.used, m.expires = now, time.Time{}
	m.keepAlive = s.clamp(r.keepAlive)
	s.fx.Grant(r.ticket)
}

// clamp bounds what a request asks for.
func (s *Scheduler) clamp(asked *time.Duration) time.Duration {
	d := s.cfg.KeepAlive
	if asked != nil {
		d = *asked
	}
	if d < 0 && s.cfg.Max > 0 {
		d = s.cfg.Max
	}
	if d < 0 {
		return Forever
	}
	d = max(d, s.cfg.Min)
	if s.cfg.Max > 0 {
		d = min(d, s.cfg.Max)
	}
	return d
}

// Release ends the use of a model.
func (s *Scheduler) Release(now time.Time, t Ticket) {
	key, held := s.holds[t]
	if !held {
		return
	}
	delete(s.holds, t)
	m := s.models[key]
	delete(m.users, t)
	if !m.gave.IsZero() {
		const weight = 8 // of the past in the average
		m.pace += (now.Sub(m.gave) - m.pace) / weight
	}
	m.gave, m.used = now, now
	s.rest(now, m)
	s.place(now)
}

// rest decides what becomes of a model that may have become idle.
func (s *Scheduler) rest(now time.Time, m *model) {
	switch {
	case !m.idle():
	case m.leaving || m.keepAlive == 0 || s.closed:
		s.unload(m)
	case m.keepAlive < 0:
		m.expires = time.Time{}
	default:
		m.expires = now.Add(m.keepAlive)
	}
}

func (s *Scheduler) unload(m *model) {
	m.state = unloading
	s.fx.Unload(m.key)
}

// Cancel ends a request that waits. One that was granted is released.
func (s *Scheduler) Cancel(now time.Time, t Ticket) {
	if _, held := s.holds[t]; held {
		s.Release(now, t)
		return
	}
	is := func(r *request) bool { return r.ticket == t }
	s.pending = slices.DeleteFunc(s.pending, is)
	for _, m := range s.models {
		m.queue = slices.DeleteFunc(m.queue, is)
	}
	s.place(now)
}

// Stop lets a model go when it is idle; later requests load it again. It reports whether there is
// one.
func (s *Scheduler) Stop(now time.Time, key Key) bool {
	m := s.models[key]
	if m == nil || m.state == unloading {
		return false
	}
	m.leaving = true
	s.rest(now, m)
	s.place(now)
	return true
}

// Shutdown refuses all that waits or comes, and unloads every model when it is idle.
func (s *Scheduler) Shutdown(now time.Time) {
	s.closed = true
	for _, r := range s.pending {
		s.fx.Refuse(r.ticket, ErrClosed)
	}
	s.pending = nil
	for _, m := range s.sorted() {
		s.refuseQueue(m, ErrClosed)
		switch m.state {
		case loading:
			s.abandon(m)
		case starved:
			delete(s.models, m.key)
		default:
			s.rest(now, m)
		}
	}
}

func (s *Scheduler) refuseQueue(m *model, err error) {
	for _, r := range m.queue {
		s.fx.Refuse(r.ticket, err)
	}
	m.queue = nil
}

// sorted lists the models, the one used longest ago first, so that a schedule always ends the same.
func (s *Scheduler) sorted() []*model {
	all := make([]*model, 0, len(s.models))
	for _, m := range s.models {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *model) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.key.Weights, b.key.Weights),
			cmp.Compare(a.key.Context, b.key.Context))
	})
	return all
}

// Known reports whether a key is loaded, on its way, or waited for.
func (s *Scheduler) Known(key Key) bool {
	is := func(r *request) bool { return r.key == key }
	return s.models[key] != nil || slices.ContainsFunc(s.pending, is)
}

// Closed reports whether Shutdown was called.
func (s *Scheduler) Closed() bool { return s.closed }

// Empty reports whether nothing is loaded, waits or is used.
func (s *Scheduler) Empty() bool {
	return len(s.models) == 0 && len(s.pending) == 0 && len(s.holds) == 0
}

// Status describes a model.
type Status struct {
	Key            Key
	Loading        bool
	Users, Waiting int       // Waiting: for the model; users may wait for a slot of it
	Expires        time.Time // zero: never, or in use
	KeepAlive      time.Duration
}

// Models lists what is loaded or being loaded, the one used last first.
func (s *Scheduler) Models() []Status {
	var all []Status
	for _, m := range s.sorted() {
		if m.state == unloading {
			continue
		}
		all = append(all, Status{
			Key: m.key, Loading: m.state != ready, Users: len(m.users),
			Waiting: s.without(m.key, m), Expires: m.expires, KeepAlive: m.keepAlive,
		})
	}
	slices.Reverse(all)
	return all
}
