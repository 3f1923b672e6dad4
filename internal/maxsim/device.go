package maxsim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mullama/mullama/internal/llama"
)

const (
	// maxUploads is how often documents are added on a device before all are laid out anew: those
	// of each time are computed by themselves.
	maxUploads = 16
	uploadDocs = 64 // a thread sends at a time
	exactDocs  = 4  // a thread scores at a time
)

// deviceDocs is the documents of an index in the memory of a device. What the device computes is
// off by a little, and how much at most is known. So it says which documents can be among the best,
// and those are scored as an index without a device does: the results are the same.
type deviceDocs struct {
	index *Index

	mu      sync.Mutex // held by a search or an upload; guards all below
	corpus  *llama.Corpus
	docs    []uint64  // in each place; what is there stays
	lengths []float32 // of the longest vector in each place
	loaded  uint64    // documents
	uploads int
}

// close frees the device's memory.
func (d *deviceDocs) close() {
	if d.corpus != nil {
		d.corpus.Close()
	}
	d.corpus, d.docs, d.lengths, d.loaded, d.uploads = nil, nil, nil, 0, 0
}

// bytes is what the documents take there.
func (d *deviceDocs) bytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.corpus == nil {
		return 0
	}
	return int64(d.corpus.Bytes())
}

// refused says whose documents a device did not take.
func (d *deviceDocs) refused(err error) error {
	if errors.Is(err, llama.ErrMemory) {
		return &kindError{ErrMemory, fmt.Sprintf("index %s: %v", d.index.path, err)}
	}
	return err
}

// upload brings the documents there that are not yet. After an error nothing is there.
func (d *deviceDocs) upload(ctx context.Context, s *snapshot) (err error) {
	if d.corpus != nil && d.loaded >= s.docs {
		return nil
	}
	if d.uploads >= maxUploads {
		d.close()
	}
	defer func() {
		if err != nil {
			d.close()
			err = d.refused(err)
		}
	}()
	x := d.index
	if d.corpus == nil {
		d.corpus, err = x.lib.NewCorpus(llama.CorpusParams{Device: x.options.Device, Dim: x.dim,
			Threads: x.options.Threads})
		if err != nil {
			return err
		}
	}
	tokens, err := s.tokensFrom(d.loaded)
	if err != nil {
		return err
	}
	order, err := d.corpus.Extend(tokens)
	if err != nil {
		return err
	}
	for _, i := range order {
		d.docs = append(d.docs, d.loaded+uint64(i))
	}
	d.lengths = append(d.lengths, make([]float32, len(order))...)
	first := int(d.loaded)
	d.loaded = s.docs
	if len(order) > 0 {
		d.uploads++
	}
	return d.send(ctx, s, first)
}

// tokensFrom returns how many tokens the documents have from one on.
func (s *snapshot) tokensFrom(doc uint64) ([]int32, error) {
	tokens := make([]int32, 0, s.docs-doc)
	for ; doc < s.docs; doc++ {
		p := s.partOf(doc)
		raw, err := p.entries(doc-p.first, doc-p.first+1)
		if err != nil {
			return nil, err
		}
		n := decodeEntry(raw).tokens
		if n == 0 || n > maxTokens {
			return nil, damaged(s.index.path, "its tables are damaged")
		}
		tokens = append(tokens, int32(n))
	}
	return tokens, nil
}

// send fills places from one on with their documents.
func (d *deviceDocs) send(ctx context.Context, s *snapshot, first int) error {
	var next atomic.Int64
	next.Store(int64(first))
	end := len(d.docs)
	return d.index.parallel(uint64(end-first), func() error {
		for ctx.Err() == nil {
			from := int(next.Add(uploadDocs)) - uploadDocs
			if from >= end {
				break
			}
			if err := d.sendBlock(s, from, min(from+uploadDocs, end)); err != nil {
				next.Store(int64(end)) // the others need not go on
				return err
			}
		}
		return ctx.Err()
	})
}

// sendBlock sends documents, those that lie in one extent together.
func (d *deviceDocs) sendBlock(s *snapshot, from, to int) error {
	var in *extent
	var docs []llama.Document
	flush := func(end int) error {
		if len(docs) == 0 {
			return nil
		}
		place := end - len(docs)
		err := d.corpus.Put(s.index.kind, in.data, docs, place, d.lengths[place:end])
		docs = docs[:0]
		return err
	}
	for place := from; place < to; place++ {
		p := s.partOf(d.docs[place])
		at, err := s.document(p, d.docs[place]-p.first, false)
		if err != nil {
			return err
		}
		if in != at.extent {
			if err := flush(place); err != nil {
				return err
			}
			in = at.extent
		}
		docs = append(docs, llama.Document{Offset: at.offset, Tokens: int32(at.tokens)})
	}
	return flush(to)
}

// search returns the k best documents for each query.
func (d *deviceDocs) search(ctx context.Context, s *snapshot, queries [][]float32, k int) ([]top,
	error) {
	near, err := d.candidates(ctx, s, queries, k)
	if err != nil {
		return nil, err
	}
	best := make([]top, len(queries))
	packed := make([]*llama.Queries, len(queries))
	for i := range queries {
		best[i].k = k
		packed[i], err = pack(s.index.lib, llama.QueriesParams{Kind: s.index.kind, Dim: s.index.dim,
			Kernel: s.index.options.Kernel}, queries[i:i+1])
		if err != nil {
			return nil, err
		}
		defer packed[i].Close()
	}
	return best, s.exact(ctx, packed, near, best)
}

