package sched

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// recorder keeps the effects as words.
type recorder struct {
	done    []string
	refused map[Ticket]error
}

func (r *recorder) Load(k Key)    { r.done = append(r.done, "load "+k.Weights+k.Context) }
func (r *recorder) Abandon(k Key) { r.done = append(r.done, "abandon "+k.Weights+k.Context) }
func (r *recorder) Unload(k Key)  { r.done = append(r.done, "unload "+k.Weights+k.Context) }
func (r *recorder) Grant(t Ticket) {
	r.done = append(r.done, "grant "+string(rune('0'+t)))
}

func (r *recorder) Refuse(t Ticket, err error) {
	r.done = append(r.done, "refuse "+string(rune('0'+t)))
	if r.refused == nil {
		r.refused = map[Ticket]error{}
	}
	r.refused[t] = err
}

// want compares what was done since the last want.
func (r *recorder) want(t *testing.T, done ...string) {
	t.Helper()
	if !slices.Equal(r.done, done) {
		t.Fatalf("did %q, want %q", r.done, done)
	}
	r.done = nil
}

var (
	start   = time.Unix(1000, 0)
	a, b, c = Key{"a", ""}, Key{"b", ""}, Key{"c", ""}
)

func after(d time.Duration) time.Time { return start.Add(d) }

func newTest(change func(*Config)) (*Scheduler, *recorder) {
	cfg := Config{MaxModels: 1, MaxQueue: 3, KeepAlive: time.Minute, LoadTimeout: time.Minute,
		Patience: time.Second}
	if change != nil {
		change(&cfg)
	}
	r := &recorder{}
	return New(cfg, r), r
}

func TestAModelIsLoadedOnceForAllWhoWait(t *testing.T) {
	s, r := newTest(nil)
	s.Request(start, 1, a, nil)
	s.Request(start, 2, a, nil)
	r.want(t, "load a")
	s.Loaded(start, a, 4)
	r.want(t, "grant 1", "grant 2")
	s.Request(start, 3, a, nil)
	r.want(t, "grant 3")
}

func TestAModelStaysForItsKeepAliveTime(t *testing.T) {
	s, r := newTest(nil)
	ten := 10 * time.Second
	s.Request(start, 1, a, &ten)
	s.Loaded(start, a, 1)
	s.Release(after(time.Second), 1)
	if next, ok := s.Next(); !ok || !next.Equal(after(11*time.Second)) {
		t.Errorf("the next tick is due at %v, %v", next, ok)
	}
	r.want(t, "load a", "grant 1")
	s.Tick(after(10 * time.Second))
	r.want(t)
	s.Tick(after(11 * time.Second))
	r.want(t, "unload a")
	s.Unloaded(after(12*time.Second), a)
	if !s.Empty() {
		t.Error("something is left")
	}
}

func TestKeepAliveIsBounded(t *testing.T) {
	s, _ := newTest(func(c *Config) { c.Min, c.Max = time.Minute, time.Hour })
	never, short, long := Forever, time.Second, 24*time.Hour
	for asked, want := range map[*time.Duration]time.Duration{
		nil: time.Minute, &short: time.Minute, &long: time.Hour, &never: time.Hour,
	} {
		if got := s.clamp(asked); got != want {
			t.Errorf("keep-alive is %v, want %v", got, want)
		}
	}
}

func TestABusyModelIsNotEvictedButDrained(t *testing.T) {
	s, r := newTest(nil)
	s.Request(start, 1, a, nil)
	s.Loaded(start, a, 1)
	r.want(t, "load a", "grant 1")
	s.Request(start, 2, b, nil)
	s.Request(after(500*time.Millisecond), 3, a, nil) // within the patience
	r.want(t, "grant 3")
	s.Tick(after(time.Second))
	s.Request(after(1100*time.Millisecond), 4, a, nil) // has to wait now
	r.want(t)
	s.Release(after(2*time.Second), 1)
	s.Release(after(2*time.Second), 3)
	r.want(t, "unload a")
	s.Unloaded(after(2*time.Second), a)
	r.want(t, "load b")
	s.Loaded(after(3*time.Second), b, 1)
	r.want(t, "grant 2")
	s.Release(after(4*time.Second), 2)
	r.want(t, "unload b")
	s.Unloaded(after(4*time.Second), b)
	r.want(t, "load a")
}

func TestTheIdleModelUsedLongestAgoGoes(t *testing.T) {
	s, r := newTest(func(c *Config) { c.MaxModels = 2 })
	for i, key := range []Key{a, b} {
		now := after(time.Duration(i) * time.Second)
		s.Request(now, Ticket(i), key, nil)
		s.Loaded(now, key, 1)
		s.Release(now, Ticket(i))
	}
	s.Request(after(2*time.Second), 2, a, nil)
	s.Release(after(3*time.Second), 2)
	r.done = nil
	s.Request(after(4*time.Second), 3, c, nil)
	r.want(t, "unload b")
	s.Unloaded(after(4*time.Second), b)
	r.want(t, "load c")
}

