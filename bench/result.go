package bench

import (
	"os"
	"runtime"
	"time"

	"github.com/mullama/mullama/bench/soak"
)

// SchemaVersion is the number in a result's schema field. It grows when a field changes its
// meaning.
const SchemaVersion = 1

// Result is what one run of a benchmark group leaves: its rows and everything they come from.
// bench/schema.json describes the same in JSON Schema.
type Result struct {
	name string // of the file it was read from, without its ending

	Schema   int       `json:"schema"`
	Group    string    `json:"group"`
	Rows     []Row     `json:"rows"`
	Warnings []string  `json:"warnings"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Command  string    `json:"command"`
	Model    ModelFile `json:"model"`
	Config   Config    `json:"config"`
	Machine  Machine   `json:"machine"`
	Versions Versions  `json:"versions"`
	SameText bool      `json:"same_text"` // both sides generated the same tokens every time
	Rounds   []Round   `json:"rounds"`
	Waves    []Wave    `json:"waves,omitempty"` // of the group streams

	Soak *soak.Report `json:"soak,omitempty"` // of the group soak

	Points []Point `json:"points,omitempty"` // of the groups that pointColumns has

	// Of the group overhead.
	Calls []Calls `json:"calls,omitempty"`
	Paces []Pace  `json:"paces,omitempty"`
}

// unknownEngine is what a result says of its engine until that was asked.
const unknownEngine = "llama.cpp"

// newResult begins the result of a run that starts now.
func newResult(group, command string, model ModelFile, config Config) *Result {
	return &Result{
		Schema: SchemaVersion, Group: group, Started: time.Now().UTC(), Command: command,
		Model: model, Config: config, Machine: readMachine(os.DirFS("/")),
		Warnings: []string{}, Rounds: []Round{},
		Versions: Versions{Mullama: version(), Engine: unknownEngine, Baseline: "llama.cpp",
			Go: runtime.Version()},
	}
}

// Row is one measured quantity.
type Row struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"` // median of Samples
	// P95 and P99 are there where the samples are times and enough for them: 20 and 100.
	P95 *float64 `json:"p95,omitempty"`
	P99 *float64 `json:"p99,omitempty"`

	// The baseline's median and what follows from it; absent where there is nothing to compare
	// with.
	Baseline *float64 `json:"baseline,omitempty"`
	Ratio    *float64 `json:"ratio,omitempty"`
	// Bounds of the ratio at 95 % confidence, by resampling rounds.
	RatioLow  *float64 `json:"ratio_low,omitempty"`
	RatioHigh *float64 `json:"ratio_high,omitempty"`

	Goal *Goal `json:"goal,omitempty"`
	Met  *bool `json:"met,omitempty"`

	Samples         []float64 `json:"samples"` // of the rounds that count, in order
	BaselineSamples []float64 `json:"baseline_samples,omitempty"`
}

// Goal is a limit a row should keep.
type Goal struct {
	Kind  GoalKind `json:"kind"`
	Limit float64  `json:"limit"`
}

// GoalKind says which number of a row a goal limits, and on which side.
type GoalKind string

// The kinds of goals.
const (
	RatioAtLeast     GoalKind = "ratio_at_least"
	RatioAtMost      GoalKind = "ratio_at_most"
	ValueAtMost      GoalKind = "value_at_most"
	DifferenceAtMost GoalKind = "difference_at_most" // value minus baseline, in the row's unit
)

// ModelFile names the measured model.
type ModelFile struct {
	File         string `json:"file"` // base name
	SHA256       string `json:"sha256"`
	SizeBytes    int64  `json:"size_bytes"`
	Architecture string `json:"architecture"`
	Quantization string `json:"quantization"`
	Parameters   int64  `json:"parameters"`
	Synthetic    bool   `json:"synthetic,omitempty"` // random weights in the shape of a model
}

// Config is the work one run asks of both sides.
type Config struct {
	Threads        int     `json:"threads"`
	Context        int     `json:"context"`
	Slots          int     `json:"slots"`           // sequences of the context, on both sides
	PromptTokens   int     `json:"prompt_tokens"`   // of the pp row
	GenerateTokens int     `json:"generate_tokens"` // of the tg row
	Reps           int     `json:"reps"`            // repetitions in one process
	ColdStarts     int     `json:"cold_starts"`     // per side and round
	Rounds         int     `json:"rounds"`          // undisturbed rounds asked for
	MaxForeign     float64 `json:"max_foreign"`     // share of the CPUs others may use
	Seed           uint64  `json:"seed"`            // of the order of the sides
	Text           string  `json:"text"`            // what tg, cold and rss continue
}

// Versions names the software of both sides.
type Versions struct {
	Mullama  string `json:"mullama"` // version, and the revision when the build knows it
	Engine   string `json:"engine"`
	Baseline string `json:"baseline"`
	Go       string `json:"go"`
}

// Round is one turn of both sides.
type Round struct {
	Order    []string `json:"order"`   // "ours" and "baseline", the one that went first in front
	Foreign  float64  `json:"foreign"` // share of all CPU time that other processes used
	Load     float64  `json:"load"`    // load average before the round
	Ours     Turn     `json:"ours"`
	Baseline Turn     `json:"baseline"`
}

// Turn is what one side did in a round.
type Turn struct {
	Header Header       `json:"header"`
	Reps   []Repetition `json:"reps"`
	Cold   []float64    `json:"cold_s"` // from starting the process to its first byte
	Memory Memory       `json:"memory"`
}

// Header is the first line a side prints.
type Header struct {
	Program string  `json:"program"`
	Engine  string  `json:"engine"`
	Threads int     `json:"threads"`
	Context int     `json:"context"`
	Load    float64 `json:"load_s"`
}

// Repetition is one line a side prints: a prompt of pseudo-random tokens up to its first token, and
// a generation from its first token to its last.
type Repetition struct {
	Rep           int     `json:"rep"`
	PromptTokens  int     `json:"prompt_tokens"`
	PromptSeconds float64 `json:"prompt_s"`
	TextTokens    int     `json:"text_tokens"`
	Generated     int     `json:"generated"` // tokens after the first
	Seconds       float64 `json:"generate_s"`
	Sum           string  `json:"sum"` // FNV-1a of the generated tokens
	// Steps of a generation and the time in them outside decoding and sampling. The baseline takes
	// them from a generation of its own, whose tokens go to a waiting thread.
	Steps    int     `json:"steps,omitempty"`
	Overhead float64 `json:"overhead_s,omitempty"`
}

// Memory is a process's resident memory after load, context and a short generation, in kB of 1024.
type Memory struct {
	RSS       int64 `json:"rss_kb"`
	Peak      int64 `json:"peak_kb"`
	Anonymous int64 `json:"anonymous_kb"`
	File      int64 `json:"file_kb"`
}
