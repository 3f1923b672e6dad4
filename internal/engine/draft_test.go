package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

// drafting runs an echo model with Rows and one that drafts for it: it guesses right where good
// says so of the length of what it has read.
func drafting(
	t *testing.T, cfg scripted.Config, draft engine.DraftConfig, good func(n int) bool,
) (*engine.Engine, *scripted.Model, *scripted.Model) {
	t.Helper()
	return draftingBy(t, cfg, scripted.Config{Limits: cfg.Limits}, draft, good)
}

func draftingBy(
	t *testing.T, cfg, small scripted.Config, draft engine.DraftConfig, good func(n int) bool,
) (*engine.Engine, *scripted.Model, *scripted.Model) {
	t.Helper()
	if cfg.Script == nil {
		cfg.Script = scripted.Echo
	}
	cfg.Limits.Rows = max(cfg.Limits.Sequences, 64)
	if small.Guess == nil {
		small.Guess = echoGuess(good)
	}
	model, guesser := scripted.New(cfg), scripted.New(small)
	draft.Model = guesser
	e := engine.New(model, engine.Config{Draft: draft})
	t.Cleanup(func() {
		e.Close()
		for _, m := range []*scripted.Model{model, guesser} {
			for _, v := range m.Violations() {
				t.Errorf("violation: %s", v)
			}
			expect(t, "samplers not closed", m.Samplers(), 0)
			expect(t, "cells not free", m.Cached(), 0)
		}
	})
	return e, model, guesser
}

// echoGuess knows that prompts are repeated after their last byte, a dot.
func echoGuess(good func(n int) bool) func([]engine.Token) scripted.Piece {
	return func(tokens []engine.Token) scripted.Piece {
		dot := strings.IndexByte(text(tokens), '.')
		if at := len(tokens) - dot - 1; dot >= 0 && at <= dot && good(len(tokens)) {
			return scripted.Piece{Token: tokens[at]}
		}
		return scripted.Piece{Token: '!'}
	}
}

func text(tokens []engine.Token) string {
	bytes := make([]byte, len(tokens))
	for i, t := range tokens {
		bytes[i] = byte(t)
	}
	return string(bytes)
}

func always(int) bool { return true }
func never(int) bool  { return false }

// TestDraftsChangeNoText compares all that a request gives with and without drafts, which may be
// right, wrong or both.
func TestDraftsChangeNoText(t *testing.T) {
	requests := map[string]engine.Request{
		"to its end":  ask("a text to be repeated."),
		"one token":   askFor(1, "a text."),
		"most tokens": askFor(7, "a text to be repeated."),
		"a stop":      ask("a text to be repeated.", "be r"),
		"a late stop": ask("a text to be repeated.", "ed"),
		"probabilities": {Prompt: scripted.Prompt("a text."), Logprobs: true, TopLogprobs: 2,
			MaxTokens: 6},
		"repeatable":    {Prompt: scripted.Prompt("a text."), Repeatable: true},
		"full context":  ask(strings.Repeat("0123456789", 3) + "."),
		"one token fit": ask(strings.Repeat("0123456789", 6) + "123."),
	}
	guesses := map[string]func(int) bool{
		"right": always, "wrong": never, "both": func(n int) bool { return n%3 != 0 },
	}
	for name, req := range requests {
		for guess, good := range guesses {
			for _, pooled := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/pooled=%v", name, guess, pooled), func(t *testing.T) {
					cfg := scripted.Config{Limits: limits(2, 16, 64)}
					if !pooled {
						cfg.Limits.Ctx *= 2
					}
					plain, _ := start(t, cfg)
					want := read(t, submit(t, plain, req))
					e, _, _ := drafting(t, cfg, engine.DraftConfig{Most: 4, Always: true}, good)
					for range 2 { // the second has prefixes in both caches
						got := read(t, submit(t, e, req))
						expect(t, "text", got.String(), want.String())
						expect(t, "tokens", fmt.Sprint(got.tokens), fmt.Sprint(want.tokens))
						expect(t, "probabilities", len(got.probs), len(want.probs))
						expect(t, "generated", got.last.Counters.GeneratedTokens,
							want.last.Counters.GeneratedTokens)
					}
				})
			}
		}
	}
}

func TestRightDraftsSaveSteps(t *testing.T) {
	cfg := scripted.Config{Limits: limits(1, 32, 128), Record: true}
	e, model, _ := drafting(t, cfg, engine.DraftConfig{Most: 4, Always: true}, always)
	got := read(t, submit(t, e, ask("twelve and four.")))
	// The prompt gives a token, each step then the four drafted ones and another, and the last only
	// the end, which nobody drafts.
	expect(t, "plans", shape(model.Plans()), "0:16*\n0:5*\n0:5*\n0:5*\n0:5*")
	e.Close()
	c, s := got.last.Counters, e.Stats()
	expect(t, "drafted", c.DraftedTokens, 16)
	expect(t, "accepted", c.AcceptedTokens, 12)
	expect(t, "drafted of all", s.Drafted, 16)
	expect(t, "accepted of all", s.DraftsAccepted, 12)
	expect(t, "sampled", s.SampledTokens, 17)
}

