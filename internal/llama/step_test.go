package llama_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/synth"
)

func TestWrongSteps(t *testing.T) {
	m := tiny(t)
	p := smallContext(t)
	p.Sequences = 2
	c := newContext(t, m, p)
	s := newSampler(t, m, greedy(t))
	for _, tt := range []struct {
		name  string
		build func()
		want  string
	}{
		{"nothing", func() {}, "tokens in a step"},
		{"negative token", func() { c.Add(-1, 0, 0) }, "token id"},
		{"large token", func() { c.Add(llama.Token(m.Info().Vocab), 0, 0) }, "token id"},
		{"negative sequence", func() { c.Add(70, 0, -1) }, "sequence id"},
		{"large sequence", func() { c.Add(70, 0, 2) }, "sequence id"},
		{"row below", func() { c.Add(70, 0, 0); c.Sample(-1, s, -1) }, "row"},
		{"row above", func() { c.Add(70, 0, 0); c.Sample(1, s, -1) }, "row"},
		{"no sampler", func() { c.Sample(c.Add(70, 0, 0), nil, -1) }, "sampler of row 0"},
		{"too many tokens", func() {
			for i := range int32(65) {
				c.Add(70, i, 0)
			}
		}, "at most 64 tokens"},
		{"too many rows", func() {
			for range 65 {
				c.Sample(0, s, -1)
			}
		}, "at most 64 rows"},
		{"hole", func() { c.Add(70, 0, 0); c.Add(70, 2, 0) }, "position"},
		{"negative position", func() { c.Add(70, -3, 0) }, ""},
		{"position twice", func() { c.Add(70, 1, 0); c.Add(70, 0, 0) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.Begin()
			tt.build()
			_, err := c.Step()
			wantError(t, err, llama.ErrInvalid)
			if first, last := c.Range(0); first != -1 || last != -1 {
				t.Errorf("the sequence is now %d to %d", first, last)
			}
		})
	}
	generate(t, c, s, 0, []llama.Token{70}, 2) // and the context still works
}

func TestPositionMustFollowTheCache(t *testing.T) {
	m := tiny(t)
	c := newContext(t, m, smallContext(t))
	generate(t, c, newSampler(t, m, greedy(t)), 0, []llama.Token{70, 71, 72}, 1)
	for _, pos := range []int32{1, 7} {
		c.Begin()
		c.Add(70, pos, 0)
		_, err := c.Step()
		wantError(t, err, llama.ErrInvalid)
	}
}

// The model's weights are float16. With tiles of AMX, products of eight rows or more are computed
// in another way than those of fewer, and attention of 16. They differ by a few parts in a million,
// of which rounding to float16 in the cache and before the last product may make some in a
// thousand: a number that lies between two float16 falls to either side. Among 100 pairs of
// prompts of 3 and 6 tokens the largest difference is 0.006 and the mean 0.0006; with a cache in
// float32 0.0024 and 0.0001; with weights in float32, whose products do not depend on the number of
// rows, 0.000002. Only products equal to the last bit would change that, and for few rows those in
// tiles take longer. A sequence that saw another's tokens would have other candidates.
func TestSequencesInOneStepEqualEachAlone(t *testing.T) {
	const long = "one or two of them said that the day was long and the time of the year was short"
	for _, test := range []struct {
		name, first, second string
		most                float64
	}{
		{"few rows", "the time", "one or", 1e-3},
		{"many rows", long, long + " and that was what they said of all the other days", 1e-3},
		{"few alone", "the time", "one or two of them", 1e-2},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := tiny(t)
			prompts := [][]llama.Token{tokenize(t, m, test.first), tokenize(t, m, test.second)}
			rows := greedyRows(t, m, prompts)
			for seq, prompt := range prompts {
				got, want := rows[seq], logprobsAfter(t, m, prompt, 5)
				if got.Token != want.Token || len(got.Top) != 5 {
					t.Fatalf("sequence %d: %+v, alone %+v", seq, got, want)
				}
				for i := range got.Top {
					apart := math.Abs(float64(got.Top[i].Logprob - want.Top[i].Logprob))
					if got.Top[i].Token != want.Top[i].Token || apart > test.most {
						t.Errorf("sequence %d: %+v, alone %+v", seq, got.Top[i], want.Top[i])
					}
				}
			}
		})
	}
}

// greedyRows returns the greedy rows after prompts that are read in one step.
func greedyRows(t *testing.T, m *llama.Model, prompts [][]llama.Token) []llama.Row {
	t.Helper()
	p := smallContext(t)
	p.Sequences = len(prompts)
	together := newContext(t, m, p)
	together.Begin()
	s := newSampler(t, m, greedy(t))
	for seq, prompt := range prompts {
		for i, token := range prompt {
			last := together.Add(token, int32(i), int32(seq))
			if i == len(prompt)-1 {
				together.Sample(last, s, 5)
			}
		}
	}
	result, err := together.Step()
	if err != nil {
		t.Fatal(err)
	}
	return result.Rows
}

// logprobsAfter returns the greedy row after a prompt in a context of its own.
func logprobsAfter(t testing.TB, m *llama.Model, prompt []llama.Token, top int) llama.Row {
	t.Helper()
	c := newContext(t, m, smallContext(t))
	c.Begin()
	for i, token := range prompt {
		c.Add(token, int32(i), 0)
	}
	c.Sample(len(prompt)-1, newSampler(t, m, greedy(t)), top)
	result, err := c.Step()
	if err != nil {
		t.Fatal(err)
	}
	return rowOf(t, result)
}

