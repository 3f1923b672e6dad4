package engine

import "math"

const (
	// trialSteps is how many steps show whether drafts pay.
	trialSteps = 8
	// trialGap is how many steps are made in the better way before the other one is tried again:
	// twice as many each time it was no better, up to trialGapMost.
	trialGap, trialGapMost = 64, 1024
)

// payoff finds out whether those who generate get more tokens in the same time with drafts or
// without. Both are tried for some steps, and again now and then: whether drafts pay changes with
// what is written and with the length of the texts.
type payoff struct {
	with   bool // the way in use
	trial  bool // it is only tried
	better bool // that with drafts was the better one when both had been tried
	known  bool // they were
	left   int  // steps until something else is tried
	gap    int
	took   [2]float64 // milliseconds of the last steps without and with drafts, the older ones less
	made   [2]float64 // tokens that those sampled
}

// drafts says whether the next step is one with drafts.
func (p *payoff) drafts() bool {
	switch {
	case p.left > 0:
	case p.made[1] == 0:
		p.begin(true)
	case p.made[0] == 0:
		p.begin(false)
	case p.trial:
		was := p.better
		p.better = p.pays()
		if p.known && p.better == was {
			p.gap = min(2*p.gap, trialGapMost)
		} else {
			p.gap = trialGap
		}
		p.with, p.known, p.trial, p.left = p.better, true, false, p.gap
	default:
		p.begin(!p.with)
	}
	return p.with
}

// begin tries one way.
func (p *payoff) begin(with bool) {
	p.with, p.trial, p.left = with, true, trialSteps
	p.took[way(with)], p.made[way(with)] = 0, 0
}

// pays reports whether drafts are at least as fast.
func (p *payoff) pays() bool { return p.took[1]*p.made[0] <= p.took[0]*p.made[1] }

// learn takes in that a step took so long and made so many tokens.
func (p *payoff) learn(took, tokens float64) {
	const fade = 1 - 1.0/16
	i := way(p.with)
	p.took[i] = p.took[i]*fade + took
	p.made[i] = p.made[i]*fade + tokens
	p.left = max(0, p.left-1)
}

func way(with bool) int {
	if with {
		return 1
	}
	return 0
}

func logOf(probability float32) float32 { return float32(math.Log(float64(probability))) }