func TestAModelThatStaysForEverGoesLast(t *testing.T) {
	s, r := newTest(func(c *Config) { c.MaxModels = 2 })
	never := Forever
	s.Request(start, 1, a, &never)
	s.Loaded(start, a, 1)
	s.Release(start, 1)
	s.Request(after(time.Second), 2, b, nil)
	s.Loaded(after(time.Second), b, 1)
	s.Release(after(time.Second), 2)
	r.done = nil
	s.Request(after(2*time.Second), 3, c, nil)
	r.want(t, "unload b")
}

func TestAnotherContextOfTheSameWeightsIsLoadedBeforeTheOldOneGoes(t *testing.T) {
	s, r := newTest(nil)
	one, two := Key{"a", "1"}, Key{"a", "2"}
	s.Request(start, 1, one, nil)
	s.Loaded(start, one, 1)
	s.Release(start, 1)
	s.Request(start, 2, two, nil)
	r.want(t, "load a1", "grant 1", "load a2")
	s.Loaded(start, two, 1)
	r.want(t, "grant 2", "unload a1")
}

func TestAFullQueueIsRefused(t *testing.T) {
	s, r := newTest(nil)
	for n := range Ticket(4) {
		s.Request(start, n, a, nil)
	}
	r.want(t, "load a", "refuse 3")
	busy := (*BusyError)(nil)
	if !errors.As(r.refused[3], &busy) || busy.Waiting != 3 || busy.RetryAfter < time.Second {
		t.Errorf("refused with %v", r.refused[3])
	}
	s.Loaded(start, a, 2) // 3 users, of which 1 waits for a slot
	r.want(t, "grant 0", "grant 1", "grant 2")
	s.Request(start, 4, a, nil)
	s.Request(start, 5, a, nil)
	s.Request(start, 6, a, nil)
	r.want(t, "grant 4", "grant 5", "refuse 6")
	// Who has the model waits for a slot in the engine, which counts that itself.
	if got := s.Models(); len(got) != 1 || got[0].Users != 5 || got[0].Waiting != 0 {
		t.Errorf("the models are %+v", got)
	}
}

func TestALoadThatStallsIsGivenUp(t *testing.T) {
	s, r := newTest(nil)
	s.Request(start, 1, a, nil)
	s.Progress(after(50*time.Second), a)
	s.Tick(after(70 * time.Second))
	r.want(t, "load a")
	s.Tick(after(110 * time.Second))
	r.want(t, "refuse 1", "abandon a")
	if !errors.Is(r.refused[1], ErrStalled) {
		t.Errorf("refused with %v", r.refused[1])
	}
	s.LoadFailed(after(111*time.Second), a, errors.New("abandoned"), false)
	s.Request(after(112*time.Second), 2, a, nil)
	r.want(t, "load a")
}

func TestALoadWithoutMemoryTakesThatOfAnIdleModel(t *testing.T) {
	s, r := newTest(func(c *Config) { c.MaxModels = 3 })
	s.Request(start, 1, a, nil)
	s.Loaded(start, a, 1)
	s.Release(start, 1)
	s.Request(start, 2, b, nil)
	r.done = nil
	full := errors.New("no memory")
	s.LoadFailed(start, b, full, true)
	r.want(t, "unload a")
	s.Unloaded(start, a)
	r.want(t, "load b")
	s.LoadFailed(start, b, full, true)
	r.want(t, "refuse 2")
	if !errors.Is(r.refused[2], full) {
		t.Errorf("refused with %v", r.refused[2])
	}
}

func TestAStoppedModelGoesWhenItsRequestsHaveEnded(t *testing.T) {
	s, r := newTest(nil)
	s.Request(start, 1, a, nil)
	s.Loaded(start, a, 1)
	r.done = nil
	if !s.Stop(start, a) || s.Stop(start, b) {
		t.Error("stop reported the wrong thing")
	}
	s.Request(start, 2, a, nil)
	r.want(t)
	s.Release(start, 1)
	r.want(t, "unload a")
	s.Unloaded(start, a)
	r.want(t, "load a")
}

func TestShutdownRefusesAllThatWaits(t *testing.T) {
	s, r := newTest(nil)
	s.Request(start, 1, a, nil)
	s.Loaded(start, a, 1)
	s.Request(start, 2, b, nil)
	s.Shutdown(start)
	s.Request(start, 3, a, nil)
	r.want(t, "load a", "grant 1", "refuse 2", "refuse 3")
	s.Release(start, 1)
	r.want(t, "unload a")
	s.Unloaded(start, a)
	if !s.Empty() {
		t.Error("something is left")
	}
}

func TestACancelledRequestLeavesNothing(t *testing.T) {
	s, r := newTest(nil)
	s.Request(start, 1, a, nil)
	s.Request(start, 2, b, nil)
	s.Cancel(start, 2)
	s.Cancel(start, 1)
	s.Loaded(start, a, 1)
	r.want(t, "load a")
	s.Tick(after(time.Hour))
	r.want(t, "unload a")
}
