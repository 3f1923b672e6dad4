package bench

import (
	"fmt"
	"slices"
	"strings"
)

// waveRows computes the rows of every width and side: ours first, then the library's and the
// peers'.
func waveRows(widths []int, all []Wave) []Row {
	var rows []Row
	for _, width := range widths {
		for _, side := range sidesOf(all) {
			rows = append(rows, sideRows(width, side, all)...)
		}
	}
	return rows
}

// isAlone tells whether a side is llama.cpp alone, to compare with.
func isAlone(side string) bool { return side == "baseline" || side == "unsampled" }

// sidesOf returns the sides of the waves that have rows, ours first.
func sidesOf(all []Wave) []string {
	sides := []string{"ours"}
	for _, w := range all {
		if !isAlone(w.Side) && !slices.Contains(sides, w.Side) {
			sides = append(sides, w.Side)
		}
	}
	slices.Sort(sides[1:])
	return sides
}

// sideRows are the speed of a side beside llama.cpp alone, what a client feels, and the speed
// beside what else was measured.
func sideRows(width int, side string, all []Wave) []Row {
	name := fmt.Sprintf("streams_%d", width)
	if side != "ours" {
		name += "_" + strings.ReplaceAll(side, "-", "_")
	}
	of := wavesOf(width, all)
	speed := Row{Name: name, Unit: "tokens/s", Samples: waveSpeeds(of[side]),
		BaselineSamples: waveSpeeds(of["baseline"])}
	if side == "ours" {
		speed.Goal = &Goal{RatioAtLeast, 0.90}
		if width == 1 {
			speed.Goal.Limit = 0.97
		}
	}
	speed.compare()
	first := Row{Name: name + "_ttft_p50", Unit: "ms"}
	gap := Row{Name: name + "_gap_p99", Unit: "ms"}
	for _, w := range of[side] {
		first.Samples = append(first.Samples, w.Load.FirstToken.P50)
		gap.Samples = append(gap.Samples, w.Load.Gap.P99)
	}
	first.Value, gap.Value = median(first.Samples), median(gap.Samples)
	rows := append([]Row{speed, first, gap}, deeperRows(name, side, of)...)
	if side == "library" {
		over := Row{Name: name + "_over_http", Unit: "tokens/s", Samples: speed.Samples,
			BaselineSamples: waveSpeeds(of["ours"]), Goal: &Goal{RatioAtLeast, 1}}
		over.compare()
		rows = append(rows, over)
	}
	return rows
}

// deeperRows divide a side's speed by everything of llama.cpp alone that was measured: whole waves,
// its speed of generation alone (the ceiling of any wave), and generation by generation.
func deeperRows(name, side string, of map[string][]Wave) []Row {
	var rows []Row
	add := func(suffix string, goal *Goal, ours, baseline []float64) {
		if len(ours) > 0 && len(baseline) > 0 {
			r := Row{Name: name + suffix, Unit: "tokens/s", Samples: ours,
				BaselineSamples: baseline, Goal: goal}
			r.compare()
			rows = append(rows, r)
		}
	}
	add("_ceiling", nil, waveSpeeds(of[side]), waveDecodes(of["baseline"]))
	add("_decode", nil, waveDecodes(of[side]), waveDecodes(of["baseline"]))
	var goal *Goal
	if side == "ours" {
		goal = &Goal{RatioAtLeast, 0.90}
	}
	add("_unsampled", goal, waveSpeeds(of[side]), waveSpeeds(of["unsampled"]))
	add("_unsampled_ceiling", nil, waveSpeeds(of[side]), waveDecodes(of["unsampled"]))
	add("_unsampled_decode", nil, waveDecodes(of[side]), waveDecodes(of["unsampled"]))
	return rows
}

// wavesOf returns the waves of a width by their side.
func wavesOf(width int, all []Wave) map[string][]Wave {
	of := map[string][]Wave{}
	for _, w := range all {
		if w.Streams == width {
			of[w.Side] = append(of[w.Side], w)
		}
	}
	return of
}

func waveSpeeds(waves []Wave) []float64 {
	var all []float64
	for _, w := range waves {
		all = append(all, w.tokensPerSecond())
	}
	return all
}

// waveDecodes are the speeds of generation alone, of the waves that have one.
func waveDecodes(waves []Wave) []float64 {
	var all []float64
	for _, w := range waves {
		if w.Decode > 0 {
			all = append(all, w.Decode)
		}
	}
	return all
}

// compare computes the row's value and what it is beside the baseline.
func (r *Row) compare() {
	r.Value = median(r.Samples)
	r.tail()
	if len(r.BaselineSamples) > 0 {
		r.Baseline = new(median(r.BaselineSamples))
		r.Ratio = new(r.Value / *r.Baseline)
	}
	if r.Goal != nil {
		r.Met = new(r.Goal.met(*r))
	}
}

// tail computes the high quantiles of times.
func (r *Row) tail() {
	if !slices.Contains([]string{"s", "ms", "us"}, r.Unit) {
		return
	}
	sorted := slices.Sorted(slices.Values(r.Samples))
	if len(sorted) >= 20 {
		r.P95 = new(quantile(sorted, 0.95))
	}
	if len(sorted) >= 100 {
		r.P99 = new(quantile(sorted, 0.99))
	}
}
