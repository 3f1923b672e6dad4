package maxsim

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

var bg = context.Background()

func library(t testing.TB) *llama.Library {
	t.Helper()
	lib, err := llama.Open("")
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func open(t testing.TB, path string, o Options) *Index {
	t.Helper()
	x, err := Open(library(t), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "docs.index") }

// unit returns n token vectors of length 1.
func unit(r *rand.Rand, n, dim int) []float32 {
	all := make([]float32, n*dim)
	for i := range all {
		all[i] = float32(r.NormFloat64())
	}
	toUnit(all, dim)
	return all
}

// documents returns n of them, of 1 to 40 tokens.
func documents(r *rand.Rand, first, n, dim int) []Document {
	docs := make([]Document, n)
	for i := range docs {
		docs[i] = Document{fmt.Sprintf("doc-%d", first+i), unit(r, 1+r.IntN(40), dim)}
	}
	return docs
}

func add(t testing.TB, x *Index, docs []Document) {
	t.Helper()
	if err := x.Add(bg, docs); err != nil {
		t.Fatal(err)
	}
}

func search(t testing.TB, x *Index, query []float32, k int, o SearchOptions) []Result {
	t.Helper()
	found, err := x.Search(bg, [][]float32{query}, k, o)
	if err != nil {
		t.Fatal(err)
	}
	return found[0]
}

// reference is the definition, in double precision.
func reference(query, doc []float32, dim int) float64 {
	total := 0.0
	for q := 0; q < len(query); q += dim {
		best := math.Inf(-1)
		for d := 0; d < len(doc); d += dim {
			dot := 0.0
			for k := range dim {
				dot += float64(query[q+k]) * float64(doc[d+k])
			}
			best = max(best, dot)
		}
		total += best
	}
	return total
}

// bruteForce returns the k best documents by sorting all of them.
func bruteForce(query []float32, docs []Document, dim, k int) []Result {
	best := top{k: k}
	for i, d := range docs {
		best.add(hit{uint64(i), float32(reference(query, d.Vectors, dim))})
	}
	var all []Result
	for _, h := range best.sorted() {
		all = append(all, Result{docs[h.doc].ID, h.score, int(h.doc)})
	}
	return all
}

func ids(results []Result) []string {
	var all []string
	for _, r := range results {
		all = append(all, r.ID)
	}
	return all
}
