package bench

import (
	"fmt"
	"math"
	"strconv"
)

// quantity is how one row comes from the rounds.
type quantity struct {
	name string
	unit string
	goal *Goal
	pick func(t Turn) []float64
}

// quantities returns what the throughput group measures.
func quantities(c Config) []quantity {
	return []quantity{
		{
			name: fmt.Sprintf("tg%d", c.GenerateTokens), unit: "tokens/s",
			goal: &Goal{RatioAtLeast, 0.98},
			pick: eachRep(func(r Repetition) float64 { return float64(r.Generated) / r.Seconds }),
		},
		{
			name: fmt.Sprintf("pp%d", c.PromptTokens), unit: "tokens/s",
			goal: &Goal{RatioAtLeast, 0.98},
			pick: eachRep(func(r Repetition) float64 {
				return float64(r.PromptTokens) / r.PromptSeconds
			}),
		},
		{
			name: "cold_first_token_s", unit: "s", goal: &Goal{RatioAtMost, 1.15},
			pick: func(t Turn) []float64 { return t.Cold },
		},
		{
			name: "step_overhead_us", unit: "us", goal: &Goal{ValueAtMost, 15},
			pick: eachRep(func(r Repetition) float64 {
				return r.Overhead / float64(max(1, r.Steps)) * 1e6
			}),
		},
		{
			name: "rss_mb", unit: "MB", goal: &Goal{DifferenceAtMost, 25},
			pick: megabytes(func(m Memory) int64 { return m.RSS }),
		},
		{
			name: "anonymous_mb", unit: "MB",
			pick: megabytes(func(m Memory) int64 { return m.Anonymous }),
		},
	}
}

func megabytes(kB func(Memory) int64) func(Turn) []float64 {
	return func(t Turn) []float64 { return []float64{float64(kB(t.Memory)) * 1024 / 1e6} }
}

func eachRep(value func(Repetition) float64) func(Turn) []float64 {
	return func(t Turn) []float64 {
		values := make([]float64, 0, len(t.Reps))
		for _, r := range t.Reps {
			values = append(values, value(r))
		}
		return values
	}
}

// rowsOf computes all rows from the rounds that count.
func rowsOf(c Config, rounds []Round) []Row {
	var rows []Row
	for _, q := range quantities(c) {
		row := q.row(rounds)
		if row.Value == 0 && *row.Baseline == 0 {
			continue // memory, of which the system tells nothing
		}
		rows = append(rows, row)
	}
	return rows
}

func (q quantity) row(rounds []Round) Row {
	pairs := make([]paired, 0, len(rounds))
	for _, r := range rounds {
		pairs = append(pairs, paired{ours: q.pick(r.Ours), baseline: q.pick(r.Baseline)})
	}
	all := pool(pairs)
	row := Row{
		Name: q.name, Unit: q.unit, Value: median(all.ours), Goal: q.goal,
		Samples: all.ours, BaselineSamples: all.baseline,
	}
	row.tail()
	row.Baseline = new(median(all.baseline))
	row.Ratio = new(all.ratio())
	if low, high, ok := ratioBounds(pairs); ok {
		row.RatioLow, row.RatioHigh = &low, &high
	}
	if q.goal != nil {
		row.Met = new(q.goal.met(row))
	}
	return row
}

// boundRatios adds the bounds of ratios whose samples are as many of each round.
func (r *Result) boundRatios() {
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Ratio == nil || row.RatioLow != nil ||
			len(row.Samples) != len(row.BaselineSamples) {
			continue
		}
		low, high, ok := ratioBounds(inRounds(row.Samples, row.BaselineSamples, r.Config.Rounds))
		if ok {
			row.RatioLow, row.RatioHigh = &low, &high
		}
	}
}

// met tells whether the row keeps the goal.
func (g Goal) met(r Row) bool {
	switch g.Kind {
	case RatioAtLeast:
		return r.Ratio != nil && *r.Ratio >= g.Limit
	case RatioAtMost:
		return r.Ratio != nil && *r.Ratio <= g.Limit
	case ValueAtMost:
		return r.Value <= g.Limit
	case DifferenceAtMost:
		return r.Baseline != nil && r.Value-*r.Baseline <= g.Limit
	}
	return false
}

// String says the goal as the tables do.
func (g Goal) String() string {
	limit := strconv.FormatFloat(g.Limit, 'g', -1, 64)
	switch g.Kind {
	case RatioAtLeast:
		return "ratio ≥ " + limit
	case RatioAtMost:
		return "ratio ≤ " + limit
	case ValueAtMost:
		return "≤ " + limit
	case DifferenceAtMost:
		return "baseline + " + limit
	}
	return string(g.Kind)
}

// number prints a value with three digits, or all before the decimal point.
func number(v float64) string {
	switch size := math.Abs(v); {
	case size >= 100:
		return fmt.Sprintf("%.0f", v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.*f", 2+leadingZeros(size), v)
	}
}

// leadingZeros counts the zeros before the first digit that counts of a number below 10: 1 for 0.5.
func leadingZeros(size float64) int {
	n := 0
	for ; size > 0 && size < 1 && n < 6; n++ {
		size *= 10
	}
	return n
}
