package soak

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

// Kind is what became of the requests of one kind.
type Kind struct {
	Name    string  `json:"name"`
	Count   int     `json:"count"`
	Lost    int     `json:"lost"`
	Retries int     `json:"retries"` // after a status 503
	Whole   Spread  `json:"answer_ms"`
	First   *Spread `json:"ttft_ms,omitempty"` // of those that stream
	Gap     *Spread `json:"gap_ms,omitempty"`
}

// Spread holds quantiles.
type Spread struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Loss is a request that did not end as it must.
type Loss struct {
	Kind    string  `json:"kind"`
	Seconds float64 `json:"at_s"`
	Model   string  `json:"model"`
	Message string  `json:"message"`
	Count   int     `json:"count"` // of those with the same kind and message
}

// mostLosses is how many different losses a report tells.
const mostLosses = 100

// books keep the times of all requests.
type books struct {
	mu     sync.Mutex // guards all below
	began  time.Time
	kinds  map[string]*page
	losses []Loss
}

// page is one kind. Times are in milliseconds.
type page struct {
	count, lost, retries int
	whole, first, gaps   []float64
}

func newBooks() *books { return &books{began: time.Now(), kinds: map[string]*page{}} }

// page returns that of a kind; the caller holds mu.
func (b *books) page(kind string) *page {
	if b.kinds[kind] == nil {
		b.kinds[kind] = new(page)
	}
	return b.kinds[kind]
}

// win books a request that ended as it must.
func (b *books) win(t *trial, end time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.page(t.kind)
	p.count++
	p.retries += t.retries
	p.whole = append(p.whole, milliseconds(end.Sub(t.began)))
	for i, at := range t.parts {
		if i == 0 {
			p.first = append(p.first, milliseconds(at.Sub(t.began)))
		} else {
			p.gaps = append(p.gaps, milliseconds(at.Sub(t.parts[i-1])))
		}
	}
}

// lose books one that did not.
func (b *books) lose(t *trial, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.page(t.kind)
	p.count++
	p.lost++
	p.retries += t.retries
	for i := range b.losses {
		if b.losses[i].Kind == t.kind && b.losses[i].Message == err.Error() {
			b.losses[i].Count++
			return
		}
	}
	if len(b.losses) < mostLosses {
		b.losses = append(b.losses, Loss{t.kind, time.Since(b.began).Seconds(), t.model,
			err.Error(), 1})
	}
}

// take adds the losses of other books, but not their times.
func (b *books) take(other *books) {
	for name, p := range other.kinds {
		if p.lost == 0 {
			continue
		}
		own := b.page(name)
		own.count += p.lost
		own.lost += p.lost
	}
	b.losses = append(b.losses, other.losses...)
}

func (b *books) count() (requests, lost int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.kinds {
		requests += p.count
		lost += p.lost
	}
	return requests, lost
}

// fill writes the books into a report.
func (b *books) fill(r *Report) {
	r.Requests, r.Lost = b.count()
	r.Losses = b.losses
	for name, p := range b.kinds {
		k := Kind{Name: name, Count: p.count, Lost: p.lost, Retries: p.retries,
			Whole: spread(p.whole)}
		if len(p.first) > 0 {
			k.First = new(spread(p.first))
		}
		if len(p.gaps) > 0 {
			k.Gap = new(spread(p.gaps))
		}
		r.Kinds = append(r.Kinds, k)
	}
	slices.SortFunc(r.Kinds, func(x, y Kind) int { return cmp.Compare(x.Name, y.Name) })
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// spread returns the quantiles of times.
func spread(times []float64) Spread {
	if len(times) == 0 {
		return Spread{}
	}
	slices.Sort(times)
	at := func(q float64) float64 {
		return times[int(math.Ceil(q*float64(len(times))))-1]
	}
	return Spread{P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: at(1)}
}
