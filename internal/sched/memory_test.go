package sched

import (
	"errors"
	"testing"
	"time"
)

func TestRoomCanBeMadeWhereSomethingIsIdle(t *testing.T) {
	s, r := newTest(func(c *Config) { c.MaxModels = 3 })
	check := func(what string, want bool) {
		t.Helper()
		if got := s.CanFree(b); got != want {
			t.Errorf("%s: CanFree is %v", what, got)
		}
	}
	check("nothing is loaded", false)
	s.Request(start, 1, a, nil)
	check("one is loading", false)
	s.Loaded(start, a, 1)
	check("one is in use", false)
	s.Request(start, 2, b, nil)
	s.Release(after(time.Second), 1)
	check("one is idle", true)
	r.want(t, "load a", "grant 1", "load b")

	s.LoadFailed(after(time.Second), b, errors.New("full"), true)
	r.want(t, "unload a")
	check("one is on its way out", true)
	s.Unloaded(after(time.Second), a)
	r.want(t, "load b")
	check("nothing but itself is loading", false)

	forever := Forever
	s.Request(after(time.Second), 3, c, &forever)
	s.Loaded(after(time.Second), c, 1)
	s.Release(after(2*time.Second), 3)
	check("one is to stay for ever", false)
	s.Shutdown(after(2 * time.Second))
	check("it is shut down", false)
}

func TestAnIdleContextOfTheSameWeightsMakesRoom(t *testing.T) {
	s, _ := newTest(nil)
	small, large := Key{"a", "small"}, Key{"a", "large"}
	s.Request(start, 1, small, nil)
	s.Loaded(start, small, 1)
	s.Request(start, 2, large, nil)
	if s.CanFree(large) {
		t.Error("CanFree with a context that is in use")
	}
	s.Release(after(time.Second), 1)
	if !s.CanFree(large) {
		t.Error("CanFree is false with an idle context of the same weights")
	}
}