func TestWhatCameBeforeIsDrafted(t *testing.T) {
	cfg := scripted.Config{Limits: limits(2, 32, 128), Script: scripted.Echo, Record: true}
	cfg.Limits.Rows = 64
	plain, _ := start(t, cfg)
	model := scripted.New(cfg)
	e := engine.New(model, engine.Config{
		Draft: engine.DraftConfig{Lookup: true, Most: 4, Always: true}})
	const prompt = "twelve and four."
	want, got := read(t, submit(t, plain, ask(prompt))), read(t, submit(t, e, ask(prompt)))
	expect(t, "text", got.String(), want.String())
	// After three tokens the answer is found in the prompt.
	first := "0:16*\n0:1*\n0:1*\n0:5*\n0:5*\n0:5*"
	if plans := shape(model.Plans()); !strings.HasPrefix(plans, first) {
		t.Errorf("plans %s", plans)
	}
	if c := got.last.Counters; c.AcceptedTokens < 10 || c.AcceptedTokens > c.DraftedTokens {
		t.Errorf("%d of %d drafts accepted", c.AcceptedTokens, c.DraftedTokens)
	}
	expect(t, "a short text", read(t, submit(t, e, ask("a."))).text, "a.")
	e.Close()
	expect(t, "violations", len(model.Violations()), 0)
	expect(t, "cells not free", model.Cached(), 0)
}

func TestManySlotsDraftTogether(t *testing.T) {
	for _, pooled := range []bool{true, false} {
		t.Run(fmt.Sprintf("pooled=%v", pooled), func(t *testing.T) {
			cfg := scripted.Config{Limits: limits(4, 32, 256), Record: true}
			if !pooled {
				cfg.Limits.Ctx *= 4
			}
			e, _, _ := drafting(t, cfg, engine.DraftConfig{Most: 4, Always: true},
				func(n int) bool { return n%5 > 0 })
			var streams []*engine.Stream
			for i := range 12 {
				prompt := fmt.Sprintf("text %d, which has %s.", i, strings.Repeat("more ", i))
				streams = append(streams, submit(t, e, ask(prompt)))
			}
			for i, s := range streams {
				want := fmt.Sprintf("text %d, which has %s.", i, strings.Repeat("more ", i))
				expect(t, "text", read(t, s).text, want)
			}
			e.Close()
			if s := e.Stats(); s.DraftsAccepted == 0 || s.DraftsAccepted == s.Drafted {
				t.Errorf("%d of %d drafts were accepted", s.DraftsAccepted, s.Drafted)
			}
		})
	}
}

// TestDraftsGiveRoom lets drafts want cells that a second request needs.
func TestDraftsGiveRoom(t *testing.T) {
	cfg := scripted.Config{Limits: limits(2, 16, 80)}
	small := scripted.Config{Limits: limits(2, 16, 80), Cells: 50}
	e, _, _ := draftingBy(t, cfg, small, engine.DraftConfig{Most: 8, Always: true}, always)
	for range 3 {
		one := submit(t, e, ask("0123456789abcdef."))
		two := submit(t, e, ask("fedcba9876543210."))
		expect(t, "text", read(t, one).text, "0123456789abcdef.")
		expect(t, "text", read(t, two).text, "fedcba9876543210.")
	}
	e.Close()
	expect(t, "requeued", e.Stats().Requeued, 0)
}

func TestDraftsOfAModelWithAWindow(t *testing.T) {
	cfg := scripted.Config{Limits: limits(2, 16, 128)}
	cfg.Limits.Window = 12
	e, _, _ := drafting(t, cfg, engine.DraftConfig{Most: 3, Always: true},
		func(n int) bool { return n%4 > 0 })
	prompt := "a text that is longer than the window."
	for range 2 {
		expect(t, "text", read(t, submit(t, e, ask(prompt))).text, prompt)
	}
}

func TestNobodyDraftsForAState(t *testing.T) {
	for _, draft := range []bool{false, true} {
		cfg := scripted.Config{Limits: limits(1, 16, 64)}
		small := cfg
		if draft {
			small.Whole, small.Limits.Whole = true, true
		} else {
			cfg.Whole, cfg.Limits.Whole = true, true
		}
		e, _, _ := draftingBy(t, cfg, small, engine.DraftConfig{Always: true}, always)
		got := read(t, submit(t, e, ask("some text.")))
		expect(t, "text", got.text, "some text.")
		expect(t, "drafted", got.last.Counters.DraftedTokens, 0)
	}
}

