package engine

import (
	"testing"
	"time"
)

func TestPromptChunksFitTheTimeOfAStep(t *testing.T) {
	for _, tt := range []struct {
		name             string
		decode, perToken time.Duration
		rows, want       int
	}{
		{"nobody generates", 10 * time.Millisecond, time.Millisecond, 0, 512},
		{"nothing is known yet", 10 * time.Millisecond, 0, 3, 509},
		{"what is left of the step", 10 * time.Millisecond, time.Millisecond, 1, 40},
		{"generating takes most of it", 40 * time.Millisecond, time.Millisecond, 8, 40},
		{"generating takes more than that", 200 * time.Millisecond, time.Millisecond, 8, 200},
		{"a slow model", 10 * time.Millisecond, 10 * time.Millisecond, 1, leastChunk},
		{"a fast model", time.Millisecond, time.Microsecond, 1, 511},
	} {
		p := pace{limit: 50 * time.Millisecond, decode: float64(tt.decode),
			perToken: float64(tt.perToken)}
		if got := p.budget(512, tt.rows); got != tt.want {
			t.Errorf("%s: %d tokens, want %d", tt.name, got, tt.want)
		}
	}
}
