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

func (p *Pace) Learn(took time.Duration, rows, tokens int)  { p.learn(took, rows, tokens) }
func (p *Pace) Budget(most, rows, prompts int) (tokens int) { return p.budget(most, rows, prompts) }