// TestDraftsEndEarly has what is not worth a try: improbable tokens, too few, the end, and tokens
// that the other model does not have.
func TestDraftsEndEarly(t *testing.T) {
	for name, tt := range map[string]struct {
		draft   engine.DraftConfig
		piece   scripted.Piece
		drafted bool
	}{
		"probable":   {engine.DraftConfig{Probability: 0.5}, scripted.Piece{Logprob: -0.6}, true},
		"improbable": {engine.DraftConfig{Probability: 0.5}, scripted.Piece{Logprob: -0.8}, false},
		"the end":    {engine.DraftConfig{}, scripted.Piece{End: true}, false},
		"an error":   {engine.DraftConfig{}, scripted.Piece{Err: errors.New("none")}, false},
		"foreign":    {engine.DraftConfig{}, scripted.Piece{Token: 200}, false},
		"too few":    {engine.DraftConfig{Most: 2, Least: 3}, scripted.Piece{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := scripted.Config{Limits: limits(1, 16, 64)}
			cfg.Limits.Vocab = 128
			small := scripted.Config{Limits: limits(1, 16, 64),
				Guess: func([]engine.Token) scripted.Piece { return tt.piece }}
			tt.draft.Always = true
			e, _, _ := draftingBy(t, cfg, small, tt.draft, nil)
			got := read(t, submit(t, e, ask("some text.")))
			expect(t, "text", got.text, "some text.")
			expect(t, "drafted", got.last.Counters.DraftedTokens > 0, tt.drafted)
		})
	}
}

func TestTextOutsideOfTheDraftModel(t *testing.T) {
	cfg := scripted.Config{Limits: limits(1, 16, 64)}
	small := scripted.Config{Limits: limits(1, 16, 32)}
	small.Limits.Vocab = 'x'
	e, _, _ := draftingBy(t, cfg, small, engine.DraftConfig{Always: true}, always)
	for _, prompt := range []string{"all in it.", "not x, yes.", "longer than it can be read."} {
		expect(t, "text", read(t, submit(t, e, ask(prompt))).text, prompt)
	}
}

func TestADraftModelThatFails(t *testing.T) {
	broken := errors.New("broken")
	cfg := scripted.Config{Limits: limits(1, 16, 64)}
	small := scripted.Config{Limits: limits(1, 16, 64)}
	small.Fault = func(p *scripted.Plan) scripted.Fault {
		if p.Step > 4 {
			return scripted.Fault{Err: broken, Kept: 1}
		}
		return scripted.Fault{}
	}
	e, _, _ := draftingBy(t, cfg, small, engine.DraftConfig{Always: true}, always)
	got := read(t, submit(t, e, ask("some text.")))
	expect(t, "text", got.text, "some text.")
	e.Close()
	if s := e.Stats(); !errors.Is(s.DraftFailure, broken) || s.Drafted == 0 || !s.DraftsPaused {
		t.Errorf("%d drafted, then %v", s.Drafted, s.DraftFailure)
	}
}

// The clock stands still until the blocked step is all that there is to wait for.
func TestCancelledWhileDrafting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := scripted.Config{Limits: limits(2, 16, 256)}
		cfg.Fault = func(p *scripted.Plan) scripted.Fault {
			return scripted.Fault{Block: p.Step == 5, Kept: 2}
		}
		e, model, _ := drafting(t, cfg, engine.DraftConfig{Most: 4, Always: true}, always)
		ctx, cancel := context.WithCancel(t.Context())
		prompt := strings.Repeat("0123456789", 6) + "."
		s, err := e.Submit(ctx, ask(prompt))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(tick, cancel)
		expect(t, "finish", read(t, s).last.Finish, engine.FinishCancelled)
		expect(t, "aborts", model.Aborts(), 1)
		expect(t, "text", read(t, submit(t, e, ask(prompt))).text, prompt)
	})
}

// TestDraftsThatDoNotPayArePaused has steps of a known length: drafts take a third of the other
// model's time, so three wrong ones double that of a token.
func TestDraftsThatDoNotPayArePaused(t *testing.T) {
	for name, tt := range map[string]struct {
		good        func(int) bool
		least, most int // drafts for 1000 tokens
		paused      bool
	}{
		"right": {always, 600, 800, false},
		"wrong": {never, 20, 120, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := scripted.Config{Limits: limits(1, 2048, 2048), Fault: slow}
				small := scripted.Config{Limits: limits(1, 2048, 2048),
					Fault: func(*scripted.Plan) scripted.Fault {
						return scripted.Fault{Delay: tick / 3}
					}}
				e, _, _ := draftingBy(t, cfg, small, engine.DraftConfig{}, tt.good)
				prompt := strings.Repeat("0123456789", 100) + "."
				got := read(t, submit(t, e, ask(prompt)))
				expect(t, "text", got.text, prompt)
				if n := got.last.Counters.DraftedTokens; n < tt.least || n > tt.most {
					t.Errorf("%d tokens drafted, want %d to %d", n, tt.least, tt.most)
				}
				e.Close()
				expect(t, "paused", e.Stats().DraftsPaused, tt.paused)
			})
		})
	}
}
