package bench

import (
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// group is one thing that the suite measures: a sub-command, and how the suite runs it.
type group struct {
	name    string
	other   string // a second name; ""
	command func() *cobra.Command
	model   modelKind
	// quick are the flags that --quick stands for, except where the caller sets them.
	quick []setting
	// About how long a run takes on two cores without a GPU, with --quick and in full.
	quickly, fully time.Duration
	// more are flags for what this machine has, nil for none. why says what it lacks if it cannot
	// be measured, else "".
	more func() (flags []setting, why string)
}

// setting is a flag's value.
type setting struct{ flag, value string }

// modelKind is what kind of model a group measures.
type modelKind int

const (
	noModel modelKind = iota
	textModel
	embeddingModel
)

// groups are all groups of the suite, in the order in which it runs them.
func groups(at Folders) []group {
	return []group{
		{name: "throughput", command: throughputCommand, model: textModel,
			quick: []setting{{"rounds", "3"}, {"reps", "1"}, {"cold-starts", "1"},
				{"patience", "5s"}},
			quickly: time.Minute, fully: 5 * time.Minute},
		{name: "latency", command: latencyCommand, model: textModel,
			quick:   []setting{{"rounds", "1"}, {"reps", "5"}},
			quickly: 40 * time.Second, fully: 10 * time.Minute},
		{name: "streaming", command: streamingCommand, model: textModel,
			quick:   []setting{{"rounds", "2"}, {"generate-tokens", "64"}},
			quickly: 20 * time.Second, fully: 3 * time.Minute},
		{name: "batch", command: batchCommand, model: textModel,
			quick: []setting{{"prompts", "10"}, {"slots", "1,4,8"}, {"rounds", "1"},
				{"generate-tokens", "16"}},
			quickly: 30 * time.Second, fully: 25 * time.Minute},
		{name: "draft", command: draftCommand, model: textModel,
			quick:   []setting{{"rounds", "2"}, {"generate-tokens", "64"}},
			quickly: 20 * time.Second, fully: 2 * time.Minute},
		{name: "streams", command: streamsCommand, model: textModel,
			quick:   []setting{{"streams", "1,8"}, {"rounds", "1"}, {"generate-tokens", "64"}},
			quickly: 30 * time.Second, fully: 5 * time.Minute},
		{name: "load", command: loadCommand, model: textModel,
			quick: []setting{{"requests", "16"}, {"streams", "8"}, {"prompt-tokens", "64"},
				{"tokens", "64"}},
			quickly: 20 * time.Second, fully: time.Minute},
		{name: "overhead", command: overheadCommand, model: textModel,
			quick:   []setting{{"rounds", "1"}},
			quickly: 2 * time.Minute, fully: 10 * time.Minute, more: at.callers},
		{name: "embedding", command: embeddingCommand, model: embeddingModel,
			quick: []setting{{"rounds", "1"}, {"lengths", "16,256"}, {"batches", "1,32"},
				{"documents", "100"}},
			quickly: 40 * time.Second, fully: 8 * time.Minute},
		{name: "maxsim", other: "colbert", command: maxsimCommand,
			quick:   []setting{{"rounds", "2"}, {"docs", "1000"}, {"reps", "5"}},
			quickly: 20 * time.Second, fully: 5 * time.Minute},
		{name: "memory", command: memoryCommand, model: textModel,
			quickly: 20 * time.Second, fully: 20 * time.Second},
		{name: "load-time", command: loadTimeCommand, model: textModel,
			quick:   []setting{{"rounds", "1"}},
			quickly: 20 * time.Second, fully: time.Minute},
		{name: "kv", command: kvCommand, model: textModel,
			quick:   []setting{{"contexts", "2048,8192"}},
			quickly: 20 * time.Second, fully: time.Minute},
		{name: "kv-quality", command: kvQualityCommand, model: textModel,
			quick:   []setting{{"types", "q8_0,q4_0"}, {"generate-tokens", "32"}},
			quickly: 40 * time.Second, fully: 2 * time.Minute},
		{name: "offload", command: offloadCommand, model: textModel,
			quick: []setting{{"rounds", "1"}, {"layers", "0,10,20,all"}}, more: needGPUs(1),
			quickly: time.Minute, fully: 5 * time.Minute},
		{name: "multi-gpu", command: multiGPUCommand, model: textModel,
			quick: []setting{{"rounds", "1"}, {"split", "layer"}}, more: needGPUs(2),
			quickly: time.Minute, fully: 5 * time.Minute},
		{name: "store", command: storeCommand,
			quick:   []setting{{"rounds", "2"}, {"models", "200"}, {"megabytes", "64"}},
			quickly: 20 * time.Second, fully: time.Minute},
	}
}

// callers finds the programs of the group overhead.
func (at Folders) callers() (flags []setting, why string) {
	folder := filepath.Join(at.Cache(), "callers")
	if _, err := os.Stat(filepath.Join(folder, "c")); err != nil {
		return nil, "the programs of the languages are not built; 'make callers' builds them"
	}
	return []setting{{"callers", folder}}, ""
}

// needGPUs wants so many GPUs.
func needGPUs(n int) func() ([]setting, string) {
	return func() ([]setting, string) {
		gpus, err := readGPUs("")
		switch {
		case err != nil:
			return nil, err.Error()
		case len(gpus) >= n:
			return nil, ""
		case len(gpus) == 1:
			return nil, "there is 1 GPU, and this needs 2"
		case n == 1:
			return nil, "there is no GPU that the engine can use"
		}
		return nil, "there is no GPU that the engine can use, and this needs 2"
	}
}
