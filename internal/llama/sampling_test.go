package llama_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/mullama/mullama/internal/llama"
)

// Samplers take short ways past llama.cpp's own, which must end at the same tokens. Each case draws
// options and logits and samples some rows both ways.
func TestShortWaysSampleLikeLlamaCpp(t *testing.T) {
	m := tiny(t)
	c := newContext(t, m, twoRows(t))
	cases := 3000
	if testing.Short() {
		cases = 500
	}
	for i := range cases {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		compareSamplers(t, fmt.Sprintf("case %d", i), m, c, rng, randomSampling(t, rng, m), 8)
	}
}

func TestShortWaysWithALargeVocabulary(t *testing.T) {
	m := smol(t)
	c := newContext(t, m, twoRows(t))
	for i := range 300 {
		rng := rand.New(rand.NewPCG(2, uint64(i)))
		p := randomSampling(t, rng, m)
		if i%2 == 0 { // what a small vocabulary leaves to llama.cpp
			p.TopK = oneOf(rng, 0, 0, 200, 1000)
			p.TopP = oneOf[float32](rng, 0.95, 0.5, 0.999, 1)
		}
		compareSamplers(t, fmt.Sprintf("case %d", i), m, c, rng, p, 3)
	}
}

func TestShortWaysWithGrammars(t *testing.T) {
	grammars := []string{
		`root ::= [a-z ]*`,
		`root ::= ("the " | "time ")+`,
		`root ::= "a"*`,
		`root ::= [^a-y]*`,
		`root ::= ("ä" | [жя世-日] | "–")+ "."?`,
		`root ::= .*`,
		`root ::= (<[70]> | [a-z])*`,
		`root ::= <[70]> [a-z]* | "t" root | !<[70]> "e"*`,
		`root ::= "{" (pair ("," pair)*)? "}"
		 pair ::= "\"" [^"\x00-\x1f]* "\":" ([0-9]+ | "null" | root)`,
	}
	for name, m := range map[string]*llama.Model{"tiny": tiny(t), "large": smol(t)} {
		c, step := newContext(t, m, twoRows(t)), 1
		if name == "large" {
			step = 5
		}
		for i := 0; i < 240; i += step {
			rng := rand.New(rand.NewPCG(3, uint64(i)))
			p := randomSampling(t, rng, m)
			p.Grammar = grammars[i%len(grammars)]
			compareSamplers(t, fmt.Sprintf("%s, case %d", name, i), m, c, rng, p, 8)
		}
	}
}

// sameBits compares numbers, of which some may be NaN. It looks at memory as a whole: number by
// number, the race detector makes it the longest part of these tests.
func sameBits(a, b []float32) bool {
	bits := func(x []float32) []byte {
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
	}
	return bytes.Equal(bits(a), bits(b))
}

// compareSamplers samples n rows of random logits with a sampler of p and with llama.cpp's chain.
func compareSamplers(t *testing.T, name string, m *llama.Model, c *llama.Context,
	rng *rand.Rand, p llama.SamplerParams, n int) {
	t.Helper()
	short := newSampler(t, m, p)
	p.Reference = true
	text, err := short.Describe()
	if err != nil {
		t.Fatal(err)
	}
	greedy := text == "logits -> greedy"
	whole := newSampler(t, m, p)
	defer func() { short.Close(); whole.Close() }()
	for i := range n {
		logits, kind := randomLogits(rng, m.Info().Vocab)
		if _, biased := p.LogitBias[llama.Token(len(logits)-1)]; kind == "infinite" && !biased {
			logits[len(logits)-1] = float32(math.Inf(1)) // banning it makes a NaN in llama.cpp
		}
		if i == 0 {
			primed := likeliest(logits, 20)
			short.Prime(primed)
			whole.Prime(primed)
		}
		rows := append(slices.Clone(logits), logits...)
		c.Begin()
		c.Sample(0, short, -1)
		c.Sample(1, whole, -1)
		result, err := c.SampleLogits(rows)
		if err != nil {
			t.Fatal(err)
		}
		got, want := result.Rows[0], result.Rows[1]
		if greedy && want.Err == nil { // the chain takes any of several that are largest
			want.Token = llama.Token(slices.Index(logits, slices.Max(logits)))
		}
		if got.Token != want.Token || fmt.Sprint(got.Err) != fmt.Sprint(want.Err) {
			t.Fatalf("%s, row %d of %s logits: token %d (%v), llama.cpp takes %d (%v)\n%+v",
				name, i, kind, got.Token, got.Err, want.Token, want.Err, p)
		}
		if n := len(logits); !sameBits(rows[:n], logits) || !sameBits(rows[n:], logits) {
			t.Fatalf("%s: sampling changed %s logits", name, kind)
		}
	}
}

func twoRows(t testing.TB) llama.ContextParams {
	p := smallContext(t)
	p.Sequences = 2
	return p
}

