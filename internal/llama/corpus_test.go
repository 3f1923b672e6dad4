package llama_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

func corpus(t testing.TB, p llama.CorpusParams) *llama.Corpus {
	t.Helper()
	c, err := library(t).NewCorpus(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// fill puts documents behind those that are there, and returns which document each place has.
func fill(t testing.TB, c *llama.Corpus, kind llama.VectorKind, dim int, docs [][]float32) []int64 {
	t.Helper()
	tokens := make([]int32, len(docs))
	for i, d := range docs {
		tokens[i] = int32(len(d) / dim)
	}
	first := c.Places()
	order, err := c.Extend(tokens)
	if err != nil {
		t.Fatal(err)
	}
	placed := make([][]float32, len(docs))
	for place, i := range order {
		placed[place] = docs[i]
	}
	memory, list := encoded(t, kind, dim, placed)
	if err := c.Put(kind, memory, list, first, make([]float32, len(list))); err != nil {
		t.Fatal(err)
	}
	return order
}

func TestACorpusScoresLikeTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 1))
	for _, dim := range []int{1, 17, 128} {
		var docs, queries [][]float32
		for _, n := range []int{300, 1, 8, 9, 16, 17, 128, 127, 250, 2, 31, 300} {
			docs = append(docs, vectors(r, n, dim))
		}
		var all []float32
		var tokens []int32
		for _, n := range []int{32, 1, 33, 70, 8} {
			queries = append(queries, vectors(r, n, dim))
			all, tokens = append(all, queries[len(queries)-1]...), append(tokens, int32(n))
		}
		// A chunk of products for some documents each, and one for all of them.
		for _, chunk := range []uint64{1, 100_000, 0} {
			c := corpus(t, llama.CorpusParams{Device: "CPU", Dim: dim, Threads: 2,
				ChunkBytes: chunk})
			order := fill(t, c, llama.VectorF16, dim, docs[:5])
			for _, i := range fill(t, c, llama.VectorF32, dim, docs[5:]) {
				order = append(order, i+5)
			}
			got := make([]float32, len(queries)*len(docs))
			for range 2 { // the second time from the graph that is there
				if err := c.Score(all, tokens, got); err != nil {
					t.Fatal(err)
				}
			}
			for i, score := range got {
				q, d := queries[i/len(docs)], docs[order[i%len(docs)]]
				if off := math.Abs(float64(score) - maxSim(q, d, dim)); off > 1e-3*
					math.Sqrt(float64(len(q)/dim)) {
					t.Errorf("dim %d, chunk %d: score %d is off by %v", dim, chunk, i, off)
				}
			}
		}
	}
}

func TestWhatACorpusCannotTakeIsRefused(t *testing.T) {
	const dim = 4
	lib := library(t)
	for _, p := range []llama.CorpusParams{{Device: "CPU"}, {Device: "TPU7", Dim: dim}, {Dim: dim},
		{Device: "CPU", Dim: 1 << 20}} {
		if _, err := lib.NewCorpus(p); !errors.Is(err, llama.ErrInvalid) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	c := corpus(t, llama.CorpusParams{Device: "CPU", Dim: 4096})
	_, err := c.Extend(slices.Repeat([]int32{1 << 20}, 10_000)) // 82 TB
	if !errors.Is(err, llama.ErrMemory) || !strings.Contains(err.Error(), "on device CPU") {
		t.Errorf("more than there is memory: %v", err)
	}
	if _, err := c.Extend([]int32{1, 0}); !errors.Is(err, llama.ErrInvalid) {
		t.Errorf("a document without tokens: %v", err)
	}
	c = corpus(t, llama.CorpusParams{Device: "CPU", Dim: dim})
	if _, err := c.Extend([]int32{3, 20}); err != nil {
		t.Fatal(err)
	}
	memory, lengths := make([]byte, 64), make([]float32, 1)
	for _, d := range []llama.Document{{Tokens: 5}, {Offset: 64, Tokens: 1}, {Offset: 2, Tokens: 1},
		{}, {Tokens: -1}, {Offset: math.MaxUint64 - 3, Tokens: 1}, {Tokens: 20}} {
		err := c.Put(llama.VectorF32, memory, []llama.Document{d}, 0, lengths)
		if !errors.Is(err, llama.ErrInvalid) {
			t.Errorf("%+v: %v, want it refused", d, err)
		}
	}
	good := []llama.Document{{Tokens: 3}}
	for _, place := range []int{-1, 1, 2} { // the second one has room for 20 tokens
		if err := c.Put(llama.VectorF32, memory, good, place, lengths); err == nil {
			t.Errorf("a document was put in place %d", place)
		}
	}
	if err := c.Put(9, memory, good, 0, lengths); err == nil {
		t.Error("vectors of an unknown kind were put")
	}
	if err := c.Score(make([]float32, 5), []int32{1}, make([]float32, 2)); err == nil {
		t.Error("a query of 5 numbers was scored")
	}
	if err := c.Score(nil, []int32{0}, make([]float32, 2)); err == nil {
		t.Error("a query without tokens was scored")
	}
}

// BenchmarkCorpus scores documents of 128 tokens on each GPU, or a few on the CPU where there is
// none, with chunks of products of several sizes.
func BenchmarkCorpus(b *testing.B) {
	const dim, tokens, block = 128, 128, 500
	devices, docs := []string{"CPU"}, block
	for _, d := range library(b).Devices() {
		if d.Kind != llama.DeviceCPU {
			devices, docs = append(devices[:0:0], d.Name), 100_000
		}
	}
	r := rand.New(rand.NewPCG(21, 2))
	var some [][]float32
	for range block {
		some = append(some, vectors(r, tokens, dim))
	}
	query := vectors(r, 16*32, dim)
	for _, device := range devices {
		for _, mb := range []uint64{4, 8, 12, 16, 20, 24, 32, 48, 96} {
			c := corpus(b, llama.CorpusParams{Device: device, Dim: dim, ChunkBytes: mb << 20})
			if _, err := c.Extend(slices.Repeat([]int32{tokens}, docs)); err != nil {
				b.Fatal(err)
			}
			memory, list := encoded(b, llama.VectorF16, dim, some)
			for at := 0; at < docs; at += block {
				err := c.Put(llama.VectorF16, memory, list, at, make([]float32, block))
				if err != nil {
					b.Fatal(err)
				}
			}
			for _, n := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/%d-MB/%d", device, mb, n), func(b *testing.B) {
					out := make([]float32, n*c.Places())
					for b.Loop() {
						err := c.Score(query[:n*32*dim], slices.Repeat([]int32{32}, n), out)
						if err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(c.Bytes())*float64(b.N)/b.Elapsed().Seconds()/1e9,
						"GB/s")
				})
			}
			c.Close()
		}
	}
}