func TestLogprobs(t *testing.T) {
	m := tiny(t)
	row := logprobsAfter(t, m, tokenize(t, m, "the day"), m.Info().Vocab+10)
	if len(row.Top) != m.Info().Vocab {
		t.Fatalf("%d candidates, want all %d", len(row.Top), m.Info().Vocab)
	}
	sum, found := 0.0, false
	for i, top := range row.Top {
		sum += math.Exp(float64(top.Logprob))
		if i > 0 && top.Logprob > row.Top[i-1].Logprob {
			t.Fatalf("candidate %d is likelier than the one before", i)
		}
		if top.Token == row.Token {
			found = top.Logprob == row.Logprob
		}
		if string(top.Piece) != string(m.Piece(top.Token, true)) {
			t.Fatalf("piece of %d is %q", top.Token, top.Piece)
		}
	}
	if math.Abs(sum-1) > 1e-4 {
		t.Errorf("the probabilities sum to %g", sum)
	}
	if !found || row.Top[0].Token != row.Token {
		t.Errorf("the sampled token %d is not the first candidate", row.Token)
	}
	if none := logprobsAfter(t, m, tokenize(t, m, "the day"), 0); len(none.Top) > 0 ||
		none.Logprob != row.Logprob {
		t.Errorf("top 0 gives %d candidates and logprob %g", len(none.Top), none.Logprob)
	}
}

func TestFullCacheStaysAsItWas(t *testing.T) {
	m := tiny(t)
	c := newContext(t, m, smallContext(t)) // 256 cells
	s := newSampler(t, m, greedy(t))
	words := slices.Repeat([]llama.Token{70, 71}, 125)
	prefill(t, c, s, 0, 0, words)
	c.Begin()
	for i := range int32(20) {
		c.Sample(c.Add(70, 250+i, 0), s, -1)
		if i == 0 {
			break
		}
	}
	for i := int32(1); i < 20; i++ {
		c.Add(70, 250+i, 0)
	}
	_, err := c.Step()
	wantError(t, err, llama.ErrFull, "20")
	if first, last := c.Range(0); first != 0 || last != 249 {
		t.Errorf("the sequence is now %d to %d", first, last)
	}
	prefill(t, c, s, 0, 250, []llama.Token{70, 71, 72})
	if _, last := c.Range(0); last != 252 {
		t.Errorf("a smaller step ends at %d, want 252", last)
	}
}

func TestAbortBeforeAStep(t *testing.T) {
	m := tiny(t)
	c := newContext(t, m, smallContext(t))
	s := newSampler(t, m, greedy(t))
	c.Abort(true)
	for range 2 {
		c.Begin()
		c.Sample(c.Add(70, 0, 0), s, -1)
		_, err := c.Step()
		wantError(t, err, llama.ErrCancelled, "cancelled")
	}
	c.Abort(false)
	if first, _ := c.Range(0); first != -1 {
		c.Remove(0, -1, -1)
	}
	want := generate(t, newContext(t, m, smallContext(t)), s, 0, []llama.Token{70, 71}, 4)
	if got := generate(t, c, s, 0, []llama.Token{70, 71}, 4); !slices.Equal(got, want) {
		t.Errorf("after the abort: %v, want %v", got, want)
	}
}

func TestAbortStopsALongPrefill(t *testing.T) {
	m := smol(t)
	p := library(t).DefaultContextParams()
	p.Ctx, p.Batch, p.UBatch, p.Threads, p.BatchThreads = 2048, 2048, 2048, 1, 1
	c := newContext(t, m, p)
	time.AfterFunc(100*time.Millisecond, func() { c.Abort(true) })
	c.Begin()
	for i := range int32(2048) {
		c.Add(100+i, i, 0)
	}
	start := time.Now()
	_, err := c.Step()
	wantError(t, err, llama.ErrCancelled)
	if took := time.Since(start); took > 5*time.Second { // all of it takes far longer
		t.Errorf("the step returned after %v", took)
	}
}

func TestRowWithoutATokenLeavesTheOthers(t *testing.T) {
	m := tiny(t)
	p := smallContext(t)
	p.Sequences = 3
	c := newContext(t, m, p)
	stuck := greedy(t)
	stuck.Grammar = `root ::= [z-a]` // a range that holds nothing
	samplers := []*llama.Sampler{newSampler(t, m, greedy(t)), newSampler(t, m, stuck),
		newSampler(t, m, greedy(t))}
	c.Begin()
	for seq, s := range samplers {
		c.Sample(c.Add(70, 0, int32(seq)), s, 3)
	}
	result, err := c.Step()
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range result.Rows {
		if (row.Err != nil) != (i == 1) {
			t.Errorf("row %d: %v", i, row.Err)
		}
		if i != 1 && (row.Token != result.Rows[0].Token || len(row.Top) != 3) {
			t.Errorf("row %d is %+v, want %+v", i, row, result.Rows[0])
		}
	}
	if err := result.Rows[1].Err; err != nil {
		wantError(t, err, llama.ErrInternal, "grammar")
	}
}

func TestSamplerOfAnotherModel(t *testing.T) {
	vocab := load(t, tinyFile(t, synth.Options{}), library(t).DefaultModelParams())
	c := newContext(t, tiny(t), smallContext(t))
	c.Begin()
	c.Sample(c.Add(70, 0, 0), newSampler(t, vocab, greedy(t)), -1)
	result, err := c.Step()
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, result.Rows[0].Err, llama.ErrInternal, "another model")
}
