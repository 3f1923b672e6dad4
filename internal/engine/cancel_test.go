package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

// cancelled checks that a request ended by being cancelled.
func cancelled(t *testing.T, r result) {
	t.Helper()
	if r.err != nil || r.last.Finish != engine.FinishCancelled {
		t.Errorf("got %v, want it to be cancelled", &r)
	}
}

func TestCancelInQueuePrefillAndDecode(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration
		want  string // the text until then
		check func(engine.Counters) bool
	}{
		{"in the queue", 25 * tick / 10, "",
			func(c engine.Counters) bool { return c.Queue == 3*tick && c.Prefill == 0 }},
		{"in prefill", 55 * tick / 10, "",
			func(c engine.Counters) bool { return c.Queue == 4*tick && c.Prefill == 3*tick/2 }},
		{"in decode", 85 * tick / 10, "ab",
			func(c engine.Counters) bool { return c.GeneratedTokens == 2 && c.Decode == 3*tick/2 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, _ := start(t, scripted.Config{Limits: limits(1, 4, 100), Fault: slow})
				first := submit(t, e, ask("abc")) // four steps
				ctx, cancel := context.WithCancel(t.Context())
				s, err := e.Submit(ctx, ask("abcdefghijkl")) // three steps of prefill
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(tt.after)
				cancel()
				r := read(t, s)
				cancelled(t, r)
				expect(t, "text", r.text, tt.want)
				if !tt.check(r.last.Counters) {
					t.Errorf("got %+v", r.last.Counters)
				}
				expect(t, "the request before", read(t, first).text, "abc")
				expect(t, "a request after", read(t, submit(t, e, ask("later"))).text, "later")
			})
		})
	}
}

func TestDeadlineCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: limits(1, 4, 100), Fault: slow})
		ctx, cancel := context.WithTimeout(t.Context(), 25*tick/10)
		defer cancel()
		s, err := e.Submit(ctx, ask("abcd"))
		if err != nil {
			t.Fatal(err)
		}
		r := read(t, s)
		cancelled(t, r)
		expect(t, "text", r.text, "ab")
	})
}

func TestClosingAStreamWakesItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := func(*scripted.Plan) scripted.Fault { return scripted.Fault{Block: true} }
		e, _ := start(t, scripted.Config{Limits: limits(1, 4, 100), Fault: block})
		s := submit(t, e, ask("abc"))
		var group sync.WaitGroup
		group.Go(func() { cancelled(t, read(t, s)) })
		synctest.Wait()
		s.Close()
		group.Wait()
	})
}

func TestStepIsAbortedOnlyWhenNobodyWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(p *scripted.Plan) scripted.Fault {
			if p.Step == 2 {
				return scripted.Fault{Block: true, Kept: 1}
			}
			return scripted.Fault{Delay: tick}
		}
		e, model := start(t, scripted.Config{Limits: limits(2, 8, 200), Fault: hang})
		a, b := submit(t, e, ask("aaaa")), submit(t, e, ask("bbbb"))
		waiting := submit(t, e, ask("cc"))
		time.Sleep(5 * tick) // step 2 runs
		a.Close()
		synctest.Wait()
		expect(t, "aborts with one of two cancelled", model.Aborts(), 0)
		a.Close()
		waiting.Close()
		synctest.Wait()
		expect(t, "aborts with one cancelled twice and one outside", model.Aborts(), 0)
		b.Close()
		for _, s := range []*engine.Stream{a, b, waiting} {
			cancelled(t, read(t, s))
		}
		expect(t, "aborts with both cancelled", model.Aborts(), 1)
		expect(t, "steps aborted", e.Stats().Aborted, 1)
		expect(t, "a request after", read(t, submit(t, e, ask("later"))).text, "later")
	})
}

func TestRequestThatArrivesWhileAStepIsAbortedIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(p *scripted.Plan) scripted.Fault {
			return scripted.Fault{Block: p.Step == 0, Kept: 2}
		}
		e, _ := start(t, scripted.Config{Limits: limits(2, 8, 200), Fault: hang})
		a := submit(t, e, ask("aaaa"))
		synctest.Wait()
		b := submit(t, e, ask("bbbb"))
		a.Close()
		expect(t, "text", read(t, b).text, "bbbb")
		cancelled(t, read(t, a))
	})
}

func TestCloseEndsAllRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, model := start(t, scripted.Config{Limits: limits(2, 8, 200), Fault: slow})
		streams := []*engine.Stream{
			submit(t, e, ask("first")), submit(t, e, ask("second")), submit(t, e, ask("third")),
		}
		time.Sleep(25 * tick / 10)
		var group sync.WaitGroup
		for range 3 {
			group.Go(e.Close)
		}
		group.Wait()
		expect(t, "aborts", model.Aborts(), 1)
		for i, want := range []string{"fi", "s", ""} {
			r := read(t, streams[i])
			if !errors.Is(r.err, engine.ErrClosed) || r.text != want {
				t.Errorf("request %d: got %v, want %q", i, &r, want)
			}
		}
		if _, err := e.Submit(t.Context(), ask("x")); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("after Close: got %v", err)
		}
		streams[0].Close()
	})
}

func TestCloseWhileManySubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: limits(2, 8, 200), Fault: slow})
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				time.Sleep(time.Duration(i) * tick)
				s, err := e.Submit(t.Context(), ask(strings.Repeat("x", 1+i%5)))
				if err == nil {
					err = func() error { r := read(t, s); return r.err }()
				}
				if err != nil && !errors.Is(err, engine.ErrClosed) {
					t.Error(err)
				}
			})
		}
		time.Sleep(25 * tick)
		e.Close()
		group.Wait()
	})
}
