package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// overheadSides are who is measured, in the order of the table. The first one is what no language
// can be faster than.
var overheadSides = []string{"floor", "go", "c", "cpp", "rust", "node", "python", "php", "http"}

// overheadWorks are what they do.
var overheadWorks = []string{"calls", "delays", "stream", "concurrent"}

// overheadGoals are the medians to reach, in microseconds: of a call that does nothing, and of one
// that makes tokens of a short text.
var overheadGoals = map[string]map[string]float64{
	"go":     {"noop": 0.1, "tokenize": 0.5},
	"c":      {"noop": 0.15, "tokenize": 0.5},
	"cpp":    {"noop": 0.15, "tokenize": 0.5},
	"rust":   {"noop": 0.15, "tokenize": 0.5},
	"node":   {"noop": 0.4, "tokenize": 1},
	"python": {"noop": 0.3, "tokenize": 1},
	"php":    {"noop": 1, "tokenize": 2},
	"http":   {"tokenize": 60},
}

// The other goals, for every language.
const (
	overheadTail       = 3    // the 99th percentile is at most so many times the median
	overheadDelay      = 20   // microseconds more than between two threads of C
	overheadStream     = 0.98 // of the tokens per second in Go
	overheadConcurrent = 0.9
	overheadHTTPCalls  = 3000 // in a round
)

// Calls are the times of one kind of call of one side in a round.
type Calls struct {
	Round int    `json:"round"`
	Side  string `json:"side"`
	Call  string `json:"call"` // "noop", "tokenize" or "delay"
	Count int    `json:"count"`
	// Quantiles are 0 %, 1 %, …, 100 % of the times, in nanoseconds.
	Quantiles []float64 `json:"quantiles_ns"`
}

// Pace is how fast a side got the tokens of one or several answers.
type Pace struct {
	Round   int     `json:"round"`
	Side    string  `json:"side"`
	Work    string  `json:"work"` // "stream" or "concurrent"
	Tokens  float64 `json:"tokens"`
	Seconds float64 `json:"seconds"`
}

func overheadCommand() *cobra.Command {
	var o overheadOptions
	cmd := &cobra.Command{
		Use:   "overhead --callers FOLDER",
		Short: "Measure what a call costs in each language",
		Long: `Measure what a call of the library costs in each language, and how soon and how fast
the tokens of answers arrive there: the programs of a folder that bench/callers/build.sh has filled
take turns, with Go, HTTP, and the native engine called from C.`,
		Example: "  make bench-overhead",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return overhead(cmd, o) },
	}
	o.define(cmd)
	f := cmd.Flags()
	f.StringVar(&o.callers, "callers", "", "folder that bench/callers/build.sh has filled")
	f.IntVar(&o.Rounds, "rounds", 5, "turns of every side")
	return cmd
}

type overheadOptions struct {
	options
	callers string
}

func overhead(cmd *cobra.Command, o overheadOptions) (err error) {
	if o.Rounds < 1 {
		return fmt.Errorf("rounds are %d; there must be at least 1", o.Rounds)
	}
	if o.callers == "" {
		return errors.New("--callers is missing: give the folder that 'make callers' has filled")
	}
	o.Slots, o.Context, o.PromptTokens, o.GenerateTokens = 16, 4096, 1, callerStreamTokens
	o.Reps, o.ColdStarts, o.MaxForeign, o.Text = callerSamples, 1, 1, callerText
	model, err := describeModel(o.model)
	if err != nil {
		return err
	}
	m, err := newCallMeter(o)
	if err != nil {
		return err
	}
	result := newResult("overhead", commandLine(cmd, model.File), model, o.Config)
	for round := range o.Rounds {
		for _, work := range overheadWorks {
			fmt.Fprintf(cmd.ErrOrStderr(), "round %d of %d: %s\n", round+1, o.Rounds, work)
			if err := m.work(cmd.Context(), round, work); err != nil {
				return err
			}
		}
	}
	result.Finished = time.Now().UTC()
	result.Calls, result.Paces = m.calls, m.paces
	result.Rows = overheadRows(m.calls, m.paces)
	return o.write(cmd.OutOrStdout(), result)
}

