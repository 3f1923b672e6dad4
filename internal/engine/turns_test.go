package engine_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

// with gives a request adapters.
func with(req engine.Request, scales ...float32) engine.Request {
	req.Adapters = engine.NewAdapters(scales)
	return req
}

func TestAdaptersWithoutAnyScaleAreNone(t *testing.T) {
	if engine.NewAdapters([]float32{0, 0}) != engine.NewAdapters(nil) {
		t.Error("adapters with scale 0 differ from none")
	}
	got := engine.NewAdapters([]float32{0, -1.5, 2}).Scales(4)
	if !slices.Equal(got, []float32{0, -1.5, 2, 0}) {
		t.Errorf("the scales come back as %v", got)
	}
}

func TestAStepHasOneSetOfAdapters(t *testing.T) {
	for _, layout := range []string{"pool", "split"} {
		t.Run(layout, func(t *testing.T) {
			l := limits(6, 32, 600)
			if layout == "split" {
				l.CtxPerSeq = 100
			}
			e, model := start(t, scripted.Config{Limits: l, Record: true}) // checks each step
			var group sync.WaitGroup
			for i := range 12 {
				group.Go(func() {
					text := fmt.Sprintf("the same beginning of all these prompts, number %d", i)
					got := read(t, submit(t, e, with(ask(text), float32(i%3), 1)))
					if got.text != text {
						t.Errorf("request %d got %q", i, got.text)
					}
				})
			}
			group.Wait()
			seen := map[engine.Adapters]bool{}
			for _, p := range model.Plans() {
				seen[p.Adapters] = true
			}
			if len(seen) != 3 {
				t.Errorf("the steps had %d sets of adapters, want 3", len(seen))
			}
		})
	}
}

func TestPrefixesAreNotTakenFromOtherAdapters(t *testing.T) {
	e, _ := start(t, scripted.Config{Limits: limits(4, 64, 600)})
	const text = "a prompt that is long enough to be worth keeping in the cache for others"
	for i, want := range []bool{false, false, true, true} {
		req := ask(text)
		if i%2 == 1 {
			req = with(req, 0.5)
		}
		got := read(t, submit(t, e, req))
		if cached := got.last.Counters.CachedTokens > 0; cached != want {
			t.Errorf("request %d took %d tokens from the cache", i, got.last.Counters.CachedTokens)
		}
	}
}

// TestNobodyWaitsForEverForATurn keeps two sets of adapters busy with short requests, one after the
// other, and looks whether a long request with a third set comes to its end.
func TestNobodyWaitsForEverForATurn(t *testing.T) {
	e, _ := start(t, scripted.Config{Limits: limits(5, 16, 1000)})
	done := make(chan struct{})
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					read(t, submit(t, e, with(ask("short"), float32(1+i%2))))
				}
			}
		})
	}
	const long = "a text that takes many more steps than one turn of its adapters has, by far"
	if got := read(t, submit(t, e, with(ask(long), 3))); got.text != long {
		t.Errorf("got %q", got.text)
	}
	close(done)
	group.Wait()
}

func TestAdaptersThatCannotBeAppliedFailTheirRequestsAlone(t *testing.T) {
	broken := engine.NewAdapters([]float32{7})
	unfit := func(a engine.Adapters) error {
		if a == broken {
			return errBroken
		}
		return nil
	}
	e, _ := start(t, scripted.Config{Limits: limits(3, 16, 600), Unfit: unfit})
	first := submit(t, e, ask("the one without adapters"))
	bad := submit(t, e, with(ask("the one with bad adapters"), 7))
	last := submit(t, e, with(ask("the one with others"), 1))
	if got := read(t, bad); got.err == nil {
		t.Errorf("bad adapters gave %q", got.text)
	}
	for _, s := range []*engine.Stream{first, last, submit(t, e, ask("and one more"))} {
		if got := read(t, s); got.err != nil || got.text == "" {
			t.Errorf("got %q, %v", got.text, got.err)
		}
	}
}
