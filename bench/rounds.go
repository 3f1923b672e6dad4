package bench

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"time"
)

// meter runs rounds of both sides.
type meter struct {
	ours, baseline program
	work           work
	root           fs.FS // where /proc is
	random         *rand.Rand
	say            func(format string, args ...any)
	patience       time.Duration // how long a round waits for a quiet machine
}

// stage is one thing a side does in a round.
type stage func(p program, ctx context.Context, w work, t *Turn) (child, error)

// maxTries is how many rounds may be tried for each one that is asked for.
const maxTries = 3

// run measures rounds until as many as asked for were undisturbed, or the tries are used up.
// Whether a round counts depends on what other processes did, never on what it measured.
func (m *meter) run(ctx context.Context) ([]Round, error) {
	var rounds []Round
	quiet := 0
	for quiet < m.work.Rounds && len(rounds) < maxTries*m.work.Rounds {
		if err := m.settle(ctx); err != nil && !timeIsUp(ctx) {
			return nil, err
		}
		r, err := m.round(ctx)
		if timeIsUp(ctx) && len(rounds) > 0 {
			return rounds, nil // the result says that there are too few
		}
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

// settle waits until the machine is idle but for us, or patience ends.
func (m *meter) settle(ctx context.Context) error {
	const window = 500 * time.Millisecond
	for end := time.Now().Add(m.patience); time.Now().Before(end); {
		start, busy := time.Now(), busySeconds(m.root)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(window):
		}
		if m.share(busySeconds(m.root)-busy, time.Since(start)) <= m.work.MaxForeign {
			return nil
		}
	}
	return nil
}

// share returns busy CPU seconds as a share of what all cores could give in a time.
func (m *meter) share(busy float64, in time.Duration) float64 {
	return max(0, busy/(in.Seconds()*float64(max(1, runtime.NumCPU()))))
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
		r.Foreign = m.share(busySeconds(m.root)-busy-used.Seconds(), time.Since(start))
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
