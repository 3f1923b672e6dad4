package sched

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// simulation drives a Scheduler with a clock of its own and checks the promises at each step.
type simulation struct {
	t      *testing.T
	random *rand.Rand
	s      *Scheduler
	cfg    Config
	now    time.Time
	events events
	next   Ticket

	waiting map[Ticket]waits // asked, and neither granted nor refused
	granted map[Ticket]Key   // not released
	loads   map[Key]int      // loads that run
	loaded  map[Key]bool     // ready, and no unload has begun
	hung    map[Key]bool     // loads that end only when they are given up
	longest time.Duration    // that a request waited for its grant

	rush   int // users act in one of so many steps
	biased int // percent of the requests that are for contexts of the same weights
}

type waits struct {
	key   Key
	since time.Time
}

// event is something that will happen.
type event struct {
	at time.Time
	do func()
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (m *simulation) after(most time.Duration, do func()) {
	heap.Push(&m.events, event{m.now.Add(1 + m.upTo(most)), do})
}

// upTo draws a duration.
func (m *simulation) upTo(most time.Duration) time.Duration {
	return time.Duration(m.random.Int64N(int64(most)))
}

func (m *simulation) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("at %v: %s", m.now.Sub(start), fmt.Sprintf(format, args...))
}

// The effects. Loads take up to 2 s; one in twenty fails for each reason, one in forty hangs.
func (m *simulation) Load(k Key) {
	if m.loads[k] > 0 || m.loaded[k] {
		m.fail("%v is loaded twice", k)
	}
	m.loads[k]++
	if m.random.IntN(40) == 0 {
		m.hung[k] = true
		return
	}
	m.after(2*time.Second, func() {
		m.loads[k]--
		switch m.random.IntN(20) {
		case 0:
			m.s.LoadFailed(m.now, k, errors.New("broken"), false)
		case 1:
			m.s.LoadFailed(m.now, k, errors.New("no memory"), true)
		default:
			m.loaded[k] = true
			m.s.Loaded(m.now, k, 1+m.random.IntN(4))
		}
	})
}

func (m *simulation) Abandon(k Key) {
	if !m.hung[k] && !m.s.Closed() {
		m.fail("%v is given up and did not stall", k)
	}
	if m.hung[k] {
		delete(m.hung, k)
		m.after(time.Second, func() {
			m.loads[k]--
			m.s.LoadFailed(m.now, k, errors.New("given up"), false)
		})
	}
}

func (m *simulation) Unload(k Key) {
	if !m.loaded[k] {
		m.fail("%v is unloaded and was not loaded", k)
	}
	for t, key := range m.granted {
		if key == k {
			m.fail("%v is unloaded while request %d uses it", k, t)
		}
	}
	delete(m.loaded, k)
	m.after(300*time.Millisecond, func() { m.s.Unloaded(m.now, k) })
}

func (m *simulation) Grant(t Ticket) {
	w, ok := m.waiting[t]
	if !ok || !m.loaded[w.key] {
		m.fail("request %d was granted %v: waiting %v, loaded %v", t, w.key, ok, m.loaded[w.key])
	}
	delete(m.waiting, t)
	m.granted[t] = w.key
	m.longest = max(m.longest, m.now.Sub(w.since))
	m.after(3*time.Second, func() {
		if _, ok := m.granted[t]; ok { // else it was cancelled
			delete(m.granted, t)
			m.s.Release(m.now, t)
		}
	})
}

func (m *simulation) Refuse(t Ticket, err error) {
	if _, ok := m.waiting[t]; !ok {
		m.fail("request %d was refused and did not wait: %v", t, err)
	}
	delete(m.waiting, t)
}

// act does one random thing that users do.
func (m *simulation) act() {
	key := Key{string(rune('a' + m.random.IntN(5))), string(rune('1' + m.random.IntN(2)))}
	if m.random.IntN(100) < m.biased {
		key.Weights = "a"
	}
	switch n := m.random.IntN(100); {
	case n < 85:
		m.next++
		m.waiting[m.next] = waits{key, m.now}
		m.s.Request(m.now, m.next, key, m.keepAlive())
		m.checkQueue(key)
	case n < 95:
		for t := range m.waiting { // any of them
			delete(m.waiting, t)
			m.s.Cancel(m.now, t)
			return
		}
	default:
		m.s.Stop(m.now, key)
	}
}

