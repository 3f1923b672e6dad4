package bench

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"time"
)

// meter runs rounds of both sides.
type meter struct {
	ours, baseline program
	work           work
	root           fs.FS // where /proc is
	random         *rand.Rand
	say            func(format string, args ...any)
}

// stage is one thing a side does in a round.
type stage func(p program, ctx context.Context, w work, t *Turn) (child, error)

// run measures rounds until as many as asked for were undisturbed, or twice as many in all. Whether
// a round counts depends on what other processes did, never on what it measured.
func (m *meter) run(ctx context.Context) ([]Round, error) {
	var rounds []Round
	quiet := 0
	for quiet < m.work.Rounds && len(rounds) < 2*m.work.Rounds {
		r, err := m.round(ctx)
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, r)
		note := ""
		if m.disturbed(r) {
			note = ", disturbed"
		} else {
			quiet++
		}
		m.say("round %d (%d of %d quiet): others used %.1f %% of the CPUs%s",
			len(rounds), quiet, m.work.Rounds, 100*r.Foreign, note)
	}
	return rounds, nil
}

func (m *meter) disturbed(r Round) bool {
	return r.Foreign > m.work.MaxForeign
}

// round gives both sides one turn, in a fresh order.
func (m *meter) round(ctx context.Context) (Round, error) {
	r := Round{Order: []string{"ours", "baseline"}, Load: loadAverage(m.root)}
	if m.random.IntN(2) == 1 {
		r.Order = []string{"baseline", "ours"}
	}
	stages := []stage{program.throughput, program.memory}
	for range m.work.ColdStarts {
		stages = append(stages, program.cold)
	}
	start, busy := time.Now(), busySeconds(m.root)
	var used time.Duration
	for _, s := range stages {
		cpu, err := m.both(ctx, s, &r)
		if err != nil {
			return r, err
		}
		used += cpu
	}
	if busy > 0 {
		all := time.Since(start).Seconds() * float64(m.cores())
		r.Foreign = max(0, (busySeconds(m.root)-busy-used.Seconds())/all)
	}
	return r, nil
}

// both runs one stage of both sides in the round's order and returns the CPU time they used.
func (m *meter) both(ctx context.Context, s stage, r *Round) (time.Duration, error) {
	var used time.Duration
	for _, name := range r.Order {
		p, turn := m.ours, &r.Ours
		if name == "baseline" {
			p, turn = m.baseline, &r.Baseline
		}
		c, err := s(p, ctx, m.work, turn)
		if err != nil {
			return 0, err
		}
		used += c.cpu
	}
	return used, nil
}

func (m *meter) cores() int {
	return max(1, readMachine(m.root).Cores)
}
