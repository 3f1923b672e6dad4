package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

const (
	alonePrompts    = 8   // answered one after the other
	aloneTokens     = 128 // for each of them
	togetherPrompts = 16  // answered in one batch
	togetherTokens  = 48
	greedyThreads   = 2
	greedyContext   = 512 // tokens for each prompt and its answer
)

// An answer is what the oracle says of one prompt.
type answer struct {
	tokens  []int32   // the likeliest token at each position, the prompt being alone
	gaps    []float64 // how far the second likeliest is behind, in logits
	batched []int32   // the same in a batch with the other prompts
	drift   []float64 // how far the logits of the likeliest tokens move in such a batch
}

// greedy asks the oracle for answers of n tokens. With slots it also answers all prompts at once.
func (o oracle) greedy(t *testing.T, model string, prompts []string, n, slots int) []answer {
	t.Helper()
	lines := o.run(t, "greedy", model, writeRecords(t, prompts), fmt.Sprintf("predict=%d", n),
		fmt.Sprintf("threads=%d", greedyThreads), fmt.Sprintf("ctx=%d", greedyContext),
		fmt.Sprintf("slots=%d", slots), "unified=1")
	var answers []answer
	for _, line := range lines {
		name, values, _ := strings.Cut(line, " ")
		if name == "prompt" {
			answers = append(answers, answer{})
			continue
		}
		a := &answers[len(answers)-1]
		switch name {
		case "tokens":
			a.tokens = parseIDs(t, values)
		case "gaps":
			a.gaps = parseFloats(t, values)
		case "batched":
			a.batched = parseIDs(t, values)
		case "drift":
			a.drift = parseFloats(t, values)
		}
	}
	if len(answers) != len(prompts) {
		t.Fatalf("the oracle answered %d of %d prompts", len(answers), len(prompts))
	}
	return answers
}

func parseFloats(t *testing.T, text string) []float64 {
	t.Helper()
	fields := strings.Fields(text)
	out := make([]float64, len(fields))
	for i, field := range fields {
		var err error
		if out[i], err = strconv.ParseFloat(field, 64); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func readPrompts(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "prompts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var prompts []string
	if err := json.Unmarshal(data, &prompts); err != nil {
		t.Fatal(err)
	}
	return prompts
}

// loadModel loads a real model through the public package for the length of the test.
func loadModel(t *testing.T, path string, slots int) *mullama.Model {
	t.Helper()
	runtime, err := mullama.Open(mullama.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runtime.Close() }) // returns nil
	model, err := runtime.Load(t.Context(), path, &mullama.LoadOptions{
		ContextSize: greedyContext, CacheTokens: slots * greedyContext, Slots: slots,
		Threads: greedyThreads,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = model.Close() }) // returns nil
	return model
}

// generate starts a greedy answer of n tokens that no end token cuts short.
func generate(t *testing.T, model *mullama.Model, prompt string, n int) *mullama.Stream {
	t.Helper()
	stream, err := model.Generate(t.Context(), prompt, &mullama.GenerateOptions{
		Sampling: &mullama.Sampling{IgnoreEOS: true}, MaxTokens: n,
	})
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func collect(t *testing.T, stream *mullama.Stream) []int32 {
	t.Helper()
	result, err := stream.Collect()
	if err != nil {
		t.Fatal(err)
	}
	return result.Tokens
}

func TestGreedyTokensEqualOracle(t *testing.T) {
	oracle := findOracle(t)
	prompts := readPrompts(t)[:alonePrompts]
	for _, name := range realModels {
		t.Run(name, func(t *testing.T) {
			path := testmodels.Path(t, name)
			want := oracle.greedy(t, path, prompts, aloneTokens, 0)
			model := loadModel(t, path, 1)
			for i, prompt := range prompts {
				got := collect(t, generate(t, model, prompt, aloneTokens))
				compareGreedy(t, "greedy tokens, "+name, got, want[i].tokens, prompt)
			}
		})
	}
}

func compareGreedy(t *testing.T, name string, got, want []int32, prompt string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d tokens, want %d", short(prompt), len(got), len(want))
	}
	at := firstDifference(got, want)
	for i := range want {
		scores.add(name, i < at)
	}
	if at < len(want) {
		t.Errorf("%s: token %d differs from llama.cpp's", short(prompt), at)
	}
}

// Prompts that share a batch must be answered as if they were alone, where llama.cpp itself gives
// equal logits in both cases: then the drift that the oracle measured is zero. Where it does not, an
// answer may leave the other way only at a near tie, and what follows cannot be compared.
func TestGreedyTokensOfSharedBatchesEqualOracle(t *testing.T) {
	oracle := findOracle(t)
	prompts := readPrompts(t)
	if len(prompts) != togetherPrompts {
		t.Fatalf("%d prompts, want %d", len(prompts), togetherPrompts)
	}
	for _, name := range realModels {
		t.Run(name, func(t *testing.T) {
			path := testmodels.Path(t, name)
			want := oracle.greedy(t, path, prompts, togetherTokens, togetherPrompts)
			nearTie := reportDrift(t, want)
			model := loadModel(t, path, togetherPrompts)
			streams := make([]*mullama.Stream, len(prompts))
			for i, prompt := range prompts {
				streams[i] = generate(t, model, prompt, togetherTokens)
			}
			for i, stream := range streams {
				got := collect(t, stream)
				compareShared(t, "greedy tokens, 16 at once, "+name, got, want[i], prompts[i], nearTie)
			}
		})
	}
}

// reportDrift logs what the backend itself does with shared batches and returns the gap up to which
// two tokens may swap. Two logits that each move by the drift swap when they are less than twice
// that apart; as our batches are put together in another way than the oracle's, twice as much is
// allowed again.
func reportDrift(t *testing.T, answers []answer) float64 {
	t.Helper()
	var drift float64
	moved, positions, parted := 0, 0, 0
	for _, a := range answers {
		drift = max(drift, slices.Max(a.drift))
		for _, d := range a.drift {
			positions++
			moved += number(d > 0)
		}
		parted += number(!slices.Equal(a.tokens, a.batched))
	}
	t.Logf("llama.cpp alone: in shared batches the logits move at %d of %d positions, by %.3g at "+
		"most; %d of %d answers part from those of the prompt alone",
		moved, positions, drift, parted, len(answers))
	return 4 * drift
}

func compareShared(t *testing.T, name string, got []int32, want answer, prompt string,
	nearTie float64) {
	t.Helper()
	if len(got) != len(want.tokens) {
		t.Errorf("%s: %d tokens, want %d", short(prompt), len(got), len(want.tokens))
	}
	at := firstDifference(got, want.tokens)
	for range at {
		scores.add(name, true)
	}
	if at == len(want.tokens) {
		return
	}
	if gap := want.gaps[at]; gap <= nearTie {
		scores.explain(name)
		t.Logf("%s: token %d swapped with one only %.3g behind; the %d after it are not compared",
			short(prompt), at, gap, len(want.tokens)-at-1)
		return
	}
	scores.add(name, false)
	t.Errorf("%s: token %d differs though the next likeliest is %.3g behind, more than %.3g",
		short(prompt), at, want.gaps[at], nearTie)
}
