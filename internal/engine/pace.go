package engine

import (
	"math"
	"time"
)

// DefaultStepTime is the StepTime of a Config without one.
const DefaultStepTime = 50 * time.Millisecond

// mostPatience is how many times longer than StepTime a step may be while prompts wait.
const mostPatience = 4

// leastChunk is how many prompt tokens a step takes at least, so that prompts get on while nothing
// sure is known about the time they take.
const leastChunk = 4

// work is what a step computes, as far as its time depends on it.
type work struct {
	rows   int // tokens of requests that generate
	tokens int // of prompts
	reach  int // cells that all those tokens look at, together
}

// pace learns how long steps take and says how much of a prompt fits in one. It takes a step's time
// as a sum: one part for the step, one for each row that generates, one for having prompt tokens,
// one for each of those, and one for each thousand cells that a token looks at, which is what makes
// the end of a long prompt dearer than its beginning. A Kalman filter estimates the five, as steps
// show them only together.
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
	perReach
	parts
)

// first is how many milliseconds each part may well take, before anything is known.
var first = [parts]float64{perStep: 100, perRow: 100, perChunk: 100, perToken: 100, perReach: 5}

// weights says how often w has each part.
func (w work) weights() [parts]float64 {
	weights := [parts]float64{
		perStep: 1, perRow: float64(w.rows), perToken: float64(w.tokens),
		perReach: float64(w.reach) / 1000,
	}
	if w.tokens > 0 {
		weights[perChunk] = 1
	}
	return weights
}

// learn takes in that a step took so long for w.
func (p *pace) learn(took time.Duration, w work) {
	p.known = p.known || w.tokens > 0
	p.update(w.weights(), milliseconds(took))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// update is a step of the filter. Times are taken to be right to a tenth, and what they are made of
// to change by a hundredth from step to step.
func (p *pace) update(w [parts]float64, took float64) {
	const noise, drift = 0.1, 0.01
	error, variance := took, noise*took*noise*took+1e-6
	var spread [parts]float64 // cov × w
	for i := range parts {
		if p.cov[i][i] == 0 {
			p.cov[i][i] = first[i] * first[i]
		}
		if change := drift * p.mean[i]; p.cov[i][i] < first[i]*first[i] {
			p.cov[i][i] += change * change
		}
	}
	for i := range parts {
		error -= p.mean[i] * w[i]
		for j := range parts {
			spread[i] += p.cov[i][j] * w[j]
		}
		variance += spread[i] * w[i]
	}
	for i := range parts {
		p.mean[i] += spread[i] / variance * error
		for j := range parts {
			p.cov[i][j] -= spread[i] * spread[j] / variance
		}
	}
	p.keepPositive()
}

// keepPositive sets parts below zero to zero, and changes the others as if it had been known that
// those are no less: what one part loses, the parts that are hard to tell from it gain.
func (p *pace) keepPositive() {
	for range parts {
		worst := 0
		for i := range parts {
			if p.mean[i] < p.mean[worst] {
				worst = i
			}
		}
		if p.mean[worst] >= 0 {
			return
		}
		share := p.mean[worst] / p.cov[worst][worst]
		for i := range parts {
			p.mean[i] -= p.cov[i][worst] * share
		}
		p.mean[worst] = 0
	}
	for i := range parts {
		p.mean[i] = max(0, p.mean[i])
	}
}

// spare is how many milliseconds a step may spend on prompt tokens beside the rows that generate,
// while so many prompts are being read: any number when nobody generates, else what is left of the
// limit. Where generating alone takes more than half of the limit, prompts get as much time as
// that, or they would never end.
//
// Where many prompts wait and few rows generate, the step is longer, at most by the factor
// mostPatience: a step of a few rows is dear, and the many wait for its end too.
func (p *pace) spare(generating work, prompts int) float64 {
	if generating.rows == 0 || !p.known {
		return math.Inf(1)
	}
	patience := min(mostPatience, max(1, 2*float64(prompts)/float64(generating.rows)))
	decode := 0.0
	for i, n := range generating.weights() {
		decode += p.mean[i] * n
	}
	return max(milliseconds(p.limit)*patience-decode-p.mean[perChunk], decode)
}

// fit is how many prompt tokens take so many milliseconds, when the first looks at reach cells and
// each further one at one more.
func (p *pace) fit(spare float64, reach int) int {
	switch {
	case spare <= 0:
		return 0
	case math.IsInf(spare, 1):
		return math.MaxInt
	}
	// The positive root of growth·n² + next·n = spare, in the form that also takes no growth.
	growth := p.mean[perReach] / 2000
	next := p.mean[perToken] + p.mean[perReach]*float64(reach)/1000
	n := 2 * spare / (next + math.Sqrt(next*next+4*growth*spare))
	return int(min(n, math.MaxInt32)) // it is infinite where nothing takes time
}

// cost is how many milliseconds n prompt tokens take, of which the first looks at reach cells.
func (p *pace) cost(n, reach int) float64 {
	return p.mean[perToken]*float64(n) + p.mean[perReach]/1000*float64(reachOf(n, reach))
}

// reachOf is how many cells n tokens look at together, when the first looks at reach, and each
// further one at one more.
func reachOf(n, reach int) int { return n*reach + n*(n-1)/2 }
