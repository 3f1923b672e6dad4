// Package embedder runs one context for embeddings for many callers at once.
//
// A caller hands texts to [Engine.Do], and waits. One goroutine owns the context: it fills a batch
// with whole texts of all calls, in turns, so that a short question does not wait for a library of
// documents, and of each call with texts of about one length. A batch has at most as many tokens as
// is fastest, or one text that is longer than that. The context is made for such batches, and made
// anew when a longer text comes.
//
// All methods may be called from any goroutine.
package embedder

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// Model is a context for embeddings. One goroutine uses it, but for Abort.
type Model interface {
	// Embed returns a row of width numbers for each sequence, or for each token if nothing is
	// pooled. unseen says of each token whether none pays attention to it; nil: of no token. Rows
	// are valid until the next call.
	Embed(tokens, lengths []int32, unseen []bool) (rows []float32, width int, err error)
	// Abort makes a running Embed, and every later one, fail with ErrCancelled until it is called
	// with false.
	Abort(stop bool)
	Close()
}

var (
	// ErrClosed means that the engine was closed.
	ErrClosed = errors.New("embedder closed")
	// ErrCancelled is what a Model returns after Abort.
	ErrCancelled = errors.New("embedding cancelled")
	// ErrNotFinite means that the model computed numbers that are none for a text.
	ErrNotFinite = errors.New("the model computed numbers that are not finite")
)

// Config says how an engine makes batches.
type Config struct {
	// Make makes a context whose batches have at most so many tokens and sequences.
	Make func(tokens, sequences int) (Model, error)
	// Tokens is how many tokens a batch has at most, but for a longer text.
	Tokens int
	// Longest is the most tokens of a text; Sequences the most texts of a batch.
	Longest, Sequences int
}

// Item is one text. After Do it has either Rows or Err.
type Item struct {
	Tokens []int32
	Unseen int       // so many at the end no token pays attention to
	Rows   []float32 // one row; without pooling, one for each token
	Err    error
}

// call is what one caller wants embedded.
type call struct {
	waiting []*Item // the longest last
	left    int     // not yet done
	done    chan struct{}
	gone    bool // its caller does not wait any more
}

// Stats counts what an engine did.
type Stats struct {
	Batches, Texts, Tokens int
}

// Engine embeds texts for many callers.
type Engine struct {
	config Config
	wake   chan struct{} // has one entry when the loop should look
	ended  chan struct{}

	mu      sync.Mutex // guards the rest
	jobs    []*call    // with items that wait, in turns
	running map[*call]bool
	model   Model
	closed  bool
	stats   Stats
}

// New starts an engine. Its context is made with the first text.
func New(c Config) *Engine {
	e := &Engine{
		config: c, wake: make(chan struct{}, 1), ended: make(chan struct{}),
		running: map[*call]bool{},
	}
	go e.run()
	return e
}

// Do embeds all items. It returns an error only when ctx or the engine ended first; what is wrong
// with one item is in that item.
func (e *Engine) Do(ctx context.Context, items []*Item) error {
	job := &call{done: make(chan struct{})}
	for _, item := range items {
		if err := e.refuse(item); err != nil {
			item.Err = err
			continue
		}
		job.waiting = append(job.waiting, item)
	}
	job.left = len(job.waiting)
	if job.left == 0 {
		return nil
	}
	slices.SortStableFunc(job.waiting, func(a, b *Item) int {
		return len(a.Tokens) - len(b.Tokens)
	})
	if err := e.submit(job); err != nil {
		return err
	}
	select {
	case <-job.done:
		return nil
	case <-ctx.Done():
		e.cancel(job)
		return context.Cause(ctx)
	case <-e.ended:
		return ErrClosed
	}
}

func (e *Engine) refuse(item *Item) error {
	switch n := len(item.Tokens); {
	case n == 0:
		return errors.New("the text has no tokens")
	case n > e.config.Longest:
		return fmt.Errorf("the text has %d tokens; at most %d fit", n, e.config.Longest)
	}
	return nil
}

func (e *Engine) submit(job *call) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.jobs = append(e.jobs, job)
	e.nudge()
	return nil
}

func (e *Engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// cancel forgets a job, and stops the running batch if nobody else waits for it.
func (e *Engine) cancel(job *call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	job.gone = true
	e.jobs = slices.DeleteFunc(e.jobs, func(j *call) bool { return j == job })
	for other := range e.running {
		if !other.gone {
			return
		}
	}
	if len(e.running) > 0 && e.model != nil {
		e.model.Abort(true)
	}
}

// Close ends the engine: calls that wait get ErrClosed. It frees the context.
func (e *Engine) Close() {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		if e.model != nil {
			e.model.Abort(true)
		}
		e.nudge()
	}
	e.mu.Unlock()
	<-e.ended
}

// Stats returns the counts so far.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// entry is an item in a batch.
type entry struct {
	*Item
	job *call
}

