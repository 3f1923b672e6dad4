package load

import (
	"math"
	"slices"
)

// Summary describes a run. Times are in milliseconds.
type Summary struct {
	Requests        int     `json:"requests"`
	Failed          int     `json:"failed"`
	FirstError      string  `json:"first_error,omitempty"`
	Seconds         float64 `json:"seconds"`
	Tokens          int     `json:"tokens"`
	TokensPerSecond float64 `json:"tokens_per_s"` // of all answers together
	// DecodePerSecond is the same while all answers are generated at once: from when the last of
	// them began until the first ended. 0 when there is no such time.
	DecodePerSecond float64 `json:"decode_tokens_per_s,omitempty"`
	PromptTokens    int     `json:"prompt_tokens"`
	CachedTokens    int     `json:"cached_tokens"`
	FirstToken      Spread  `json:"ttft_ms"`
	Gap             Spread  `json:"gap_ms"` // between parts of a text
	Whole           Spread  `json:"answer_ms"`
}

// Spread holds quantiles.
type Spread struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Summary computes what is reported of a run. Failed answers count in Failed alone.
func (r *Run) Summary() Summary {
	s := Summary{Requests: len(r.Answers), Seconds: r.Seconds}
	var first, gaps, whole []float64
	for _, a := range r.Answers {
		if a.Error != "" {
			s.Failed++
			if s.FirstError == "" {
				s.FirstError = a.Error
			}
			continue
		}
		s.Tokens += a.count()
		s.PromptTokens += a.PromptTokens
		s.CachedTokens += a.CachedTokens
		whole = append(whole, a.End-a.Start)
		for i, at := range a.Times {
			if i == 0 {
				first = append(first, at-a.Start)
			} else {
				gaps = append(gaps, at-a.Times[i-1])
			}
		}
	}
	if r.Seconds > 0 {
		s.TokensPerSecond = float64(s.Tokens) / r.Seconds
	}
	s.DecodePerSecond = r.decodePerSecond()
	s.FirstToken, s.Gap, s.Whole = spread(first), spread(gaps), spread(whole)
	return s
}

// decodePerSecond computes [Summary.DecodePerSecond]. An answer's parts stand for as many tokens
// each as it has on the average.
func (r *Run) decodePerSecond() float64 {
	from, to := 0.0, math.Inf(1)
	for _, a := range r.Answers {
		if a.Error != "" || len(a.Times) == 0 {
			return 0
		}
		from, to = max(from, a.Times[0]), min(to, a.Times[len(a.Times)-1])
	}
	if to <= from {
		return 0
	}
	tokens := 0.0
	for _, a := range r.Answers {
		parts := 0
		for _, at := range a.Times {
			if at > from && at <= to {
				parts++
			}
		}
		tokens += float64(parts) * float64(a.count()) / float64(len(a.Times))
	}
	return tokens / (to - from)
}

// count is the number of tokens, or of parts where a server does not count.
func (a *Answer) count() int {
	if a.Tokens > 0 {
		return a.Tokens
	}
	return len(a.Times)
}

// spread returns the quantiles of times in seconds, in milliseconds.
func spread(seconds []float64) Spread {
	if len(seconds) == 0 {
		return Spread{}
	}
	slices.Sort(seconds)
	at := func(q float64) float64 {
		return 1e3 * seconds[int(math.Ceil(q*float64(len(seconds))))-1]
	}
	return Spread{P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: at(1)}
}
