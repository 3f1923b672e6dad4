package soak

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// State is what the daemon's metrics tell of what it holds.
type State struct {
	Goroutines int   `json:"goroutines"`
	Files      int   `json:"files"` // open file descriptors, sockets among them
	RSS        int64 `json:"rss_bytes"`
	Go         int64 `json:"go_bytes"` // the part of it that Go's runtime holds
	Busy       int   `json:"slots_busy"`
	Waiting    int   `json:"waiting"`
	Contexts   int   `json:"contexts"` // loaded models, each with a context size
}

func (s State) idle() bool { return s.Busy == 0 && s.Waiting == 0 && s.Contexts == 0 }

// like reports whether nothing went on between two states.
func (s State) like(o State) bool {
	const little = 1 << 20
	return s.Goroutines == o.Goroutines && s.Files == o.Files &&
		max(s.RSS-o.RSS, o.RSS-s.RSS) < little
}

func (s State) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d MiB (%d of Go), %d models, %d busy, %d waiting",
		s.Goroutines, s.Files, s.RSS>>20, s.Go>>20, s.Contexts, s.Busy, s.Waiting)
}

// Leak is what a run has left of one thing.
type Leak struct {
	What    string  `json:"what"`
	Left    float64 `json:"left"` // after the run, less what was there before
	Allowed float64 `json:"allowed"`
}

// allowances say what may be left. A few goroutines and files come and go with connections that
// others hold and with the runtime's own work. Memory that was freed stays with C's allocator, in
// pieces. Go's garbage, such as the bodies of 20 MB that a soak sends, stays until the collector's
// next turn, which an idle program has every two minutes, and some time longer.
var allowances = []struct {
	what    string
	of      func(State) float64
	allowed float64
}{
	{"goroutines", func(s State) float64 { return float64(s.Goroutines) }, 5},
	{"files", func(s State) float64 { return float64(s.Files) }, 5},
	{"MiB outside of Go", func(s State) float64 { return float64(s.RSS-s.Go) / (1 << 20) }, 96},
	{"MiB of Go", func(s State) float64 { return float64(s.Go) / (1 << 20) }, 256},
	{"busy slots", func(s State) float64 { return float64(s.Busy) }, 0},
	{"waiting requests", func(s State) float64 { return float64(s.Waiting) }, 0},
	{"loaded models", func(s State) float64 { return float64(s.Contexts) }, 0},
}

func leaks(before, after State) []Leak {
	var all []Leak
	for _, a := range allowances {
		all = append(all, Leak{a.what, a.of(after) - a.of(before), a.allowed})
	}
	return all
}

func leaking(before, after State) bool {
	for _, l := range leaks(before, after) {
		if l.Left > l.Allowed {
			return true
		}
	}
	return false
}

// probe reads the metrics of a daemon, each time over a connection of its own, so that it adds the
// same to every state.
type probe struct {
	url, key string
	http     *http.Client
}

func newProbe(url, key string) *probe {
	return &probe{url, key, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

func (p *probe) state(ctx context.Context) (State, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/metrics", nil)
	if err != nil {
		return State{}, err
	}
	authorize(req, p.key)
	resp, err := p.http.Do(req)
	if err != nil {
		return State{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return State{}, fmt.Errorf("the daemon's metrics: %s", resp.Status)
	}
	return parseState(resp.Body)
}

// parseState reads Prometheus' text format.
func parseState(r io.Reader) (State, error) {
	var s State
	fields := map[string]func(v float64){
		"go_goroutines":                 func(v float64) { s.Goroutines += int(v) },
		"process_open_fds":              func(v float64) { s.Files += int(v) },
		"process_resident_memory_bytes": func(v float64) { s.RSS += int64(v) },

		"go_memstats_sys_bytes":           func(v float64) { s.Go += int64(v) },
		"go_memstats_heap_released_bytes": func(v float64) { s.Go -= int64(v) },

		"mullama_slots_busy":       func(v float64) { s.Busy += int(v) },
		"mullama_requests_waiting": func(v float64) { s.Waiting += int(v) },
		"mullama_slots":            func(float64) { s.Contexts++ },
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if at := strings.LastIndex(lines.Text(), "} "); at >= 0 { // labels may have spaces
			name, value = lines.Text()[:at], lines.Text()[at+len("} "):]
		}
		name, _, _ = strings.Cut(name, "{")
		add := fields[name]
		if add == nil {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return s, fmt.Errorf("the daemon's metrics: %q is no number", value)
		}
		add(v)
	}
	if s.Goroutines == 0 {
		return s, fmt.Errorf("the daemon's metrics do not have go_goroutines")
	}
	return s, lines.Err()
}
