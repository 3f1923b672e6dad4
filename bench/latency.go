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

	"github.com/mullama/mullama/bench/load"
)

// What the group latency does.
const (
	hotPrefix       = 2000 // tokens that a prompt shares with the one before
	hotNew          = 32   // tokens that it does not
	hotWarm         = 10   // first tokens of a turn that do not count
	runningStreams  = 8    // that generate while a long prompt arrives
	runningTokens   = 400
	longPrompt      = 4000
	latencyContext  = 8192
	tokenizeText    = "The quick brown fox jumps over the lazy dog, and the dog sleeps on."
	tokenizeReps    = 1000 // per socket and round
	idleConnections = 1000
	latencyReps     = 20 // of what is no round trip, per side and round
)

func latencyCommand() *cobra.Command {
	var o streamOptions
	cmd := &cobra.Command{
		Use:   "latency",
		Short: "Measure how soon the daemon reacts",
		Long: `Measure the daemon over HTTP: the first token after a cached prefix beside llama.cpp
alone, gaps between the tokens of running answers while a long prompt arrives, the round trip of
/tokenize, the memory of idle connections, and how soon a cancelled request gives up its slot.

Round trips are 1,000 in a turn; of first tokens and cancelled requests --reps are, so 100 in all,
as 1,000 would take most of an hour. The model needs a context of 8,192 tokens.`,
		Example: "  mullama bench latency --model smollm2.gguf",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return latency(cmd, o) },
	}
	o.define(cmd)
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", 5, "turns of every measurement")
	f.IntVar(&o.Reps, "reps", latencyReps,
		"first tokens and cancelled requests of a turn")
	return cmd
}

// latency runs the group and writes its result.
func latency(cmd *cobra.Command, o streamOptions) (err error) {
	if min(o.Rounds, o.Reps) < 1 {
		return errors.New("rounds and reps must be at least 1")
	}
	o.Slots, o.Context = runningStreams+1, latencyContext
	o.ColdStarts, o.MaxForeign, o.Text = 1, 1, tokenizeText
	o.PromptTokens, o.GenerateTokens = longPrompt, runningTokens
	model, err := describeModel(o.model)
	if err != nil {
		return err
	}
	m := &reactions{o: o, samples: map[string][]float64{}}
	if m.baseline, err = oracleProgram(o.oracle, o.library); err != nil {
		return err
	}
	work, err := o.serving()
	if err != nil {
		return err
	}
	if m.tcp, err = startDaemon(cmd.Context(), work, false); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.tcp.stop()) }()
	if m.unix, err = startDaemon(cmd.Context(), work, true); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.unix.stop()) }()
	result := newResult("latency", commandLine(cmd, model.File), model, o.Config)
	for round := range o.Rounds {
		fmt.Fprintf(cmd.ErrOrStderr(), "round %d of %d\n", round+1, o.Rounds)
		if err := m.round(cmd.Context(), round); err != nil {
			return err
		}
	}
	result.Finished = time.Now().UTC()
	result.Rows, result.Calls = m.rows(), m.calls
	return o.write(cmd.OutOrStdout(), result)
}

// reactions takes the samples of every row.
type reactions struct {
	o         streamOptions
	baseline  program
	tcp, unix *served
	samples   map[string][]float64 // by row; a baseline's under the row's name and a star
	calls     []Calls
}

func (m *reactions) add(name string, values ...float64) {
	m.samples[name] = append(m.samples[name], values...)
}

func (m *reactions) round(ctx context.Context, round int) error {
	for _, measure := range []func(context.Context, int) error{
		m.hot, m.hotAlone, m.interference, m.tokenize, m.tokenizeAlone, m.idle, m.cancel,
	} {
		if err := measure(ctx, round); err != nil {
			return err
		}
	}
	return nil
}

// work is a request for a prompt of so many tokens that no cache knows.
func (m *reactions) work(prompt, tokens, seed int) load.Work {
	return load.Work{URL: m.tcp.url, Model: servedName, Requests: 1, Streams: 1,
		PromptTokens: prompt, Tokens: tokens, Seed: uint64(seed)}
}

// hot asks several times with the same long beginning.
func (m *reactions) hot(ctx context.Context, round int) error {
	w := m.work(hotPrefix+hotNew, 8, 100+round)
	w.SharedPrompt, w.Requests = hotPrefix, hotWarm+m.o.Reps
	run, err := answered(ctx, w)
	if err != nil {
		return err
	}
	for _, a := range run.Answers[hotWarm:] { // the first reads the prefix
		if a.CachedTokens < hotPrefix*9/10 {
			return fmt.Errorf("only %d tokens of %d were cached", a.CachedTokens, a.PromptTokens)
		}
		m.add("hot_ttft", 1e3*(a.Times[0]-a.Start))
	}
	return nil
}

