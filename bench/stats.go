package bench

import (
	"math"
	"math/rand/v2"
	"slices"
)

// resamples is how often the bootstrap draws. 95 % bounds move by less than a tenth of their width.
const resamples = 2000

// median returns the middle of values, or the mean of the two in the middle. It is NaN for none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// quantile returns the value below which the share q of sorted lies, interpolating linearly.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// paired holds both sides' samples of one round.
type paired struct {
	ours, baseline []float64
}

// pool puts the samples of all rounds together.
func pool(rounds []paired) paired {
	var all paired
	for _, r := range rounds {
		all.ours = append(all.ours, r.ours...)
		all.baseline = append(all.baseline, r.baseline...)
	}
	return all
}

// ratio returns the ratio of the two medians.
func (p paired) ratio() float64 {
	return median(p.ours) / median(p.baseline)
}

// ratioBounds returns 95 % confidence bounds for the ratio of medians. It resamples whole rounds:
// the samples of one process share its memory layout and are not independent. The same rounds give
// the same bounds. With fewer than three rounds there is nothing to resample, and ok is false.
func ratioBounds(rounds []paired) (low, high float64, ok bool) {
	if len(rounds) < 3 {
		return 0, 0, false
	}
	random := rand.New(rand.NewPCG(1, uint64(len(rounds))))
	ratios := make([]float64, resamples)
	drawn := make([]paired, len(rounds))
	for i := range ratios {
		for j := range drawn {
			drawn[j] = rounds[random.IntN(len(rounds))]
		}
		ratios[i] = pool(drawn).ratio()
	}
	slices.Sort(ratios)
	return quantile(ratios, 0.025), quantile(ratios, 0.975), true
}

// inRounds parts samples that are in the order of their rounds; nil where these do not have as many
// each.
func inRounds(ours, baseline []float64, rounds int) []paired {
	if rounds < 1 || len(ours) == 0 || len(ours)%rounds != 0 {
		return nil
	}
	n := len(ours) / rounds
	parts := make([]paired, rounds)
	for i := range parts {
		parts[i].ours = ours[i*n : (i+1)*n]
		if len(baseline) == len(ours) {
			parts[i].baseline = baseline[i*n : (i+1)*n]
		}
	}
	return parts
}

// medianBounds are the bounds of the median of samples at 95 % confidence, by resampling rounds as
// [ratioBounds] does, as a text.
func medianBounds(samples []float64, rounds int) string {
	parts := inRounds(samples, nil, rounds)
	for i := range parts {
		parts[i].baseline = []float64{1}
	}
	low, high, ok := ratioBounds(parts)
	if !ok {
		return "–"
	}
	return number(low) + " to " + number(high)
}

// roundBounds are [ratioBounds] of samples of which every round has one of each side.
func roundBounds(ours, baseline []float64) (low, high float64, ok bool) {
	if len(ours) != len(baseline) {
		return 0, 0, false
	}
	rounds := make([]paired, len(ours))
	for i := range rounds {
		rounds[i] = paired{ours: ours[i : i+1], baseline: baseline[i : i+1]}
	}
	return ratioBounds(rounds)
}