func oneOf[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

// randomSampling draws options; about half of them are ordinary.
func randomSampling(t testing.TB, rng *rand.Rand, m *llama.Model) llama.SamplerParams {
	p := library(t).DefaultSamplerParams()
	p.Seed = rng.Uint32() >> 1
	p.TopK = oneOf(rng, 40, 40, 1, 2, 5, 64, 127, 128, 129, 300, 1000, 1024, 1025, 1<<20, 0)
	p.Temperature = oneOf[float32](rng, 0.8, 0, -1, 0.2, 1, 1.5)
	p.RepeatLastN = oneOf(rng, 64, 0, 1, 3, -1)
	p.RepeatPenalty = oneOf[float32](rng, 1, 1.1, 1.5, 0.8)
	p.FrequencyPenalty = oneOf[float32](rng, 0, 0, 0.5, -1)
	p.PresencePenalty = oneOf[float32](rng, 0, 0, 1.5)
	p.LogitBias = randomBiases(rng, m.Info().Vocab)
	p.IgnoreEOS = rng.IntN(4) == 0
	if rng.IntN(2) == 0 {
		return p
	}
	p.TopP = oneOf[float32](rng, 0.95, 1, 0.9, 0.5, 0)
	p.MinP = oneOf[float32](rng, 0.05, 0, 0.5)
	p.TypicalP = oneOf[float32](rng, 1, 0.9, 0.2)
	p.XTCProbability = oneOf[float32](rng, 0, 0.5, 1)
	p.DynatempRange = oneOf[float32](rng, 0, 0.5)
	p.MinKeep = oneOf(rng, 0, 3, 100)
	p.TopNSigma = oneOf[float32](rng, -1, -1, -1, 1)
	p.DRYMultiplier = oneOf[float32](rng, 0, 0, 0, 0.8)
	p.Mirostat = oneOf(rng, 0, 0, 0, 0, 1, 2)
	p.Order = oneOf(rng, nil, nil,
		[]string{"penalties", "top_k", "typ_p", "top_p", "min_p", "temperature"},
		[]string{"top_k", "penalties", "temperature"},
		[]string{"penalties", "penalties", "top_k"},
		[]string{"top_k", "top_k", "xtc"},
		[]string{"temperature", "top_k", "top_p"},
		[]string{"dry", "top_n_sigma", "top_k", "top_n_sigma", "min_p"},
		[]string{"top_k", "adaptive_p"},
		[]string{"top_p", "min_p"})
	return p
}

func randomBiases(rng *rand.Rand, vocab int) map[llama.Token]float32 {
	biases := map[llama.Token]float32{}
	for range oneOf(rng, 0, 0, 1, 20) {
		biases[llama.Token(rng.IntN(vocab))] = oneOf(rng, 0, 1, -2.5, 8, -100,
			float32(math.Inf(-1)), 1e9)
	}
	return biases
}

// randomLogits draws a row, and says of which kind it is.
func randomLogits(rng *rand.Rand, n int) ([]float32, string) {
	logits := make([]float32, n)
	spread := oneOf(rng, 1, 3, 10.0)
	for i := range logits {
		logits[i] = float32(spread*rng.NormFloat64()) - 2
	}
	inf := float32(math.Inf(1))
	kind := oneOf(rng, "normal", "normal", "peaked", "like a model's", "half precision", "whole",
		"high", "low", "constant", "some banned", "most banned", "all banned", "rising", "falling",
		"first few", "huge", "infinite", "NaN")
	for i := range logits {
		x := &logits[i]
		switch kind {
		case "peaked":
			*x = float32(math.Abs(float64(*x))) * oneOf[float32](rng, 1, 1, 1, 1.5)
		case "like a model's":
			*x = float32(2 * rng.NormFloat64())
			if rng.IntN(n) < 100 {
				*x += float32(18 * rng.Float64())
			}
		case "high":
			*x = float32(math.Round(float64(*x)*256)/256) + 30
		case "low":
			*x = float32(math.Round(float64(*x)*256)/256) - 40
		case "half precision":
			*x = float32(math.Round(float64(*x)*64) / 64)
		case "whole":
			*x = float32(math.Round(float64(*x)))
		case "constant":
			*x = 1.5
		case "some banned":
			*x = oneOf(rng, *x, *x, -inf)
		case "most banned":
			if rng.IntN(n) > 30 {
				*x = -inf
			}
		case "all banned":
			*x = -inf
		case "first few":
			*x += float32(10 * max(0, 200-i) / 200)
		case "huge":
			*x *= 1e8
		}
	}
	switch kind {
	case "rising":
		slices.Sort(logits)
	case "falling":
		slices.Sort(logits)
		slices.Reverse(logits)
	case "NaN":
		logits[rng.IntN(n)] = float32(math.NaN())
	}
	return logits, kind
}

// likeliest returns the tokens of the n largest logits, some of them twice.
func likeliest(logits []float32, n int) []llama.Token {
	key := func(t llama.Token) int { return int(math.Float32bits(logits[t]) >> 1) }
	best := make([]llama.Token, 0, n+1)
	for i := range logits {
		token := llama.Token(i)
		if len(best) == n && key(best[n-1]) >= key(token) {
			continue
		}
		at := slices.IndexFunc(best, func(t llama.Token) bool { return key(t) < key(token) })
		if at < 0 {
			at = len(best)
		}
		best = slices.Insert(best, at, token)
		best = best[:min(n, len(best))]
	}
	return append(best[:len(best):len(best)], best[:len(best)/3]...)
}

// Many rows of a large vocabulary are sampled on several threads.
func TestRowsSampledTogetherEqualEachAlone(t *testing.T) {
	m := smol(t)
	const rows = 24
	rng := rand.New(rand.NewPCG(4, 4))
	var logits []float32
	params := make([]llama.SamplerParams, rows)
	for i := range params {
		row, _ := randomLogits(rng, m.Info().Vocab)
		logits = append(logits, row...)
		params[i] = randomSampling(t, rng, m)
		if i%8 == 7 {
			params[i].Grammar = oneOf(rng, `root ::= [a-z]+`, `root ::= [z-a]`)
		}
	}
	vocab := m.Info().Vocab
	type samplers = []*llama.Sampler
	alone := sampleTwice(t, m, params, 1, func(c *llama.Context, s samplers) []llama.Row {
		var result []llama.Row
		for i := range s {
			result = append(result, sampleLogits(t, c, s[i:i+1], logits[i*vocab:(i+1)*vocab])...)
		}
		return result
	})
	together := sampleTwice(t, m, params, 4, func(c *llama.Context, s samplers) []llama.Row {
		return sampleLogits(t, c, s, logits)
	})
	for i := range alone {
		got, want := fmt.Sprintf("%+v", together[i]), fmt.Sprintf("%+v", alone[i])
		if got != want {
			t.Errorf("row %d is %s, alone %s", i, got, want)
		}
	}
}

// sampleTwice calls sample twice with new samplers, so that the second rows depend on what the
// first ones left behind, and returns those.
func sampleTwice(t *testing.T, m *llama.Model, params []llama.SamplerParams, threads int,
	sample func(*llama.Context, []*llama.Sampler) []llama.Row) []llama.Row {
	t.Helper()
	p := smallContext(t)
	p.Sequences, p.Threads = len(params), threads
	c := newContext(t, m, p)
	var samplers []*llama.Sampler
	for _, p := range params {
		samplers = append(samplers, newSampler(t, m, p))
	}
	sample(c, samplers)
	return sample(c, samplers)
}

// sampleLogits samples row i of the logits with sampler i, with the 3 likeliest tokens.
func sampleLogits(t *testing.T, c *llama.Context, samplers []*llama.Sampler,
	logits []float32) []llama.Row {
	t.Helper()
	c.Begin()
	for i, s := range samplers {
		c.Sample(i, s, 3)
	}
	result, err := c.SampleLogits(logits)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(result.Rows)
}

// Penalties change the logits for a moment, and a sampler remembers tokens: neither may happen on
// two threads at once.
func TestRowsMayShareLogitsAndSamplers(t *testing.T) {
	m := smol(t)
	const rows = 32
	p := smallContext(t)
	p.Sequences, p.Threads = rows, 4
	c := newContext(t, m, p)
	rng := rand.New(rand.NewPCG(5, 5))
	logits := make([]float32, rows*m.Info().Vocab)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64())
	}
	logits[100], logits[200] = 20, 19.5
	sampling := greedy(t)
	sampling.PresencePenalty = 1
	var samplers []*llama.Sampler
	for range rows {
		samplers = append(samplers, newSampler(t, m, sampling))
	}
	for range 3 {
		c.Begin()
		for _, s := range samplers {
			c.Sample(0, s, -1)
		}
		result, err := c.SampleLogits(logits)
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range result.Rows {
			if row.Token != result.Rows[0].Token {
				t.Fatalf("row %d is token %d, row 0 is %d", i, row.Token, result.Rows[0].Token)
			}
		}
	}
	c.Begin()
	for i := range rows {
		c.Sample(i, samplers[0], -1)
	}
	if _, err := c.SampleLogits(logits); err != nil {
		t.Fatal(err)
	}
}

func TestWrongLogits(t *testing.T) {
	m := tiny(t)
	c := newContext(t, m, smallContext(t))
	s := newSampler(t, m, greedy(t))
	logits := make([]float32, m.Info().Vocab)
	for _, tt := range []struct{ index, n int }{{0, len(logits) - 1}, {1, len(logits)}, {-1, 0}} {
		c.Begin()
		c.Sample(tt.index, s, -1)
		_, err := c.SampleLogits(logits[:tt.n])
		wantError(t, err, llama.ErrInvalid, "logits")
	}
	logits[5] = float32(math.NaN())
	c.Begin()
	c.Sample(0, s, 3)
	result, err := c.SampleLogits(logits)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, result.Rows[0].Err, llama.ErrInternal, "not numbers")
}
