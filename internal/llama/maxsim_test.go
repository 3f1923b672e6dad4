package llama_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

// vectors returns n token vectors of length 1.
func vectors(r *rand.Rand, n, dim int) []float32 {
	all := make([]float32, n*dim)
	for i := range n {
		row := all[i*dim : (i+1)*dim]
		sum := 0.0
		for k := range row {
			row[k] = float32(r.NormFloat64())
			sum += float64(row[k]) * float64(row[k])
		}
		for k := range row {
			row[k] /= float32(math.Sqrt(sum))
		}
	}
	return all
}

// maxSim is the definition, in double precision.
func maxSim(query, doc []float32, dim int) float64 {
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

// encoded lays documents out one after the other.
func encoded(t testing.TB, kind llama.VectorKind, dim int, docs [][]float32) ([]byte,
	[]llama.Document) {
	t.Helper()
	lib := library(t)
	var memory []byte
	var list []llama.Document
	for _, d := range docs {
		out := make([]byte, lib.VectorBytes(kind, dim, len(d)/dim))
		if err := lib.EncodeVectors(kind, dim, d, out); err != nil {
			t.Fatal(err)
		}
		list = append(list,
			llama.Document{Offset: uint64(len(memory)), Tokens: int32(len(d) / dim)})
		memory = append(memory, out...)
		memory = append(memory, make([]byte, -len(out)&3)...)
	}
	return memory, list
}

// scores computes with one kernel.
func scores(t testing.TB, p llama.QueriesParams, queries, docs [][]float32) []float32 {
	t.Helper()
	var all []float32
	var tokens []int32
	for _, q := range queries {
		all = append(all, q...)
		tokens = append(tokens, int32(len(q)/p.Dim))
	}
	q, err := library(t).NewQueries(p, all, tokens)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	memory, list := encoded(t, p.Kind, p.Dim, docs)
	out := make([]float32, len(queries)*len(docs))
	if err := q.Score(memory, list, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Errors of scores of vectors of length 1, for each token of the query.
var tolerance = map[llama.VectorKind]float64{
	llama.VectorF32: 1e-6, llama.VectorF16: 3e-4, llama.VectorInt8: 6e-3,
}

func TestEveryKernelScoresLikeTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, dim := range []int{1, 3, 17, 96, 128, 130} {
		var queries, docs [][]float32
		for _, n := range []int{1, 7, 16, 31, 32, 33, 70} {
			queries = append(queries, vectors(r, n, dim))
		}
		for _, n := range []int{1, 2, 5, 11, 12, 13, 25, 64, 127, 300} {
			docs = append(docs, vectors(r, n, dim))
		}
		var want []float64
		for _, q := range queries {
			for _, d := range docs {
				want = append(want, maxSim(q, d, dim))
			}
		}
		for _, kernel := range library(t).MaxSimKernels() {
			for kind, most := range tolerance {
				p := llama.QueriesParams{Kind: kind, Dim: dim, Kernel: kernel}
				for i, got := range scores(t, p, queries, docs) {
					tokens := len(queries[i/len(docs)]) / dim
					if err := math.Abs(float64(got)-want[i]) / float64(tokens); err > most {
						t.Errorf("%s, kind %d, dim %d, %d query tokens: score %d is %v, want %v",
							kernel, kind, dim, tokens, i, got, want[i])
					}
				}
			}
		}
	}
}

func TestKernelsAgreeOnIntegers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const dim = 128
	queries := [][]float32{vectors(r, 32, dim), vectors(r, 5, dim)}
	docs := [][]float32{vectors(r, 128, dim), vectors(r, 29, dim)}
	p := llama.QueriesParams{Kind: llama.VectorInt8, Dim: dim, Kernel: "portable"}
	want := scores(t, p, queries, docs)
	for _, p.Kernel = range library(t).MaxSimKernels() {
		for i, got := range scores(t, p, queries, docs) {
			if math.Abs(float64(got-want[i])) > 1e-5 {
				t.Errorf("%s: score %d is %v, portable %v", p.Kernel, i, got, want[i])
			}
		}
	}
}

func TestExtremeVectorsScoreAsNumbers(t *testing.T) {
	const dim = 8
	zero, tiny, large := make([]float32, dim), make([]float32, dim), make([]float32, dim)
	for k := range dim {
		tiny[k], large[k] = math.SmallestNonzeroFloat32, float32(k+1)*-4096
	}
	for _, kernel := range library(t).MaxSimKernels() {
		for kind := range tolerance {
			p := llama.QueriesParams{Kind: kind, Dim: dim, Kernel: kernel}
			all := [][]float32{zero, tiny, large}
			got := scores(t, p, all, all)
			want := maxSim(large, large, dim)
			if got[0] != 0 || math.Abs(float64(got[4])) > 1e-30 ||
				math.Abs(float64(got[8])/want-1) > 0.01 {
				t.Errorf("%s, kind %d: %v, want 0, 0, %v in the diagonal", kernel, kind, got, want)
			}
		}
	}
}

func TestProductsAndNearestAreThoseOfAllTokens(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const dim, n = 20, 45
	query, rows := vectors(r, n, dim), vectors(r, 67, dim)
	for _, kernel := range library(t).MaxSimKernels() {
		p := llama.QueriesParams{Dim: dim, Kernel: kernel}
		q, err := library(t).NewQueries(p, query, []int32{n})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		out := make([]float32, 67*q.Lanes())
		nearest, err := q.Nearest(rows)
		if err := errors.Join(err, q.Dots(rows, out)); err != nil {
			t.Fatal(err)
		}
		for token := range n {
			best := 0
			for row := range 67 {
				got := out[row*q.Lanes()+token]
				want := maxSim(query[token*dim:][:dim], rows[row*dim:][:dim], dim)
				if math.Abs(float64(got)-want) > 1e-5 {
					t.Fatalf("%s: token %d with row %d: %v, want %v", kernel, token, row, got, want)
				}
				if got > out[best*q.Lanes()+token] {
					best = row
				}
			}
			if int(nearest[token]) != best {
				t.Errorf("%s: nearest to %d is %d, want %d", kernel, token, nearest[token], best)
			}
		}
	}
}

func TestDecodedVectorsAreNearTheEncoded(t *testing.T) {
	const dim = 7
	in := vectors(rand.New(rand.NewPCG(7, 8)), 5, dim)
	for kind, most := range map[llama.VectorKind]float64{
		llama.VectorF32: 0, llama.VectorF16: 3e-4, llama.VectorInt8: 0.5 / 127,
	} {
		memory, _ := encoded(t, kind, dim, [][]float32{in})
		memory = memory[:library(t).VectorBytes(kind, dim, 5)]
		out := make([]float32, len(in))
		if err := library(t).DecodeVectors(kind, dim, memory, out); err != nil {
			t.Fatal(err)
		}
		for i := range in {
			if math.Abs(float64(in[i]-out[i])) > most {
				t.Errorf("kind %d: %v became %v", kind, in[i], out[i])
			}
		}
	}
}

func TestDocumentsOutsideOfTheirMemoryAreRefused(t *testing.T) {
	const dim = 4
	lib := library(t)
	q, err := lib.NewQueries(llama.QueriesParams{Dim: dim}, make([]float32, dim), []int32{1})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, d := range []llama.Document{
		{Offset: 0, Tokens: 5}, {Offset: 64, Tokens: 1}, {Offset: 2, Tokens: 1},
		{Offset: 0, Tokens: 0}, {Offset: 0, Tokens: -1}, {Offset: math.MaxUint64 - 3, Tokens: 1},
		{Offset: 0, Tokens: math.MaxInt32},
	} {
		err := q.Score(make([]byte, 64), []llama.Document{d}, make([]float32, 1))
		if !errors.Is(err, llama.ErrInvalid) {
			t.Errorf("%+v: %v, want it refused", d, err)
		}
	}
	for name, p := range map[string]llama.QueriesParams{
		"kernel": {Dim: dim, Kernel: "abacus"}, "kind": {Dim: dim, Kind: 9}, "dim": {Dim: 5},
	} {
		if _, err := lib.NewQueries(p, make([]float32, dim), []int32{1}); err == nil {
			t.Errorf("queries with a wrong %s were accepted", name)
		}
	}
}

// BenchmarkMaxSim scores documents of 128 tokens that stay in the L2 or L3 cache.
func BenchmarkMaxSim(b *testing.B) {
	const dim, tokens, n = 128, 128, 64
	r := rand.New(rand.NewPCG(9, 10))
	query := vectors(r, 32, dim)
	var docs [][]float32
	for range n {
		docs = append(docs, vectors(r, tokens, dim))
	}
	for kind, name := range []string{"f32", "f16", "int8"} {
		memory, list := encoded(b, llama.VectorKind(kind), dim, docs)
		for _, kernel := range library(b).MaxSimKernels() {
			b.Run(fmt.Sprintf("%s/%s", name, kernel), func(b *testing.B) {
				p := llama.QueriesParams{Kind: llama.VectorKind(kind), Dim: dim, Kernel: kernel}
				q, err := library(b).NewQueries(p, query, []int32{32})
				if err != nil {
					b.Fatal(err)
				}
				defer q.Close()
				out := make([]float32, n)
				for b.Loop() {
					if err := q.Score(memory, list, out); err != nil {
						b.Fatal(err)
					}
				}
				mac := float64(b.N) * n * tokens * 32 * dim
				b.ReportMetric(mac/b.Elapsed().Seconds()/1e9, "Gmac/s")
			})
		}
	}
}

func TestAllKernelsAgreeOnTiles(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for _, dim := range []int{64, 128, 384} {
		var docs [][]float32
		for _, tokens := range []int{1, 2, 15, 16, 17, 31, 32, 33, 47, 65, 128} {
			docs = append(docs, vectors(r, tokens, dim))
		}
		for _, tokens := range []int{1, 16, 17, 32, 33, 70} {
			queries := [][]float32{vectors(r, tokens, dim), vectors(r, 3, dim)}
			p := llama.QueriesParams{Kind: llama.VectorInt8, Dim: dim, Kernel: "portable"}
			want := scores(t, p, queries, docs)
			for _, p.Kernel = range library(t).MaxSimKernels() {
				for i, got := range scores(t, p, queries, docs) {
					if math.Abs(float64(got-want[i])) > 1e-6*float64(tokens+3) {
						t.Errorf("%s, %d numbers, %d tokens: score %d is %v, want %v", p.Kernel,
							dim, tokens, i, got, want[i])
					}
				}
			}
		}
	}
}

// ggml sets the tiles of a thread up once, and then multiplies with them.
func TestAScoreLeavesTheThreadAsItWas(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := minilm(t, "minilm-q8")
	c := embedder(t, m, llama.PoolingMean)
	r := rand.New(rand.NewPCG(8, 8))
	text := strings.Repeat("a text of many words ", 8)
	want := embed(t, m, c, text)
	p := llama.QueriesParams{Kind: llama.VectorInt8, Dim: 128}
	first := scores(t, p, [][]float32{vectors(r, 32, 128)}, [][]float32{vectors(r, 100, 128)})
	if got := embed(t, m, c, text); !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
		t.Errorf("another embedding after a score of %v", first)
	}
}
