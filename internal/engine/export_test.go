package engine

import "time"

// The plain rules of text, for the tests outside the package.
var (
	FirstStop = firstStop
	Decode    = decode
)

// Pace is what learns how long steps take.
type Pace struct{ pace }

func NewPace(limit time.Duration) *Pace { return &Pace{pace{limit: limit}} }

func (p *Pace) Learn(took time.Duration, rows, tokens, reach int) {
	p.learn(took, work{rows: rows, tokens: tokens, reach: reach})
}

// Fit is how many tokens of one prompt, of which the first looks at depth cells, a step takes
// beside rows that together look at reach cells.
func (p *Pace) Fit(rows, reach, depth int) int {
	return p.fit(p.spare(work{rows: rows, reach: reach}, 1), depth)
}

// ReachOf is how many cells n tokens look at, the first of them at depth cells.
func ReachOf(n, depth int) int { return reachOf(n, depth) }
