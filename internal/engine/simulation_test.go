package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

// The simulation runs many random requests through engines of random sizes with random faults, and
// compares the output of each with what it must be when it runs alone.

const (
	simulations = 16
	clients     = 16
	perClient   = 25
)

func TestEveryRequestGetsWhatItWouldGetAlone(t *testing.T) {
	var total tally
	for seed := range uint64(simulations) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, seed, &total) })
		})
	}
	t.Logf("%d requests: %v; %d steps aborted, %d requests requeued", simulations*clients*perClient,
		total.outcomes, total.aborted, total.requeued)
	for _, outcome := range []string{"stop", "length", "cancelled", "failed"} {
		if total.outcomes[outcome] == 0 {
			t.Errorf("the simulation never saw the outcome %s", outcome)
		}
	}
	if total.aborted == 0 || total.requeued == 0 {
		t.Error("the simulation never aborted a step or requeued a request")
	}
}

// tally counts what the simulations met.
type tally struct {
	mu                sync.Mutex
	outcomes          map[string]int
	aborted, requeued int
}

func (a *tally) add(r *result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.outcomes == nil {
		a.outcomes = map[string]int{}
	}
	if r.err != nil {
		a.outcomes["failed"]++
		return
	}
	a.outcomes[string(r.last.Finish)]++
}

func simulate(t *testing.T, seed uint64, total *tally) {
	r := rand.New(rand.NewPCG(seed, 1))
	l := limits(1+r.IntN(8), 1+r.IntN(40), 40+r.IntN(200))
	cfg := scripted.Config{Limits: l, Script: babble, Whole: r.IntN(3) == 0, Fault: faults(r)}
	if r.IntN(3) == 0 {
		cfg.Cells = l.Ctx / 2
	}
	if r.IntN(4) == 0 { // a cache with a part for each sequence
		cfg.Limits.CtxPerSeq = l.Ctx / l.Sequences
	}
	e, _ := start(t, cfg)
	var group sync.WaitGroup
	for client := range uint64(clients) {
		group.Go(func() {
			r := rand.New(rand.NewPCG(seed, 100+client))
			for range perClient {
				time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
				simulateOne(t, e, &cfg, r, total)
			}
		})
	}
	group.Wait()
	synctest.Wait()
	stats := e.Stats()
	total.aborted += stats.Aborted
	total.requeued += stats.Requeued
	if stats.Active+stats.Waiting+stats.CellsUsed != 0 {
		t.Errorf("at the end: %+v", stats)
	}
}

// faults makes steps slow, stop half-way, find the cache full and fail.
func faults(r *rand.Rand) func(*scripted.Plan) scripted.Fault {
	return func(p *scripted.Plan) scripted.Fault {
		f := scripted.Fault{
			Delay: time.Duration(r.IntN(3000)) * time.Microsecond,
			Kept:  r.IntN(len(p.Tokens) + 1),
		}
		switch r.IntN(1000) {
		case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9:
			f.Err = engine.ErrCancelled
		case 10, 11:
			f.Err = errBroken
		case 12:
			f.Block = true
		}
		return f
	}
}

// babble is a script of random pieces, some of them parts of code points, decided by its prompt.
func babble(prompt []engine.Token, s engine.Sampling) []scripted.Piece {
	seed := uint64(s.Seed)
	for _, t := range prompt {
		seed = seed*31 + uint64(t)
	}
	r := rand.New(rand.NewPCG(seed, 2))
	parts := []string{
		"a", "b", "ab", "ba", "\n", "\u00e9", "\xF0\x9F", "\x98\x80", "", "b\xE2\x82", "\xAC",
	}
	all := make([]scripted.Piece, r.IntN(80))
	for i := range all {
		all[i] = scripted.Piece{
			Token: engine.Token(1000 + r.IntN(1000)), Bytes: []byte(parts[r.IntN(len(parts))]),
		}
	}
	return all
}

