package engine

import "time"

// DefaultStepTime is how long a step should take at most while anybody generates.
const DefaultStepTime = 50 * time.Millisecond

// leastChunk is how many prompt tokens a step takes at least, so that prompts get on.
const leastChunk = 16

// pace learns how long steps take and says how much of a prompt fits in one.
type pace struct {
	limit    time.Duration
	decode   float64 // nanoseconds of a step without prompts, by exponential average
	perToken float64 // nanoseconds that a prompt token adds
}

// learn takes in a step. Rows is how many of its slots generate; the others read prompts.
func (p *pace) learn(took time.Duration, rows int, planned []*slot) {
	tokens := 0
	for _, s := range planned {
		tokens += s.taken
	}
	prompt := float64(tokens - rows)
	switch {
	case prompt == 0:
		average(&p.decode, float64(took))
	case rows == 0:
		average(&p.perToken, float64(took)/prompt)
	default:
		average(&p.perToken, max(0, float64(took)-p.decode)/prompt)
	}
}

func average(mean *float64, value float64) {
	const weight = 0.2 // of the new value
	if *mean == 0 {
		*mean = value
		return
	}
	*mean += weight * (value - *mean)
}

// budget is how many prompt tokens a step takes beside rows that generate: all that fit in most
// tokens when nobody does, else as many as are read within the limit. Where generating alone takes
// more than half of the limit, prompts get as much time as that, or they would never end.
func (p *pace) budget(most, rows int) int {
	most -= rows
	if rows == 0 || p.perToken == 0 {
		return most
	}
	spare := max(float64(p.limit)-p.decode, p.decode)
	return min(most, max(leastChunk, int(spare/p.perToken)))
}