// callMeter takes the samples of the group overhead.
type callMeter struct {
	o     overheadOptions
	model string
	self  string // this program
	calls []Calls
	paces []Pace
}

func newCallMeter(o overheadOptions) (*callMeter, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	model, err := filepath.Abs(o.model)
	return &callMeter{o: o, model: model, self: self}, err
}

// work has all sides do some work, one soon after the other, as a machine may change its speed for
// a while. In each round another one begins.
func (m *callMeter) work(ctx context.Context, round int, work string) error {
	n := len(overheadSides)
	for i := range n {
		side := overheadSides[(round+i)%n]
		if !does(side, work) {
			continue
		}
		measure := m.run
		if side == "http" {
			measure = m.overHTTP
		}
		if err := measure(ctx, round+1, side, work); err != nil {
			return err
		}
	}
	return nil
}

// does reports whether a side has a part in some work. The model that tells the time comes with the
// C library, so Go has none.
func does(side, work string) bool {
	switch side {
	case "http":
		return work == "calls"
	case "floor":
		return work == "calls" || work == "delays"
	case "go":
		return work != "delays"
	}
	return true
}

// callerResult is the line that a caller prints.
type callerResult struct {
	Noop     []float64 `json:"noop,omitempty"`
	Tokenize []float64 `json:"tokenize,omitempty"`
	Delay    []float64 `json:"delay,omitempty"`
	Tokens   []float64 `json:"tokens,omitempty"`
	Seconds  []float64 `json:"seconds,omitempty"`
}

// run has a side do some work, and keeps what it prints.
func (m *callMeter) run(ctx context.Context, round int, side, work string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(m.o.callers, side), work)
	if side == "go" {
		cmd = exec.CommandContext(ctx, m.self, "bench", "caller", work)
	}
	if work != "delays" {
		cmd.Args = append(cmd.Args, m.model)
	}
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("%s of %s: %w: %s; 'make callers' builds the programs anew", work, side,
			err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w; has bench/callers/build.sh filled the folder?", work, side,
			err)
	}
	var r callerResult
	if err := json.Unmarshal(out, &r); err != nil {
		return fmt.Errorf("%s of %s printed %.80q: %w", work, side, out, err)
	}
	m.keep(round, side, "noop", r.Noop)
	m.keep(round, side, "tokenize", r.Tokenize)
	m.keep(round, side, "delay", r.Delay)
	for i := range min(len(r.Tokens), len(r.Seconds)) {
		m.paces = append(m.paces, Pace{round, side, work, r.Tokens[i], r.Seconds[i]})
	}
	return nil
}

// keep adds the times of calls, in nanoseconds, if there are any.
func (m *callMeter) keep(round int, side, call string, times []float64) {
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	c := Calls{Round: round, Side: side, Call: call, Count: len(times)}
	for percent := range 101 {
		c.Quantiles = append(c.Quantiles, quantile(times, float64(percent)/100))
	}
	m.calls = append(m.calls, c)
}

// overHTTP times the same call of a daemon on a connection that stays open.
func (m *callMeter) overHTTP(ctx context.Context, round int, side, _ string) (err error) {
	daemon, err := startDaemon(ctx, serving{model: m.model, slots: 1, context: 512,
		threads: m.o.Threads}, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.stop()) }()
	c, err := daemon.dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	ask, err := message("POST", "/tokenize",
		map[string]string{"model": servedName, "content": callerText})
	if err != nil {
		return err
	}
	const warm = overheadHTTPCalls / 10
	var times []float64
	for i := range warm + overheadHTTPCalls {
		start := time.Now()
		if _, err := c.roundTrip(ask); err != nil {
			return err
		}
		if i >= warm {
			times = append(times, float64(time.Since(start).Nanoseconds()))
		}
	}
	m.keep(round, side, "tokenize", times)
	return nil
}
