package maxsim

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/mullama/mullama/internal/llama"
)

// blockDocs is how many documents a thread takes at a time.
const blockDocs = 32

// Result is a document that was found.
type Result struct {
	ID    string
	Score float32
	Doc   int // its number in the order in which documents were added, from 0
}

// SearchOptions are for [Index.Search].
type SearchOptions struct {
	// Probe is how many groups of similar tokens are looked at for each token of a query, in an
	// index with centroids. 0 looks at all documents.
	Probe int
	// Candidates is how many documents at most are scored then. 0: the larger of 1,024 and ten
	// times the results that are asked for.
	Candidates int
}

// Search returns the k best documents for each query, best first; of those with equal scores the
// one that was added first. A query is the vectors of its tokens, one after the other. Several
// queries in one call share the reading of the index.
func (x *Index) Search(ctx context.Context, queries [][]float32, k int,
	o SearchOptions) ([][]Result, error) {
	end, err := x.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	if k < 1 || o.Probe < 0 || o.Candidates < 0 {
		return nil, invalid("%d results, %d groups and %d candidates asked for", k, o.Probe,
			o.Candidates)
	}
	packed, err := pack(x.lib, llama.QueriesParams{Kind: x.kind, Dim: x.dim,
		Kernel: x.options.Kernel}, queries)
	if err != nil {
		return nil, err
	}
	defer packed.Close()
	s, err := x.refresh()
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(s)
	k = min(k, int(s.docs))
	if o.Probe > 0 && x.device != nil {
		return nil, invalid("a search by groups does not use device %s; search all documents, or "+
			"open index %s without a device", x.options.Device, x.path)
	}
	if o.Probe > 0 && s.grouped != nil {
		return s.searchGroups(ctx, queries, k, o)
	}
	var tops []top
	if x.device != nil {
		tops, err = x.device.search(ctx, s, queries, k)
	} else {
		tops, err = s.score(ctx, packed, everything(s.docs), k)
	}
	if err != nil {
		return nil, err
	}
	return s.results(tops)
}

// pack checks queries and lays them out.
func pack(lib *llama.Library, p llama.QueriesParams, queries [][]float32) (*llama.Queries, error) {
	if len(queries) == 0 {
		return nil, invalid("no queries")
	}
	var all []float32
	tokens := make([]int32, len(queries))
	for i, q := range queries {
		if err := checkVectors(q, p.Dim, llama.VectorF32); err != nil {
			return nil, invalid("query %d: %v", i, err)
		}
		tokens[i] = int32(len(q) / p.Dim)
		all = append(all, q...)
	}
	return lib.NewQueries(p, all, tokens)
}

// results adds the ids.
func (s *snapshot) results(tops []top) ([][]Result, error) {
	all := make([][]Result, len(tops))
	for i := range tops {
		all[i] = make([]Result, 0, len(tops[i].hits))
		for _, h := range tops[i].sorted() {
			id, err := s.id(h.doc)
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], Result{ID: id, Score: h.score, Doc: int(h.doc)})
		}
	}
	return all, nil
}

// selection is the documents to look at, as numbers in ascending order.
type selection struct {
	n  uint64
	at func(i uint64) uint64
}

func everything(n uint64) selection { return selection{n, func(i uint64) uint64 { return i }} }

func these(docs []uint64) selection {
	return selection{uint64(len(docs)), func(i uint64) uint64 { return docs[i] }}
}

// score returns the k best of some documents for each query.
func (s *snapshot) score(ctx context.Context, q *llama.Queries, docs selection, k int) ([]top,
	error) {
	var next atomic.Uint64
	best := make([]top, q.Len())
	for i := range best {
		best[i].k = k
	}
	var mu sync.Mutex // guards best
	err := s.index.parallel(docs.n, func() error {
		w := newScorer(s, q, k)
		for ctx.Err() == nil {
			from := next.Add(blockDocs) - blockDocs
			if from >= docs.n {
				break
			}
			if err := w.block(docs, from, min(from+blockDocs, docs.n)); err != nil {
				next.Store(docs.n) // the others need not go on
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range best {
			best[i].merge(&w.best[i])
		}
		return ctx.Err()
	})
	return best, err
}

// parallel runs work on as many threads as there are for n documents, as onThreads does.
func (x *Index) parallel(n uint64, work func() error) error {
	return x.onThreads(int((n+blockDocs-1)/blockDocs), work)
}

// onThreads runs work on `most` threads, or as many as there are, this one among them. It returns
// the first error.
func (x *Index) onThreads(most int, work func() error) error {
	threads := min(x.options.Threads, most)
	errs := make(chan error, max(threads, 1))
	for range threads - 1 {
		go func() { errs <- work() }()
	}
	errs <- work()
	var first error
	for range max(threads, 1) {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// scorer is what one thread needs.
type scorer struct {
	s      *snapshot
	q      *llama.Queries
	best   []top
	docs   []llama.Document
	names  []uint64
	scores []float32
}

func newScorer(s *snapshot, q *llama.Queries, k int) *scorer {
	w := &scorer{s: s, q: q, best: make([]top, q.Len())}
	for i := range w.best {
		w.best[i].k = k
	}
	return w
}

// block scores some documents, those that lie in one extent together.
func (w *scorer) block(docs selection, from, to uint64) error {
	var in *extent
	for i := from; i < to; i++ {
		doc := docs.at(i)
		p := w.s.partOf(doc)
		at, err := w.s.document(p, doc-p.first, false)
		if err != nil {
			return err
		}
		if in != at.extent {
			if err := w.flush(in); err != nil {
				return err
			}
			in = at.extent
		}
		w.docs = append(w.docs, llama.Document{Offset: at.offset, Tokens: int32(at.tokens)})
		w.names = append(w.names, doc)
	}
	return w.flush(in)
}

func (w *scorer) flush(in *extent) error {
	n := len(w.docs)
	if n == 0 {
		return nil
	}
	if need := n * w.q.Len(); cap(w.scores) < need {
		w.scores = make([]float32, need)
	}
	w.scores = w.scores[:n*w.q.Len()]
	if err := w.q.Score(in.data, w.docs, w.scores); err != nil {
		return err
	}
	for i := range w.best {
		for j, score := range w.scores[i*n : (i+1)*n] {
			w.best[i].add(hit{w.names[j], score})
		}
	}
	w.docs, w.names = w.docs[:0], w.names[:0]
	return nil
}

// MaxSim returns the score of a document for a query: vectors of dim numbers, one for each token.
func MaxSim(lib *llama.Library, dim int, query, doc []float32) (float32, error) {
	if dim < 1 || dim > maxDim {
		return 0, invalid("vectors of %d numbers: 1 to %d are possible", dim, maxDim)
	}
	q, err := pack(lib, llama.QueriesParams{Dim: dim}, [][]float32{query})
	if err != nil {
		return 0, err
	}
	defer q.Close()
	if err := checkVectors(doc, dim, llama.VectorF32); err != nil {
		return 0, invalid("document: %v", err)
	}
	score := make([]float32, 1)
	err = q.ScoreFloats(doc, len(doc)/dim, score)
	return score[0], err
}