// candidates returns the documents that can be among the k best of each query, in ascending order.
func (d *deviceDocs) candidates(ctx context.Context, s *snapshot, queries [][]float32,
	k int) ([][]uint64, error) {
	rounded, err := s.index.rounded(queries)
	if err != nil {
		return nil, err
	}
	computed, err := d.score(ctx, s, rounded)
	if err != nil {
		return nil, err
	}
	near := make([][]uint64, len(queries))
	var wait sync.WaitGroup
	for i, q := range rounded {
		wait.Go(func() {
			near[i] = computed.near(i, float32(s.index.offBy(q)), k, s.docs)
		})
	}
	wait.Wait()
	return near, ctx.Err()
}

// computed is what a device says of the documents that it has.
type computed struct {
	scores  []float32 // those of the first query with all documents come first
	docs    []uint64
	lengths []float32
}

// score has the device compute, after it got what it did not have yet.
func (d *deviceDocs) score(ctx context.Context, s *snapshot, queries [][]float32) (computed,
	error) {
	var all []float32
	tokens := make([]int32, len(queries))
	for i, q := range queries {
		tokens[i] = int32(len(q) / s.index.dim)
		all = append(all, q...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.upload(ctx, s); err != nil {
		return computed{}, err
	}
	c := computed{make([]float32, len(queries)*len(d.docs)), d.docs, d.lengths}
	return c, d.refused(d.corpus.Score(all, tokens, c.scores))
}

// rounded returns queries as the kernels for an index of integers see them.
func (x *Index) rounded(queries [][]float32) ([][]float32, error) {
	if x.kind != llama.VectorInt8 {
		return queries, nil
	}
	all := make([][]float32, len(queries))
	for i, q := range queries {
		codes := make([]byte, x.lib.VectorBytes(x.kind, x.dim, len(q)/x.dim))
		all[i] = make([]float32, len(q))
		err := errors.Join(x.lib.EncodeVectors(x.kind, x.dim, q, codes),
			x.lib.DecodeVectors(x.kind, x.dim, codes, all[i]))
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// offBy is how much a score of a device may be off, for each unit of length of the document's
// longest vector. It holds for any numbers: a product of vectors is off by that of their lengths,
// times what rounding does to a number, and to a sum of so many. Half floats have 11 bits; numbers
// that are small beside the largest have fewer, but are off by no more than a part of that one.
func (x *Index) offBy(query []float32) float64 {
	const half, float = 1.0 / (1 << 11), 1.0 / (1 << 22)
	root := math.Sqrt(float64(x.dim))
	one := half + float*(float64(x.dim)+4*root)
	if x.kind != llama.VectorF16 {
		one += half
	}
	lengths, largest := 0.0, 0.0
	for at := 0; at < len(query); at += x.dim {
		sum := 0.0
		for _, f := range query[at : at+x.dim] {
			sum += float64(f) * float64(f)
			largest = max(largest, math.Abs(float64(f)))
		}
		lengths += math.Sqrt(sum)
	}
	n := float64(len(query) / x.dim)
	const more = 1.01 // for the arithmetic with these
	return more * (one*lengths + n*largest*root*4*float)
}

// near returns the documents that can be among the k best of a query, in ascending order, where a
// score may be off by a document's length times `off`. Documents from end on do not count: they are
// of a newer snapshot.
func (c *computed) near(query int, off float32, k int, end uint64) []uint64 {
	infinite := float32(math.Inf(-1))
	scores := c.scores[query*len(c.docs):][:len(c.docs)]
	least, worst := top{k: k}, infinite // of what scores are at least
	for place, score := range scores {
		low := score - c.lengths[place]*off
		if low <= worst || c.docs[place] >= end {
			continue
		}
		if low != low { // of infinities
			low = infinite
		}
		least.add(hit{uint64(place), low})
		if len(least.hits) == k {
			worst = least.hits[0].score
		}
	}
	var near []uint64
	for place, score := range scores {
		if high := score + c.lengths[place]*off; !(high < worst) && c.docs[place] < end {
			near = append(near, c.docs[place])
		}
	}
	slices.Sort(near)
	return near
}

// exact adds documents, a list for each query, with their scores to the best.
func (s *snapshot) exact(ctx context.Context, queries []*llama.Queries, docs [][]uint64,
	best []top) error {
	type work struct {
		query int
		docs  []uint64
	}
	var all []work
	for i, list := range docs {
		for some := range slices.Chunk(list, exactDocs) {
			all = append(all, work{i, some})
		}
	}
	var next atomic.Int64
	var mu sync.Mutex // guards best
	err := s.index.onThreads(len(all), func() error {
		for ctx.Err() == nil {
			at := int(next.Add(1)) - 1
			if at >= len(all) {
				break
			}
			one := all[at]
			w := newScorer(s, queries[one.query], len(one.docs))
			if err := w.block(these(one.docs), 0, uint64(len(one.docs))); err != nil {
				return err
			}
			mu.Lock()
			best[one.query].merge(&w.best[0])
			mu.Unlock()
		}
		return ctx.Err()
	})
	runtime.KeepAlive(queries)
	return err
}
