package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progressDelay is how long something may take before a progress bar is worth a look.
const progressDelay = 200 * time.Millisecond

// progressCells is the width of the bar itself.
const progressCells = 30

// progressBar shows on a terminal how far something is. Its methods may be called from any
// goroutine.
type progressBar struct {
	w      io.Writer // nil: show nothing
	label  string
	colour bool

	mu      sync.Mutex
	started time.Time
	percent int // last percentage drawn; -1 before the first
	done    bool
}

// newProgressBar returns a bar on stderr, which stays silent when that is no terminal.
func (a *app) newProgressBar(label string) *progressBar {
	bar := &progressBar{label: label, colour: !a.env.plain, started: time.Now(), percent: -1}
	if a.stderrIsTerminal && !a.env.dumb {
		bar.w = a.stderr
	}
	return bar
}

// update draws the bar at fraction (0 to 1) once enough time has passed.
func (b *progressBar) update(fraction float32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.w == nil || b.done || time.Since(b.started) < progressDelay {
		return
	}
	percent := int(100 * min(max(fraction, 0), 1))
	if percent == b.percent {
		return
	}
	b.percent = percent
	filled := percent * progressCells / 100
	full, rest := strings.Repeat("█", filled), strings.Repeat("░", progressCells-filled)
	if b.colour {
		full = "\x1b[36m" + full + "\x1b[0m"
	}
	fmt.Fprintf(b.w, "\r%s %s%s %3d %%", b.label, full, rest, percent)
}

// finish takes the bar off the screen; later updates draw nothing.
func (b *progressBar) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.percent >= 0 && !b.done {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
	b.done = true
}
