package engine

import "time"

// DefaultStepTime is the StepTime of a Config without one.
const DefaultStepTime = 50 * time.Millisecond

// mostPatience is how many times longer than StepTime a step may be while prompts wait.
const mostPatience = 4

// leastChunk is how many prompt tokens a step takes at least, so that prompts get on.
const leastChunk = 16

// pace learns how long steps take and says how much of a prompt fits in one. It takes a step's time
// as a sum: one part for the step, one for each row that generates, one for having prompt tokens,
// and one for each of those. A Kalman filter estimates the four, as steps show them only together.
type pace struct {
	limit time.Duration
	mean  [parts]float64        // milliseconds of each part
	cov   [parts][parts]float64 // how uncertain they are together
	known bool                  // a prompt was read
}

// The parts of a step's time.
const (
	perStep = iota
	perRow
	perChunk
	perToken
	parts
)

// weights says how often a step has each part.
func weights(rows, tokens int) [parts]float64 {
	w := [parts]float64{perStep: 1, perRow: float64(rows), perToken: float64(tokens)}
	if tokens > 0 {
		w[perChunk] = 1
	}
	return w
}

// learn takes in a step in which so many rows generated and so many prompt tokens were read.
func (p *pace) learn(took time.Duration, rows, tokens int) {
	p.known = p.known || tokens > 0
	p.update(weights(rows, tokens), milliseconds(took))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// update is a step of the filter. Times are taken to be right to a tenth, and what they are made of
// to change by a hundredth from step to step.
func (p *pace) update(w [parts]float64, took float64) {
	const first, noise, drift = 100, 0.1, 0.01
	error, variance := took, noise*took*noise*took+1e-6
	var spread [parts]float64 // cov × w
	for i := range parts {
		if p.cov[i][i] == 0 {
			p.cov[i][i] = first * first
		}
		change := drift * p.mean[i]
		p.cov[i][i] = min(p.cov[i][i]+change*change, first*first)
	}
	for i := range parts {
		error -= p.mean[i] * w[i]
		for j := range parts {
			spread[i] += p.cov[i][j] * w[j]
		}
		variance += spread[i] * w[i]
	}
	for i := range parts {
		p.mean[i] = max(0, p.mean[i]+spread[i]/variance*error)
		for j := range parts {
			p.cov[i][j] -= spread[i] * spread[j] / variance
		}
	}
}

// budget is how many prompt tokens a step takes beside rows that generate, while so many prompts
// are being read: all that fit in most tokens when nobody generates, else as many as are read
// within the limit. Where generating alone takes more than half of the limit, prompts get as much
// time as that, or they would never end.
//
// Where many prompts wait and few rows generate, the step is longer, at most by the factor
// mostPatience: a step of a few rows is dear, and the many wait for its end too.
func (p *pace) budget(most, rows, prompts int) int {
	most -= rows
	if rows == 0 || !p.known {
		return most
	}
	patience := min(mostPatience, max(1, 2*float64(prompts)/float64(rows)))
	decode := p.mean[perStep] + p.mean[perRow]*float64(rows)
	spare := max(milliseconds(p.limit)*patience-decode, decode) - p.mean[perChunk]
	if p.mean[perToken]*float64(most) <= spare {
		return most
	}
	return min(most, max(leastChunk, int(spare/p.mean[perToken])))
}
