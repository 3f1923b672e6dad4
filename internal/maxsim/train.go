package maxsim

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mullama/mullama/internal/llama"
)

// TrainOptions are for [Index.Train].
type TrainOptions struct {
	// Centroids is how many groups to make. 0: the power of two at or below four times the root of
	// the number of tokens.
	Centroids int
	// Rounds is how often groups are formed anew. 0: 4.
	Rounds int
}

// tokensPerCentroid is how large a sample groups are formed from.
const tokensPerCentroid = 64

// Train groups the tokens of all documents, so that a search with [SearchOptions].Probe looks at
// some documents only. Documents that are added later are looked at by every search until the next
// Train. It takes the index's writer's lock for as long as it lasts.
func (x *Index) Train(ctx context.Context, o TrainOptions) error {
	end, err := x.begin()
	if err != nil {
		return err
	}
	defer end()
	if o.Centroids < 0 || o.Centroids > math.MaxInt32 || o.Rounds < 0 {
		return invalid("%d centroids in %d rounds asked for", o.Centroids, o.Rounds)
	}
	if o.Rounds == 0 {
		o.Rounds = 4
	}
	return x.write(ctx, func(s *snapshot, w *writer) (state, error) {
		if s.docs == 0 {
			return state{}, invalid("index %s has no documents to form groups of", x.path)
		}
		if o.Centroids == 0 {
			o.Centroids = 1 << int(math.Log2(4*math.Sqrt(float64(s.tokens))))
		}
		vectors, err := s.group(ctx, o)
		if err != nil {
			return state{}, err
		}
		lists, err := s.lists(ctx, vectors)
		if err != nil {
			return state{}, err
		}
		next := s.state
		next.centroids, err = w.write(encodeCentroids(vectors, x.dim, lists, s.docs))
		return next, err
	})
}

// floats decodes the vectors of a document.
func (s *snapshot) floats(doc uint64, buf []float32) ([]float32, error) {
	p := s.partOf(doc)
	at, err := s.document(p, doc-p.first, false)
	if err != nil {
		return nil, err
	}
	x := s.index
	size := uint64(x.lib.VectorBytes(x.kind, x.dim, int(at.tokens)))
	buf = slices.Grow(buf[:0], int(at.tokens)*x.dim)[:int(at.tokens)*x.dim]
	return buf, x.lib.DecodeVectors(x.kind, x.dim, at.extent.data[at.offset:at.offset+size], buf)
}

// sample returns the tokens of documents chosen at random, the same each time.
func (s *snapshot) sample(tokens int) ([]float32, error) {
	r := rand.New(rand.NewPCG(s.docs, s.tokens))
	var all, buf []float32
	for _, doc := range r.Perm(int(s.docs)) {
		if len(all) >= tokens*s.index.dim {
			break
		}
		var err error
		if buf, err = s.floats(uint64(doc), buf); err != nil {
			return nil, err
		}
		all = append(all, buf...)
	}
	return all, nil
}

// group forms groups by k-means on directions: each token belongs to the group with whose middle
// its product is largest.
func (s *snapshot) group(ctx context.Context, o TrainOptions) ([]float32, error) {
	dim := s.index.dim
	tokens, err := s.sample(o.Centroids * tokensPerCentroid)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(1, uint64(len(tokens))))
	n := min(o.Centroids, len(tokens)/dim)
	middles := make([]float32, 0, n*dim)
	for _, i := range r.Perm(len(tokens) / dim)[:n] {
		middles = append(middles, tokens[i*dim:(i+1)*dim]...)
	}
	for range o.Rounds {
		toUnit(middles, dim)
		nearest, err := s.index.nearest(ctx, tokens, middles)
		if err != nil {
			return nil, err
		}
		sums := make([]float32, len(middles))
		counts := make([]int, n)
		for i, group := range nearest {
			counts[group]++
			for k, f := range tokens[i*dim : (i+1)*dim] {
				sums[int(group)*dim+k] += f
			}
		}
		for group, count := range counts {
			if count == 0 { // nobody's: begin again at some token
				i := r.IntN(len(tokens) / dim)
				copy(sums[group*dim:(group+1)*dim], tokens[i*dim:])
			}
		}
		middles = sums
	}
	toUnit(middles, dim)
	return middles, nil
}

func toUnit(vectors []float32, dim int) {
	for v := range slices.Chunk(vectors, dim) {
		sum := 0.0
		for _, f := range v {
			sum += float64(f) * float64(f)
		}
		if sum > 0 {
			by := float32(1 / math.Sqrt(sum))
			for i := range v {
				v[i] *= by
			}
		}
	}
}

// nearest returns the group of each token.
func (x *Index) nearest(ctx context.Context, tokens, middles []float32) ([]int32, error) {
	const some = 512 // tokens that are compared with all middles at once
	n := len(tokens) / x.dim
	out := make([]int32, n)
	var next atomic.Int64
	err := x.parallel(uint64(n), func() error {
		for ctx.Err() == nil {
			from := int(next.Add(some)) - some
			if from >= n {
				return nil
			}
			to := min(from+some, n)
			err := x.nearestOf(tokens[from*x.dim:to*x.dim], middles, out[from:to])
			if err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return out, err
}

func (x *Index) nearestOf(tokens, middles []float32, out []int32) error {
	q, err := x.lib.NewQueries(llama.QueriesParams{Dim: x.dim, Kernel: x.options.Kernel}, tokens,
		[]int32{int32(len(out))})
	if err != nil {
		return err
	}
	defer q.Close()
	found, err := q.Nearest(middles)
	copy(out, found)
	return err
}

// lists returns the documents of each group.
func (s *snapshot) lists(ctx context.Context, middles []float32) ([][]uint32, error) {
	lists := make([][]uint32, len(middles)/s.index.dim)
	var mu sync.Mutex // guards lists
	var next atomic.Uint64
	err := s.index.parallel(s.docs, func() error {
		var buf []float32
		var groups []int32
		for ctx.Err() == nil {
			doc := next.Add(1) - 1
			if doc >= s.docs {
				return nil
			}
			var err error
			if buf, err = s.floats(doc, buf); err != nil {
				return err
			}
			n := len(buf) / s.index.dim
			groups = slices.Grow(groups[:0], n)[:n]
			if err := s.index.nearestOf(buf, middles, groups); err != nil {
				return err
			}
			slices.Sort(groups)
			mu.Lock()
			for _, group := range slices.Compact(groups) {
				lists[group] = append(lists[group], uint32(doc))
			}
			mu.Unlock()
		}
		return ctx.Err()
	})
	for _, list := range lists {
		slices.Sort(list)
	}
	return lists, err
}