func (m *simulation) keepAlive() *time.Duration {
	switch m.random.IntN(4) {
	case 0:
		return new(m.upTo(5 * time.Second))
	case 1:
		return new(Forever)
	case 2:
		return new(time.Duration)
	}
	return nil
}

// step lets the next thing happen: a user, an event, or a tick that is due.
func (m *simulation) step(users bool) bool {
	at, due := m.s.Next()
	switch {
	case due && (len(m.events) == 0 || !m.events[0].at.Before(at)):
		if at.After(m.now) {
			m.now = at
		}
		m.s.Tick(m.now)
	case len(m.events) > 0:
		e := heap.Pop(&m.events).(event)
		m.now = e.at
		e.do()
	default:
		return false
	}
	if users && m.random.IntN(m.rush) == 0 {
		m.act()
	}
	if len(m.loads) > 0 {
		m.checkLimit()
	}
	return true
}

// checkQueue counts the requests that wait for a key.
func (m *simulation) checkQueue(key Key) {
	n := 0
	for _, w := range m.waiting {
		if w.key == key {
			n++
		}
	}
	if n > m.cfg.MaxQueue {
		m.fail("%d requests wait for %v, at most %d may", n, key, m.cfg.MaxQueue)
	}
}

// checkLimit counts the weights that are loaded or loading.
func (m *simulation) checkLimit() {
	weights := map[string]bool{}
	for k, n := range m.loads {
		if n > 0 {
			weights[k.Weights] = true
		}
	}
	for k := range m.loaded {
		weights[k.Weights] = true
	}
	if len(weights) > m.cfg.MaxModels {
		m.fail("%d weights are loaded, at most %d may be", len(weights), m.cfg.MaxModels)
	}
}

// simulate runs a number of steps, and then lets all that is left come to its end.
func simulate(t *testing.T, seed uint64, steps int) *simulation {
	random := rand.New(rand.NewPCG(seed, 1))
	m := &simulation{
		t: t, random: random, now: start, waiting: map[Ticket]waits{},
		granted: map[Ticket]Key{}, loads: map[Key]int{}, loaded: map[Key]bool{},
		hung: map[Key]bool{}, rush: 1 + random.IntN(3), biased: 45 * random.IntN(3),
		cfg: Config{MaxModels: 1 + random.IntN(3), MaxQueue: 1 + random.IntN(20),
			KeepAlive: 5 * time.Second, LoadTimeout: 10 * time.Second, Patience: time.Second},
	}
	m.s = New(m.cfg, m)
	m.act()
	for range steps {
		if !m.step(true) {
			m.act()
		}
	}
	for n := 0; len(m.waiting)+len(m.granted) > 0; n++ {
		if !m.step(false) || n > 100_000 {
			m.fail("deadlock: %d wait, %d are served, %+v", len(m.waiting), len(m.granted),
				m.s.Models())
		}
	}
	return m
}

func TestRandomSchedulesKeepThePromises(t *testing.T) {
	runs, steps := 200, 5000 // a million steps
	if testing.Short() || raceEnabled {
		runs = 20
	}
	var longest time.Duration
	for seed := range runs {
		longest = max(longest, simulate(t, uint64(seed), steps).longest)
	}
	// Five weights want places in turn; each place takes a load, an unload and the longest answer.
	if limit := 5 * time.Minute; longest > limit {
		t.Errorf("a request waited for %v, more than %v", longest, limit)
	}
	t.Logf("%d steps; the longest wait was %v", runs*steps, longest)
}

func TestShutdownLeavesNothing(t *testing.T) {
	m := simulate(t, 7, 2000)
	m.s.Shutdown(m.now)
	for range 10_000 {
		if !m.step(false) {
			break
		}
	}
	if !m.s.Empty() {
		t.Errorf("left: %+v", m.s.Models())
	}
}
