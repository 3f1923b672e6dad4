package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

var errBroken = errors.New("the device is gone")

func TestFailedStepEndsOnlyItsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := func(p *scripted.Plan) scripted.Fault {
			f := scripted.Fault{Delay: tick}
			if p.Step == 2 {
				f.Err, f.Kept = errBroken, 3
			}
			return f
		}
		// The third prompt is not in the failing step: the second uses its budget. Each comes while
		// a step runs that the next is not in.
		e, _ := start(t, scripted.Config{Limits: limits(3, 8, 300), Fault: broken})
		a := submit(t, e, ask("abcdef"))
		synctest.Wait()
		b := submit(t, e, ask(strings.Repeat("b", 40)))
		time.Sleep(tick)
		synctest.Wait()
		c := submit(t, e, ask(strings.Repeat("c", 60)))
		for i, s := range []*engine.Stream{a, b} {
			r := read(t, s)
			if !errors.Is(r.err, errBroken) || !strings.Contains(r.err.Error(), "2 requests") {
				t.Errorf("request %d: got %v", i, &r)
			}
			expect(t, "text until then", r.text, "ab"[:2-2*i])
		}
		expect(t, "the third", read(t, c).text, strings.Repeat("c", 60))
		expect(t, "a request after", read(t, submit(t, e, ask("later"))).text, "later")
	})
}

func TestFailedRowEndsOnlyItsRequest(t *testing.T) {
	script := func(prompt []engine.Token, s engine.Sampling) []scripted.Piece {
		all := scripted.Echo(prompt, s)
		if prompt[0] == 'x' {
			all[2].Err = errBroken
		}
		return all
	}
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: limits(3, 8, 300), Script: script, Fault: slow})
		a, b := submit(t, e, ask("abcdef")), submit(t, e, ask("xyz"))
		r := read(t, b)
		if !errors.Is(r.err, errBroken) || !strings.Contains(r.err.Error(), "token 3") {
			t.Errorf("got %v", &r)
		}
		expect(t, "text until then", r.text, "xy")
		expect(t, "the other", read(t, a).text, "abcdef")
	})
}

func TestStepThatStopsUnaskedIsDecodedAgain(t *testing.T) {
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprintf("whole %v", whole), func(t *testing.T) {
			flaky := func(p *scripted.Plan) scripted.Fault {
				if p.Step%13 == 2 {
					return scripted.Fault{Err: engine.ErrCancelled, Kept: p.Step % 7}
				}
				return scripted.Fault{}
			}
			cfg := scripted.Config{Limits: limits(3, 8, 300), Fault: flaky, Whole: whole}
			e, _ := start(t, cfg)
			texts := []string{"first", "the second is longer than one step takes", "third"}
			var streams []*engine.Stream
			for _, text := range texts {
				streams = append(streams, submit(t, e, ask(text)))
			}
			for i, s := range streams {
				expect(t, "text", read(t, s).text, texts[i])
			}
		})
	}
}

func TestStepThatAlwaysStopsUnaskedFails(t *testing.T) {
	never := func(*scripted.Plan) scripted.Fault { return scripted.Fault{Err: engine.ErrCancelled} }
	e, model := start(t, scripted.Config{Limits: limits(1, 8, 100), Fault: never, Record: true})
	r := read(t, submit(t, e, ask("abc")))
	if !errors.Is(r.err, engine.ErrCancelled) {
		t.Errorf("got %v", &r)
	}
	expect(t, "steps", len(model.Plans()), 11)
}

func TestFullCacheRequeuesTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := scripted.Config{Limits: limits(3, 16, 300), Cells: 40, Fault: slow}
		e, _ := start(t, cfg)
		var streams []*engine.Stream
		for i := range 6 {
			streams = append(streams, submit(t, e, ask(strings.Repeat(string(rune('a'+i)), 15))))
		}
		for i, s := range streams {
			r := read(t, s)
			expect(t, "text", r.text, strings.Repeat(string(rune('a'+i)), 15))
			expect(t, "finish", r.last.Finish, engine.FinishStop)
		}
		synctest.Wait()
		stats := e.Stats()
		if stats.Requeued == 0 || stats.Requeued > 12 || stats.Steps > 130 {
			t.Errorf("%d requeued in %d steps", stats.Requeued, stats.Steps)
		}
	})
}

func TestAdmissionLeavesRoomToGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: limits(8, 16, 64), Fault: slow})
		var streams []*engine.Stream
		for range 8 {
			streams = append(streams, submit(t, e, ask(strings.Repeat("x", 12))))
		}
		for _, s := range streams {
			expect(t, "text", read(t, s).text, strings.Repeat("x", 12))
		}
		synctest.Wait()
		expect(t, "requeued", e.Stats().Requeued, 0)
	})
}

func TestLonelyRequestThatFillsTheCacheEndsByLength(t *testing.T) {
	e, _ := start(t, scripted.Config{Limits: limits(2, 16, 300), Cells: 20})
	r := read(t, submit(t, e, ask("0123456789abcde")))
	expect(t, "text", r.text, "012345")
	expect(t, "finish", r.last.Finish, engine.FinishLength)

	r = read(t, submit(t, e, ask(strings.Repeat("x", 21))))
	if !errors.Is(r.err, engine.ErrCacheFull) || !strings.Contains(r.err.Error(), "21 tokens") {
		t.Errorf("prompt larger than the cache: got %v", &r)
	}
	expect(t, "a request after", read(t, submit(t, e, ask("later"))).text, "later")
}

func TestModelThatReturnsTooFewRowsIsAnError(t *testing.T) {
	model := &deaf{Model: scripted.New(scripted.Config{
		Limits: limits(1, 8, 100), Script: scripted.Echo,
	})}
	e := engine.New(model, engine.Config{})
	defer e.Close()
	r := read(t, submit(t, e, ask("abc")))
	if r.err == nil || !strings.Contains(r.err.Error(), "0 rows of 1") {
		t.Errorf("got %v", &r)
	}
}

// deaf forgets its rows.
type deaf struct{ *scripted.Model }

func (d *deaf) Step() (engine.StepResult, error) {
	result, err := d.Model.Step()
	result.Rows = nil
	return result, err
}
