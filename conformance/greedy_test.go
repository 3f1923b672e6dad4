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
	togetherPrompts = 16  // answered at once
	togetherTokens  = 48
	driftTokens     = 16  // of each prompt, on which the backend's own drift is measured
	greedyContext   = 512 // tokens for each prompt and its answer
	// One thread: ggml's threads meet at a spinning barrier, which takes minutes on busy cores. The
	// oracle runs beside us instead. The number of threads does not change the tokens.
	greedyThreads = 1
)

// greedyModels are the models that answer; with -short only the smallest.
func greedyModels() []string {
	if testing.Short() {
		return realModels[:1]
	}
	return realModels
}

// An answer is what the oracle says of one prompt.
type answer struct {
	tokens  []int32   // the likeliest token at each position, the prompt being alone
	batched []int32   // the same in a batch with the other prompts
	drift   []float64 // how far the best token's lead over the second moves in such a batch
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

// score returns how far each token of the answers is behind the likeliest at its place, in logits,
// each prompt being alone. Two oracles share the prompts, each with a thread.
func (o oracle) score(t *testing.T, model string, prompts []string, tokens [][]int32) [][]float64 {
	t.Helper()
	half := len(prompts) / 2
	args := func(prompts []string, tokens [][]int32) []string {
		return []string{"score", model, writeRecords(t, prompts), writeIDs(t, tokens),
			fmt.Sprintf("threads=%d", greedyThreads), fmt.Sprintf("ctx=%d", greedyContext)}
	}
	second := o.start(t, args(prompts[half:], tokens[half:])...)
	lines := o.run(t, args(prompts[:half], tokens[:half])...)
	lines = append(lines, second()...)
	if len(lines) != len(prompts) {
		t.Fatalf("the oracle scored %d of %d answers", len(lines), len(prompts))
	}
	behind := make([][]float64, len(lines))
	for i, line := range lines {
		behind[i] = parseFloats(t, line)
	}
	return behind
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

// loadModel loads a real model for so many prompts of the tests here.
func loadModel(t *testing.T, path string, slots int) *mullama.Model {
	t.Helper()
	return load(t, path, &mullama.LoadOptions{
		ContextSize: greedyContext, CacheTokens: slots * greedyContext, Slots: slots,
		Threads: greedyThreads,
	})
}

// load loads a real model through the public package for the length of the test.
func load(t *testing.T, path string, options *mullama.LoadOptions) *mullama.Model {
	t.Helper()
	runtime, err := mullama.Open(mullama.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runtime.Close() }) // returns nil
	model, err := runtime.Load(t.Context(), path, options)
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

func TestGreedyTokensEqualOracle(t *testing.T) {
	oracle := findOracle(t)
	prompts := readPrompts(t)[:alonePrompts]
	for _, name := range greedyModels() {
		t.Run(name, func(t *testing.T) {
			path := testmodels.Path(t, name)
			model := loadModel(t, path, 1)
			streams := make([]*mullama.Stream, len(prompts)) // one slot: one after the other
			for i, prompt := range prompts {
				streams[i] = generate(t, model, prompt, aloneTokens)
			}
			answers := collectAll(t, streams)
			want := oracle.greedy(t, path, prompts, aloneTokens, 0)
			for i, tokens := range answers() {
				compareGreedy(t, "greedy tokens, "+name, tokens, want[i].tokens, prompts[i])
			}
		})
	}
}

// collectAll reads streams to their ends while the test goes on. The function it returns waits for
// the tokens; the test does not end before they are there.
func collectAll(t *testing.T, streams []*mullama.Stream) func() [][]int32 {
	answers := make([][]int32, len(streams))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i, stream := range streams {
			result, err := stream.Collect()
			if err != nil {
				t.Error(err)
				continue
			}
			answers[i] = result.Tokens
		}
	}()
	wait := func() [][]int32 {
		<-done
		return answers
	}
	t.Cleanup(func() { wait() })
	return wait
}

func compareGreedy(t *testing.T, name string, got, want []int32, prompt string) {
	t.Helper()
	at := firstDifference(got, want)
	for i := range want {
		scores.add(name, i < at)
	}
	if at < len(want) || len(got) != len(want) {
		t.Errorf("%s: %d tokens, want %d; the first difference is at %d",
			short(prompt), len(got), len(want), at)
	}
}

// Prompts that share a batch must be answered as if each were alone. Sharing changes the order in
// which llama.cpp adds up numbers, and with it the logits a little, so each token must be the one
// that llama.cpp finds likeliest for the prompt alone after the same tokens, or one that nearly
// ties with it. How near depends on the drift that the oracle measures without us; where that is
// zero, all tokens must be equal.
func TestGreedyTokensOfSharedBatchesEqualOracle(t *testing.T) {
	oracle := findOracle(t)
	prompts := readPrompts(t)
	if len(prompts) != togetherPrompts {
		t.Fatalf("%d prompts, want %d", len(prompts), togetherPrompts)
	}
	for _, name := range greedyModels() {
		t.Run(name, func(t *testing.T) {
			path := testmodels.Path(t, name)
			model := loadModel(t, path, togetherPrompts)
			streams := make([]*mullama.Stream, len(prompts))
			for i, prompt := range prompts {
				streams[i] = generate(t, model, prompt, togetherTokens)
			}
			answers := collectAll(t, streams)
			probe := oracle.greedy(t, path, prompts, driftTokens, togetherPrompts)
			nearTie := measureDrift(t, probe)
			ties := 0
			for i, behind := range oracle.score(t, path, prompts, answers()) {
				ties += compareShared(t, "greedy tokens, 16 at once, "+name, behind, prompts[i],
					nearTie)
			}
			if most := togetherPrompts * togetherTokens / 10; ties > most {
				t.Errorf("%d near ties, more than one token in ten", ties)
			}
		})
	}
}

// measureDrift logs what the backend itself does in shared batches and returns how far a token may
// be behind the likeliest one: as far as a lead was seen to move, and half of that more because our
// batches are put together in another way than the oracle's.
func measureDrift(t *testing.T, answers []answer) float64 {
	t.Helper()
	var moves []float64
	parted := 0
	for _, a := range answers {
		moves = append(moves, a.drift...)
		parted += number(!slices.Equal(a.tokens, a.batched))
	}
	slices.Sort(moves)
	still, _ := slices.BinarySearch(moves, 1e-9)
	largest := moves[len(moves)-1]
	t.Logf("llama.cpp without us: in a batch of %d, the lead of the likeliest token moves at "+
		"%d of %d places, by %.3g in the middle and %.3g at most; %d of these answers of %d "+
		"tokens part from those alone", len(answers), len(moves)-still, len(moves),
		moves[len(moves)/2], largest, parted, driftTokens)
	return 1.5 * largest
}

// compareShared counts and checks the tokens of one answer and returns how many were near ties.
func compareShared(t *testing.T, name string, behind []float64, prompt string,
	nearTie float64) (ties int) {
	t.Helper()
	if len(behind) != togetherTokens {
		t.Errorf("%s: %d tokens, want %d", short(prompt), len(behind), togetherTokens)
	}
	for at, gap := range behind {
		switch {
		case gap == 0:
			scores.add(name, true)
		case gap <= nearTie:
			ties++
			scores.explain(name)
			t.Logf("%s: token %d nearly ties with the likeliest, %.3g behind",
				short(prompt), at, gap)
		default:
			scores.add(name, false)
			t.Errorf("%s: token %d is %.3g behind the likeliest, more than %.3g",
				short(prompt), at, gap, nearTie)
		}
	}
	return ties
}

// The check of shared batches must notice sequences that are mixed up.
func TestAnswersToOtherPromptsAreFarBehind(t *testing.T) {
	oracle := findOracle(t)
	path := testmodels.Path(t, "smollm2")
	prompts := readPrompts(t)[:4]
	var tokens [][]int32
	for _, a := range oracle.greedy(t, path, prompts, driftTokens, 0) {
		tokens = append(tokens, a.tokens)
	}
	for i, behind := range oracle.score(t, path, prompts, tokens) {
		if most := slices.Max(behind); most != 0 {
			t.Errorf("%s: its own answer is %.3g behind the likeliest", short(prompts[i]), most)
		}
	}
	rotated := append(tokens[1:], tokens[0])
	for i, behind := range oracle.score(t, path, prompts, rotated) {
		const far = 3
		if most := slices.Max(behind); most < far {
			t.Errorf("%s: another prompt's answer is only %.3g behind", short(prompts[i]), most)
		}
	}
}