func simulateOne(t *testing.T, e *engine.Engine, cfg *scripted.Config, r *rand.Rand, total *tally) {
	most := min(cfg.Limits.Ctx, cfg.Limits.CtxPerSeq)
	req := engine.Request{
		Prompt:   make([]engine.Token, 1+r.IntN(most)/(1+r.IntN(4))),
		Sampling: engine.Sampling{Seed: r.Uint32()},
		Logprobs: r.IntN(4) == 0,
	}
	if r.IntN(2) == 0 {
		req.MaxTokens = 1 + r.IntN(60)
	}
	if cfg.Limits.Sequences%2 == 0 { // some engines see several sets of adapters
		req.Adapters = engine.NewAdapters([]float32{float32(r.IntN(3))})
	}
	for i := range req.Prompt {
		req.Prompt[i] = engine.Token(r.IntN(500))
	}
	for range r.IntN(3) {
		req.Stop = append(req.Stop, []string{"aba", "bb", "\u00e9a", "\n\n", "abab"}[r.IntN(5)])
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // blocked steps end, too
	defer cancel()
	if r.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(1+r.IntN(200))*time.Millisecond)
		defer cancel()
	}
	s, err := e.Submit(ctx, req)
	if err != nil {
		t.Errorf("submit: %v", err)
		return
	}
	got := read(t, s)
	total.add(&got)
	compare(t, &req, cfg, &got)
}

// alone is the output of req on a model of its own.
func alone(req *engine.Request, most int) (r result) {
	var raw strings.Builder
	for _, p := range babble(req.Prompt, req.Sampling) {
		raw.WriteString(string(p.Bytes))
		r.tokens = append(r.tokens, p.Token)
		before, stop := engine.FirstStop(raw.String(), req.Stop)
		r.text, r.last.Finish = engine.Decode([]byte(before)), engine.FinishStop
		if stop != "" {
			r.last.StopString = stop
			return r
		}
		if len(r.tokens) == most {
			r.last.Finish = engine.FinishLength
			return r
		}
	}
	r.last.Finish = engine.FinishStop
	return r
}

func compare(t *testing.T, req *engine.Request, cfg *scripted.Config, got *result) {
	t.Helper()
	most := min(cfg.Limits.Ctx, cfg.Limits.CtxPerSeq) - len(req.Prompt) + 1
	if req.MaxTokens > 0 {
		most = min(most, req.MaxTokens)
	}
	want := alone(req, most)
	short := got.err != nil || got.last.Finish == engine.FinishCancelled ||
		got.last.Finish == engine.FinishLength && cfg.Cells > 0 // less cache than it said
	n := min(len(got.tokens), len(want.tokens))
	switch {
	case got.err != nil && !expected(got.err):
		t.Errorf("got %v", got)
	case !slices.Equal(got.tokens, want.tokens[:n]):
		t.Errorf("got tokens %v, want %v", got.tokens, want.tokens)
	case req.Logprobs && len(got.probs) != len(got.tokens):
		t.Errorf("got %d logprobs for %d tokens", len(got.probs), len(got.tokens))
	case short && !strings.HasPrefix(want.text, strings.TrimRight(got.text, "\uFFFD")):
		// An end in the middle of a code point shows as U+FFFD. So may a stop string's start.
		if !mayEnd(want.text, got.text, req.Stop) {
			t.Errorf("got %q, want a start of %q", got.text, want.text)
		}
	case !short && (got.text != want.text || got.last.Finish != want.last.Finish ||
		got.last.StopString != want.last.StopString):
		t.Errorf("got %q %s %q, want %q %s %q", got.text, got.last.Finish, got.last.StopString,
			want.text, want.last.Finish, want.last.StopString)
	}
}

func expected(err error) bool {
	return errors.Is(err, errBroken) || errors.Is(err, engine.ErrCacheFull)
}

// mayEnd reports whether short is a start of text, but for the start of a stop string at its end.
func mayEnd(text, short string, stop []string) bool {
	short = strings.TrimRight(short, "\uFFFD")
	for _, s := range stop {
		for n := 1; n < len(s); n++ {
			if rest, ok := strings.CutSuffix(short, s[:n]); ok && strings.HasPrefix(text, rest) {
				return true
			}
		}
	}
	return false
}
