// Package soak keeps a daemon busy for a bounded time with requests of many kinds, good, broken and
// abandoned, and finds what got lost and what leaked.
//
// Each client is a goroutine that sends one request after the other, of a kind that a seeded random
// source picks. Each kind knows how it must end: with a whole answer, with a certain status and a
// sentence, or with nothing because the client left. What ends otherwise is lost. A status 503 that
// says when to try again is no loss; the request is sent again.
//
// Before and after the run, with no request running and no model loaded, the daemon's metrics tell
// its goroutines, files, memory, slots and loaded models. What is left of the run is a leak.
package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Work says what is sent.
type Work struct {
	URL      string        `json:"-"` // "http://127.0.0.1:11434"
	Models   []string      `json:"models"`
	Key      string        `json:"-"` // API key, or ""
	Duration time.Duration `json:"duration_ns"`
	Clients  int           `json:"clients"`
	Seed     uint64        `json:"seed"`
	Limit    time.Duration `json:"limit_ns"` // of one request with all its retries
	Settle   time.Duration `json:"settle_ns"`

	// Say gets a sentence about the run now and then. Nil: nobody wants to know.
	Say func(format string, args ...any) `json:"-"`
}

// Report is what became of a run.
type Report struct {
	Work
	Seconds  float64  `json:"seconds"`
	Requests int      `json:"requests"`
	Lost     int      `json:"lost"`
	Kinds    []Kind   `json:"kinds"`
	Losses   []Loss   `json:"losses,omitempty"` // the first of each kind
	Before   State    `json:"before"`
	After    State    `json:"after"`
	Leaks    []Leak   `json:"leaks"`
	Course   []Sample `json:"course"`
}

// Sample is the state of the daemon at some time of the run.
type Sample struct {
	Seconds float64 `json:"at_s"`
	State
}

// Leaked counts the leaks that are more than is allowed.
func (r *Report) Leaked() int {
	n := 0
	for _, l := range r.Leaks {
		if l.Left > l.Allowed {
			n++
		}
	}
	return n
}

// Err says in a sentence what is wrong with the daemon, or is nil.
func (r *Report) Err() error {
	var wrong []string
	if r.Lost > 0 {
		wrong = append(wrong, fmt.Sprintf("%d of %d requests were lost", r.Lost, r.Requests))
	}
	for _, l := range r.Leaks {
		if l.Left > l.Allowed {
			wrong = append(wrong, fmt.Sprintf("%.4g %s leaked", l.Left, l.What))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return errors.New(strings.Join(wrong, "; "))
}

func (w *Work) check() error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("%q is no address of a daemon; write http://host:port", w.URL)
	case len(w.Models) == 0:
		return errors.New("name at least one model")
	case w.Clients < 1 || w.Duration <= 0 || w.Limit <= 0:
		return errors.New("clients, duration and limit must be more than 0")
	}
	w.URL = strings.TrimSuffix(w.URL, "/")
	return nil
}

// runner is one run.
type runner struct {
	Work
	host   string   // of the URL
	chats  []string // the models that have a chat template
	http   *http.Client
	probe  *probe
	books  *books
	course []Sample
	began  time.Time
}

// Run does the work: a short warm-up, whose losses count but not its times, and the load. An
// answer that is lost is part of the report, not an error.
func Run(ctx context.Context, w Work) (*Report, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	if w.Say == nil {
		w.Say = func(string, ...any) {}
	}
	r := &runner{Work: w, host: strings.TrimPrefix(w.URL, "http://"), books: newBooks(),
		http: &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: w.Clients, DisableCompression: true}},
		probe: newProbe(w.URL, w.Key)}
	report := &Report{Work: w}
	if err := r.findChats(ctx); err != nil {
		return nil, err
	}
	const warmShare, mostWarm = 10, 10 * time.Second
	r.began = time.Now()
	r.load(ctx, min(w.Duration/warmShare, mostWarm), 0)
	warm := r.books
	var err error
	if report.Before, err = r.rest(ctx, nil); err != nil {
		return nil, err
	}
	w.Say("before: %s", report.Before)
	r.books, r.began = newBooks(), time.Now()
	stop := r.watch(ctx)
	r.load(ctx, w.Duration, 1)
	report.Seconds = time.Since(r.began).Seconds()
	stop()
	if report.After, err = r.rest(ctx, &report.Before); err != nil {
		return nil, err
	}
	w.Say("after:  %s", report.After)
	r.books.take(warm)
	r.books.fill(report)
	report.Leaks, report.Course = leaks(report.Before, report.After), r.course
	return report, ctx.Err()
}

// findChats asks which models can chat.
func (r *runner) findChats(ctx context.Context) error {
	for _, model := range r.Models {
		ctx, cancel := context.WithTimeout(ctx, r.Limit)
		defer cancel()
		t := &trial{client: &client{runner: r}, ctx: ctx}
		resp, err := t.post("/apply-template", object{"model": model,
			"messages": []object{{"role": "user", "content": "a"}}})
		if err != nil {
			return err
		}
		if resp.StatusCode == http.StatusOK {
			r.chats = append(r.chats, model)
		}
		_ = resp.Body.Close()
	}
	if len(r.chats) == 0 {
		return errors.New("none of the models has a chat template")
	}
	return nil
}

// load has the clients send requests for a time, and returns when the last is answered.
func (r *runner) load(ctx context.Context, duration time.Duration, phase uint64) {
	end := time.Now().Add(duration)
	var clients sync.WaitGroup
	for i := range r.Clients {
		c := &client{runner: r,
			random: rand.New(rand.NewPCG(r.Seed, uint64(i)<<1|phase))} //nolint:gosec // a count
		clients.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				c.one(ctx)
			}
		})
	}
	clients.Wait()
}

// rest unloads all models and returns the state of the daemon when it is idle, or as idle as it
// becomes within the time to settle: after a run, with no more than before it.
func (r *runner) rest(ctx context.Context, before *State) (State, error) {
	r.http.CloseIdleConnections()
	for _, model := range r.Models {
		if err := r.unload(ctx, model); err != nil {
			return State{}, fmt.Errorf("unload %s: %w", model, err)
		}
	}
	r.http.CloseIdleConnections()
	const pause, enough = 100 * time.Millisecond, 5
	var last State
	calm := 0 // how many states in a row were the same
	for end := time.Now().Add(r.Settle); ; {
		state, err := r.probe.state(ctx)
		if err != nil {
			return State{}, err
		}
		// Connections end a moment after their last byte, and memory is freed after a model is no
		// longer told of.
		if state.idle() && state.like(last) && (before == nil || !leaking(*before, state)) {
			calm++
		} else {
			calm = 0
		}
		if calm == enough || time.Now().After(end) {
			return state, nil
		}
		last = state
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return State{}, ctx.Err()
		}
	}
}

// watch takes the state of the daemon at even times until stop is called.
func (r *runner) watch(ctx context.Context) (stop func()) {
	const points, shortest, often = 200, 250 * time.Millisecond, 20
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { // ends with stop
		ticker := time.NewTicker(max(r.Duration/points, shortest))
		defer ticker.Stop()
		for i := 1; ; i++ {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			state, err := r.probe.state(ctx)
			if err != nil {
				r.books.lose(&trial{kind: "metrics"}, err)
				continue
			}
			at := time.Since(r.began)
			r.course = append(r.course, Sample{at.Seconds(), state})
			if i%often == 0 {
				requests, lost := r.books.count()
				r.Say("%s: %d requests, %d lost; %s", at.Round(time.Second), requests, lost, state)
			}
		}
	})
	return func() {
		close(done)
		all.Wait()
	}
}