// run is the goroutine that owns the context.
func (e *Engine) run() {
	var room int // tokens of a batch that the model has room for
	defer func() {
		e.mu.Lock()
		model := e.model
		e.model = nil
		e.mu.Unlock()
		if model != nil {
			model.Close()
		}
		close(e.ended)
	}()
	for {
		batch, ok := e.next()
		if !ok {
			return
		}
		if len(batch) == 0 {
			<-e.wake
			continue
		}
		if need := total(batch); need > room {
			if err := e.grow(need, &room); err != nil {
				e.finish(batch, func(entry) ([]float32, error) { return nil, err })
				continue
			}
		}
		e.embed(batch)
	}
}

func total(batch []entry) int {
	n := 0
	for _, item := range batch {
		n += len(item.Tokens)
	}
	return n
}

// next takes the items of the next batch. It reports false when the engine is closed.
func (e *Engine) next() ([]entry, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, false
	}
	var batch []entry
	tokens := 0
	for fits := true; fits; {
		fits = false
		for _, job := range e.jobs {
			if len(batch) == e.config.Sequences {
				break
			}
			item := job.take(e.config.Tokens-tokens, len(batch) == 0)
			if item == nil {
				continue
			}
			batch = append(batch, entry{item, job})
			tokens += len(item.Tokens)
			fits = true
		}
	}
	clear(e.running)
	for _, item := range batch {
		e.running[item.job] = true
	}
	e.rotate()
	if e.model != nil {
		e.model.Abort(false)
	}
	return batch, true
}

// take takes the longest item that fits in so many tokens, or the longest of all for an empty
// batch. It returns nil if there is none.
func (j *call) take(room int, whatever bool) *Item {
	i := len(j.waiting) - 1
	if i >= 0 && !whatever && len(j.waiting[i].Tokens) > room {
		i, _ = slices.BinarySearchFunc(j.waiting, room+1, func(item *Item, most int) int {
			return len(item.Tokens) - most
		})
		i--
	}
	if i < 0 {
		return nil
	}
	item := j.waiting[i]
	j.waiting = slices.Delete(j.waiting, i, i+1)
	return item
}

// rotate gives the next turn to another job, and forgets those that wait for nothing. The caller
// holds e.mu.
func (e *Engine) rotate() {
	if len(e.jobs) > 1 {
		e.jobs = append(e.jobs[1:], e.jobs[0])
	}
	e.jobs = slices.DeleteFunc(e.jobs, func(j *call) bool { return len(j.waiting) == 0 })
}

// grow makes the context anew, for batches of at least so many tokens.
func (e *Engine) grow(need int, room *int) error {
	size := e.config.Tokens
	for size < need {
		size *= 2
	}
	size = min(size, max(e.config.Longest, e.config.Tokens))
	e.mu.Lock()
	old := e.model
	e.model = nil
	e.mu.Unlock()
	*room = 0
	if old != nil {
		old.Close()
	}
	model, err := e.config.Make(size, e.config.Sequences)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.model, *room = model, size
	model.Abort(e.closed)
	return nil
}

// embed runs a batch. One that fails, or has numbers that are none, is tried again by halves, so
// that what one text does is not done to others: attention weighs those with nothing, but nothing
// times no number is none either.
func (e *Engine) embed(batch []entry) {
	var tokens, lengths []int32
	for _, item := range batch {
		tokens = append(tokens, item.Tokens...)
		lengths = append(lengths, int32(len(item.Tokens)))
	}
	rows, width, err := e.model.Embed(tokens, lengths, unseen(batch, len(tokens)))
	e.count(batch, len(tokens))
	if err == nil && !finite(rows) {
		err = ErrNotFinite
	}
	if half := len(batch) / 2; half > 0 && err != nil && !errors.Is(err, ErrCancelled) {
		e.embed(batch[:half])
		e.embed(batch[half:])
		return
	}
	perToken := err == nil && len(rows) == width*len(tokens) && len(tokens) != len(batch)
	e.finish(batch, func(item entry) ([]float32, error) {
		if err != nil {
			return nil, err
		}
		n := width
		if perToken {
			n *= len(item.Tokens)
		}
		row := slices.Clone(rows[:n])
		rows = rows[n:]
		return row, nil
	})
}

// unseen marks the tokens of a batch to which none pays attention. It is nil if there are none.
func unseen(batch []entry, tokens int) []bool {
	if !slices.ContainsFunc(batch, func(item entry) bool { return item.Unseen > 0 }) {
		return nil
	}
	marks := make([]bool, 0, tokens)
	for _, item := range batch {
		for i := range item.Tokens {
			marks = append(marks, i >= len(item.Tokens)-item.Unseen)
		}
	}
	return marks
}

func (e *Engine) count(batch []entry, tokens int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Batches++
	e.stats.Texts += len(batch)
	e.stats.Tokens += tokens
}

func finite(row []float32) bool {
	for _, x := range row {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return false
		}
	}
	return true
}

// finish gives each item of a batch what result says. What was cancelled belongs to callers that do
// not wait, unless the engine is being closed.
func (e *Engine) finish(batch []entry, result func(entry) ([]float32, error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, item := range batch {
		row, err := result(item)
		if item.job.gone || errors.Is(err, ErrCancelled) {
			continue
		}
		item.Rows, item.Err = row, err
		if item.job.left--; item.job.left == 0 {
			close(item.job.done)
		}
	}
}
