package sched

import (
	"errors"
	"testing"
	"time"
)

func TestRequestsForOneModelMakeOneOtherGo(t *testing.T) {
	s, r := newTest(func(c *Config) { c.MaxModels = 2 })
	for i, key := range []Key{a, b} {
		now := after(time.Duration(i) * time.Second)
		s.Request(now, Ticket(i), key, nil)
		s.Loaded(now, key, 1)
		s.Release(now, Ticket(i))
	}
	r.done = nil
	s.Request(after(2*time.Second), 2, c, nil)
	s.Request(after(2*time.Second), 3, c, nil)
	s.Request(after(2*time.Second), 4, Key{c.Weights, "other"}, nil)
	r.want(t, "unload a")
}

func TestContextsOfOneModelCannotTakeTurnsForEver(t *testing.T) {
	s, r := newTest(nil)
	one, two := Key{"a", "1"}, Key{"a", "2"}
	s.Request(start, 1, one, nil)
	s.Loaded(start, one, 1)
	s.Request(start, 2, two, nil) // still loading when the patience ends
	s.Request(start, 3, b, nil)
	r.done = nil
	s.Tick(after(time.Second))
	s.Loaded(after(2*time.Second), two, 1)
	s.Release(after(3*time.Second), 1)
	s.Unloaded(after(3*time.Second), one)
	s.Request(after(3*time.Second), 4, one, nil)
	s.Request(after(3*time.Second), 5, Key{"a", "3"}, nil)
	s.Release(after(4*time.Second), 2)
	s.Unloaded(after(4*time.Second), two)
	r.want(t, "grant 2", "unload a1", "unload a2", "load b")
}

func TestAStalledLoadThatNobodyWaitsForGivesItsPlaceUp(t *testing.T) {
	s, r := newTest(nil)
	s.Request(start, 1, a, nil)
	s.Cancel(start, 1)
	s.Request(start, 2, b, nil)
	r.want(t, "load a")
	at, due := s.Next()
	if !due {
		t.Fatal("nothing is due while a load may stall")
	}
	s.Tick(at)
	r.want(t, "abandon a")
	if at, due := s.Next(); due {
		t.Errorf("a load is given up a second time at %v", at)
	}
	s.LoadFailed(at, a, errors.New("abandoned"), false)
	r.want(t, "load b")
}

func TestALoadWithoutMemoryTakesThatOfAnIdleContext(t *testing.T) {
	s, r := newTest(nil)
	one, two := Key{"a", "1"}, Key{"a", "2"}
	s.Request(start, 1, one, nil)
	s.Loaded(start, one, 1)
	s.Release(start, 1)
	s.Request(start, 2, two, nil)
	r.done = nil
	s.LoadFailed(start, two, errors.New("no memory"), true)
	r.want(t, "unload a1")
	s.Unloaded(start, one)
	r.want(t, "load a2")
}