// answered sends the work and wants an answer to every request.
func answered(ctx context.Context, w load.Work) (*load.Run, error) {
	run, err := load.Send(ctx, w)
	if err != nil {
		return nil, err
	}
	for _, a := range run.Answers {
		if a.Error != "" || len(a.Times) == 0 {
			return nil, fmt.Errorf("a request got no answer: %s", a.Error)
		}
	}
	return run, nil
}

// hotAlone has the C program read as many new tokens after a cached prefix.
func (m *reactions) hotAlone(ctx context.Context, _ int) error {
	times, err := m.alone(ctx, "hot", "x", fmt.Sprintf("prompt=%d", hotPrefix),
		fmt.Sprintf("new=%d", hotNew), fmt.Sprintf("reps=%d", m.o.Reps),
		fmt.Sprintf("threads=%d", m.o.Threads), fmt.Sprintf("ctx=%d", latencyContext))
	for _, seconds := range times {
		m.add("hot_ttft*", 1e3*seconds)
	}
	return err
}

// alone runs the C program and returns the seconds that it prints.
func (m *reactions) alone(
	ctx context.Context, mode, text string, options ...string,
) ([]float64, error) {
	args := append(slices.Clone(m.baseline[1:]), mode, m.o.model, text)
	out, err := exec.CommandContext(ctx, m.baseline[0], append(args, options...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("baseline %s: %w", mode, err)
	}
	var times []float64
	for i, line := range bytes.Split(bytes.TrimSpace(out), []byte("\n")) {
		var rep struct {
			Seconds float64 `json:"seconds"`
		}
		if err := json.Unmarshal(line, &rep); err != nil {
			return nil, fmt.Errorf("baseline %s: %w", mode, err)
		}
		if i > 0 { // after the header
			times = append(times, rep.Seconds)
		}
	}
	return times, nil
}

// interference has a long prompt arrive while other requests generate.
func (m *reactions) interference(ctx context.Context, round int) error {
	w := m.work(64, runningTokens, 200+round)
	w.Requests, w.Streams = runningStreams, runningStreams
	type outcome struct {
		run *load.Run
		err error
	}
	running := make(chan outcome, 1)
	go func() {
		run, err := answered(ctx, w)
		running <- outcome{run, err}
	}()
	time.Sleep(2 * time.Second) // their prompts are read
	long, err := answered(ctx, m.work(longPrompt, 4, 300+round))
	others := <-running
	if err := errors.Join(err, others.err); err != nil {
		return err
	}
	from := long.Started.Sub(others.run.Started).Seconds()
	until := from + long.Answers[0].Times[0]
	var gaps []float64
	for _, a := range others.run.Answers {
		for i := 1; i < len(a.Times); i++ {
			if a.Times[i] > from && a.Times[i-1] < until {
				gaps = append(gaps, 1e3*(a.Times[i]-a.Times[i-1]))
			}
		}
	}
	if len(gaps) == 0 {
		return errors.New("the running requests ended before the long prompt came")
	}
	slices.Sort(gaps)
	m.add("interference_gap_p50", quantile(gaps, 0.50))
	m.add("interference_gap_p99", quantile(gaps, 0.99))
	m.add("interference_long_ttft", 1e3*long.Answers[0].Times[0])
	return nil
}

// rows are the results, with the goals.
func (m *reactions) rows() []Row {
	goals := map[string]Goal{
		"hot_ttft":             {RatioAtMost, 1.1},
		"interference_gap_p99": {ValueAtMost, 100}, // twice the time of a step, engine.StepTime
		"tokenize_p50":         {ValueAtMost, 60},
		"tokenize_p99":         {ValueAtMost, 200},
		"idle_connections_mb":  {ValueAtMost, 25},
		"cancel_generating":    {RatioAtMost, 1},
		"cancel_prompt":        {RatioAtMost, 1},
	}
	var rows []Row
	for _, r := range []struct{ name, unit string }{
		{"hot_ttft", "ms"}, {"interference_gap_p50", "ms"}, {"interference_gap_p99", "ms"},
		{"interference_long_ttft", "ms"}, {"tokenize_p50", "us"}, {"tokenize_p99", "us"},
		{"tokenize_unix_p50", "us"}, {"tokenize_unix_p99", "us"}, {"idle_connections_mb", "MB"},
		{"cancel_generating", "ms"}, {"cancel_prompt", "ms"},
	} {
		row := Row{Name: r.name, Unit: r.unit, Samples: m.samples[r.name],
			BaselineSamples: m.samples[r.name+"*"]}
		if goal, ok := goals[r.name]; ok {
			row.Goal = &goal
		}
		row.compare()
		rows = append(rows, row)
	}
	return rows
}

// residentMemory of a process, in MB.
func residentMemory(pid int) (float64, error) {
	data, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		var kB float64
		if n, _ := fmt.Sscanf(string(line), "VmRSS: %f kB", &kB); n == 1 {
			return kB * 1024 / 1e6, nil
		}
	}
	return 0, errors.New("the system does not say how much memory a process has")
}
