package llama_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// BenchmarkSampling measures what a step of 64 rows spends on sampling, the short ways and
// llama.cpp's chain in turn: microseconds per row, and how many times faster the short way is.
//
//	go test ./internal/llama -run '^$' -bench Sampling -benchtime 20x
func BenchmarkSampling(b *testing.B) {
	for _, vocab := range []struct {
		name  string
		model func(testing.TB) *llama.Model
	}{{"49k", smol}, {"128k", largeVocab}} {
		for _, kind := range samplingKinds(b) {
			for _, threads := range []int{1, runtime.NumCPU()} {
				name := fmt.Sprintf("vocab=%s/%s/threads=%d", vocab.name, kind.name, threads)
				b.Run(name, func(b *testing.B) {
					benchSampling(b, vocab.model(b), kind, threads)
				})
			}
		}
	}
}

type samplingKind struct {
	name   string
	params llama.SamplerParams
	top    int // logprobs
}

func samplingKinds(t testing.TB) []samplingKind {
	usual := library(t).DefaultSamplerParams()
	usual.Seed = 1
	penalties := usual
	penalties.RepeatPenalty, penalties.FrequencyPenalty = 1.1, 0.2
	nucleus := usual
	nucleus.TopK = 0
	minP := nucleus
	minP.TopP = 1
	return []samplingKind{
		{"greedy", greedy(t), -1},
		{"default", usual, -1},
		{"penalties", penalties, -1},
		{"logprob", usual, 0},
		{"top 5 logprobs", usual, 5},
		{"top_k 0", nucleus, -1},
		{"min_p", minP, -1},
	}
}

func benchSampling(b *testing.B, m *llama.Model, kind samplingKind, threads int) {
	const rows = 64
	p := smallContext(b)
	p.Sequences, p.Threads, p.Ctx = rows, threads, rows
	c := newContext(b, m, p)
	logits := make([]float32, rows*m.Info().Vocab)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range logits {
		logits[i] = float32(3 * rng.NormFloat64())
	}
	var samplers [2][]*llama.Sampler // the short way's and the chain's
	for way := range samplers {
		kind.params.Reference = way == 1
		for range rows {
			samplers[way] = append(samplers[way], newSampler(b, m, kind.params))
		}
	}
	var took [2]time.Duration
	b.ResetTimer()
	for range b.N {
		for way := range samplers {
			c.Begin()
			for i, s := range samplers[way] {
				c.Sample(i, s, kind.top)
			}
			result, err := c.SampleLogits(logits)
			if err != nil {
				b.Fatal(err)
			}
			took[way] += result.Sample
		}
	}
	perRow := func(way int) float64 {
		return float64(took[way].Microseconds()) / float64(b.N*rows)
	}
	b.ReportMetric(perRow(0), "µs/row")
	b.ReportMetric(perRow(1), "chain-µs/row")
	b.ReportMetric(perRow(1)/perRow(0), "times")
	b.ReportMetric(0, "ns/op")
}

// largeVocab returns a model that is small but for Llama 3's vocabulary.
func largeVocab(t testing.TB) *llama.Model {
	t.Helper()
	dir := testmodels.Path(t, "vocabs")
	return shared(t, "large vocabulary", func() string {
		vocab, err := gguf.Open(filepath.Join(dir, "ggml-vocab-llama-bpe.gguf"))
		if err != nil {
			t.Fatal(err)
		}
		shape := synth.Shape{Name: "small", Arch: "llama", Layers: 1, Embedding: 256,
			FeedForward: 256, Heads: 4, KVHeads: 4, HeadDim: 64, Vocab: 128256, Context: 512,
			RopeBase: 10000, Epsilon: 1e-5, Tied: true}
		path := filepath.Join(sharedDir(t), "large-vocab.gguf")
		if err := synth.ExactFile(path, shape, synth.ExactOptions{Vocab: vocab}); err != nil {
			t.Fatal(err)
		}
		return path
	})
}
