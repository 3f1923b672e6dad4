package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func testMeter(t *testing.T, ours, baseline string) *meter {
	t.Helper()
	return &meter{
		ours: fakeProgram(t, ours), baseline: fakeProgram(t, baseline), work: testWork(),
		root: testRoot(), random: rand.New(rand.NewPCG(1, 1)),
		say: func(format string, args ...any) { t.Logf(format, args...) },
	}
}

func TestRoundsKeepEverySampleOfBothSides(t *testing.T) {
	m := testMeter(t, "ours", "baseline")
	rounds, err := m.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(rounds) != 2 {
		t.Fatalf("%d rounds, want 2", len(rounds))
	}
	for _, r := range rounds {
		for _, turn := range []Turn{r.Ours, r.Baseline} {
			if len(turn.Reps) != 3 || len(turn.Cold) != 2 || turn.Memory.RSS != 1000 {
				t.Errorf("turn is %+v", turn)
			}
		}
		if r.Ours.Header.Program != "ours" || r.Baseline.Header.Program != "baseline" {
			t.Errorf("the sides are mixed up: %+v", r)
		}
	}
}

func TestOrderOfTheSidesVaries(t *testing.T) {
	m := testMeter(t, "ours", "baseline")
	m.work.Rounds, m.work.ColdStarts = 8, 1
	rounds, err := m.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]int{}
	for _, r := range rounds {
		first[r.Order[0]]++
	}
	if first["ours"] == 0 || first["baseline"] == 0 {
		t.Errorf("in %d rounds these went first: %v", len(rounds), first)
	}
}

func TestDisturbedRoundsAreRepeatedOnlySoOften(t *testing.T) {
	m := testMeter(t, "ours", "baseline")
	m.work.MaxForeign = -1 // every round counts as disturbed
	rounds, err := m.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(rounds) != maxTries*m.work.Rounds {
		t.Fatalf("%d rounds, want %d", len(rounds), maxTries*m.work.Rounds)
	}
	r := &Result{Rounds: rounds}
	m.conclude(r)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "busy") {
		t.Errorf("warnings are %q", r.Warnings)
	}
	if got := len(r.Rows[0].Samples); got != 3*len(rounds) {
		t.Errorf("%d samples, want those of all rounds", got)
	}
}

func TestARoundWaitsForAQuietMachineOnlySoLong(t *testing.T) {
	m := testMeter(t, "ours", "baseline")
	m.work.MaxForeign = -1 // never quiet
	if m.patience = time.Millisecond; m.settle(t.Context()) != nil {
		t.Error("patience ended with an error")
	}
	m.patience = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.settle(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled wait gave %v", err)
	}
}

func TestForeignTimeIsZeroWhereTheSystemDoesNotTell(t *testing.T) {
	m := testMeter(t, "ours", "baseline")
	m.root = fstest.MapFS{}
	r, err := m.round(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Foreign != 0 {
		t.Errorf("foreign share is %v", r.Foreign)
	}
}

func TestAProgramThatFailsIsQuoted(t *testing.T) {
	_, err := testMeter(t, "ours", "broken").run(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "the model has no weights") {
		t.Errorf("error is %v", err)
	}
}

func TestAProgramThatPrintsNothingIsAnError(t *testing.T) {
	p := fakeProgram(t, "silent")
	w := testWork()
	for name, s := range map[string]stage{
		"throughput": program.throughput, "cold": program.cold, "rss": program.memory,
	} {
		if _, err := s(p, t.Context(), w, &Turn{}); err == nil {
			t.Errorf("%s accepted silence", name)
		}
	}
}

func TestTooFewRepetitionsAreAnError(t *testing.T) {
	w := testWork()
	w.Reps = 4 // the fake side prints 3
	_, err := fakeProgram(t, "ours").throughput(t.Context(), w, &Turn{})
	if err == nil || !strings.Contains(err.Error(), "3 repetitions, not 4") {
		t.Errorf("error is %v", err)
	}
}

func TestAMissingProgramIsNamed(t *testing.T) {
	_, err := program{"no-such-program"}.run(t.Context(), "cold", testWork())
	if err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("error is %v", err)
	}
}
