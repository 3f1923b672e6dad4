package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama/bench/load"
)

// Wave is one measurement of one side: so many prompts at once, and an answer to each.
type Wave struct {
	Round   int           `json:"round"`
	Streams int           `json:"streams"`
	Side    string        `json:"side"` // "ours" or "baseline"
	Seconds float64       `json:"seconds"`
	Tokens  int           `json:"tokens"` // of all answers
	Load    *load.Summary `json:"load,omitempty"`
}

func (w Wave) tokensPerSecond() float64 { return float64(w.Tokens) / w.Seconds }

// streamOptions are the flags of bench streams.
type streamOptions struct {
	options
	widths  []int
	unified bool
}

func streamsCommand() *cobra.Command {
	var o streamOptions
	cmd := &cobra.Command{
		Use:   "streams --model FILE",
		Short: "Measure the daemon with several requests at once",
		Long: `Measure tokens per second of the daemon over HTTP with one and more requests at once,
beside a C program that has llama.cpp compute as many sequences in one batch. Both have the same
prompts' lengths, and take turns in the same run.`,
		Example: "  mullama bench streams --model smollm2.gguf --streams 1,8,32",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return streams(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", "GGUF file to measure")
	f.StringVar(&o.json, "json", "", "write the result as JSON to this file, - for standard output")
	f.IntSliceVar(&o.widths, "streams", []int{1, 8, 32}, "how many requests at once")
	f.IntVar(&o.Rounds, "rounds", 3, "waves of each side and width")
	f.IntVar(&o.PromptTokens, "prompt-tokens", 128, "length of the prompts")
	f.IntVar(&o.GenerateTokens, "generate-tokens", 128, "length of the answers")
	f.IntVar(&o.Threads, "threads", runtime.NumCPU(), "threads of both sides")
	f.BoolVar(&o.unified, "unified", false, "both sides have one KV cache for all sequences")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the prompts and of the order of the sides")
	f.StringVar(&o.oracle, "oracle", "",
		"baseline program (default: mullama-oracle beside the library)")
	f.StringVar(&o.library, "library", os.Getenv("MULLAMA_LIBRARY"), "folder of the native library")
	if err := cmd.MarkFlagRequired("model"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// streams runs the group and writes its result.
func streams(cmd *cobra.Command, o streamOptions) (err error) {
	if len(o.widths) == 0 || slices.Min(o.widths) < 1 || o.Rounds < 1 || o.PromptTokens < 1 ||
		o.GenerateTokens < 1 {
		return errors.New("streams, rounds and tokens must be at least 1")
	}
	o.Slots = slices.Max(o.widths)
	o.Context = o.PromptTokens + o.GenerateTokens + 64
	o.Reps, o.ColdStarts, o.MaxForeign, o.Text = 1, 1, 1, "x"
	model, err := describeModel(o.model)
	if err != nil {
		return err
	}
	baseline, err := oracleProgram(o.oracle, o.library)
	if err != nil {
		return err
	}
	d, err := startServed(cmd.Context(), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	result := &Result{
		Schema: SchemaVersion, Group: "streams", Started: time.Now().UTC(),
		Command: commandLine(cmd, model.File), Model: model, Config: o.Config,
		Machine: readMachine(os.DirFS("/")), Warnings: []string{}, Rounds: []Round{},
		Versions: Versions{Mullama: version(), Engine: "llama.cpp", Baseline: "llama.cpp",
			Go: runtime.Version()},
	}
	m := &waves{o: o, served: d, baseline: baseline, random: rand.New(rand.NewPCG(o.Seed, 1)),
		say: func(format string, args ...any) {
			fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
		}}
	if result.Waves, err = m.run(cmd.Context()); err != nil {
		return err
	}
	result.Finished = time.Now().UTC()
	result.Rows = waveRows(o.widths, result.Waves)
	return o.write(cmd.OutOrStdout(), result)
}

// waves measures both sides in turn.
type waves struct {
	o        streamOptions
	served   *served
	baseline program
	random   *rand.Rand
	say      func(format string, args ...any)
}

func (m *waves) run(ctx context.Context) ([]Wave, error) {
	if _, err := m.ours(ctx, 0, 1); err != nil { // loads the model
		return nil, err
	}
	var all []Wave
	for round := 1; round <= m.o.Rounds; round++ {
		for _, width := range m.o.widths {
			sides := []func(context.Context, int, int) (Wave, error){m.ours, m.theirs}
			if m.random.IntN(2) == 1 {
				slices.Reverse(sides)
			}
			for _, side := range sides {
				w, err := side(ctx, round, width)
				if err != nil {
					return nil, err
				}
				m.say("round %d, %d streams: %s %.1f tokens/s", round, width, w.Side,
					w.tokensPerSecond())
				all = append(all, w)
			}
		}
	}
	return all, nil
}

// ours sends a wave of requests to the daemon.
func (m *waves) ours(ctx context.Context, round, width int) (Wave, error) {
	run, err := load.Send(ctx, load.Work{
		URL: m.served.url, Model: servedName, Requests: width, Streams: width,
		PromptTokens: m.o.PromptTokens, Tokens: m.o.GenerateTokens,
		Seed: m.o.Seed + uint64(round)*1000 + uint64(width),
	})
	if err != nil {
		return Wave{}, err
	}
	s := run.Summary()
	if s.Failed > 0 {
		return Wave{}, fmt.Errorf("%d of %d requests failed: %s", s.Failed, width, s.FirstError)
	}
	return Wave{Round: round, Streams: width, Side: "ours", Seconds: run.Seconds, Tokens: s.Tokens,
		Load: &s}, nil
}

// theirs has the C program compute a wave.
func (m *waves) theirs(ctx context.Context, round, width int) (Wave, error) {
	args := append(slices.Clone(m.baseline[1:]), "batched", m.o.model, "x",
		fmt.Sprintf("streams=%d", width), fmt.Sprintf("slots=%d", width),
		fmt.Sprintf("prompt=%d", m.o.PromptTokens),
		fmt.Sprintf("generate=%d", m.o.GenerateTokens), "reps=1",
		fmt.Sprintf("threads=%d", m.o.Threads), fmt.Sprintf("ctx=%d", width*m.o.Context),
		"unified="+map[bool]string{true: "1", false: "0"}[m.o.unified])
	out, err := exec.CommandContext(ctx, m.baseline[0], args...).Output()
	if err != nil {
		return Wave{}, fmt.Errorf("baseline with %d streams: %w", width, err)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var rep struct {
		Prompt   float64 `json:"prompt_s"`
		Generate float64 `json:"generate_s"`
	}
	if err := json.Unmarshal(lines[len(lines)-1], &rep); err != nil {
		return Wave{}, fmt.Errorf("baseline with %d streams: %w", width, err)
	}
	return Wave{Round: round, Streams: width, Side: "baseline", Tokens: width * m.o.GenerateTokens,
		Seconds: rep.Prompt + rep.Generate}, nil
}

// waveRows computes a row per width for the speed, and for what a client feels.
func waveRows(widths []int, all []Wave) []Row {
	var rows []Row
	for _, width := range widths {
		name := fmt.Sprintf("streams_%d", width)
		speed := Row{Name: name, Unit: "tokens/s", Goal: &Goal{RatioAtLeast, 0.90}}
		if width == 1 {
			speed.Goal.Limit = 0.97
		}
		first := Row{Name: name + "_ttft_p50", Unit: "ms"}
		gap := Row{Name: name + "_gap_p99", Unit: "ms"}
		for _, w := range all {
			switch {
			case w.Streams != width:
			case w.Side == "baseline":
				speed.BaselineSamples = append(speed.BaselineSamples, w.tokensPerSecond())
			default:
				speed.Samples = append(speed.Samples, w.tokensPerSecond())
				first.Samples = append(first.Samples, w.Load.FirstToken.P50)
				gap.Samples = append(gap.Samples, w.Load.Gap.P99)
			}
		}
		speed.Value, first.Value, gap.Value = median(speed.Samples), median(first.Samples),
			median(gap.Samples)
		speed.Baseline = new(median(speed.BaselineSamples))
		speed.Ratio = new(speed.Value / *speed.Baseline)
		speed.Met = new(speed.Goal.met(speed))
		rows = append(rows, speed, first, gap)
	}
	return rows
}

// servedName is the model's name in the store of the daemon under test.
const servedName = "bench"

// served is a daemon of this very program with a store of its own.
type served struct {
	url   string
	store string
	cmd   *exec.Cmd
	log   bytes.Buffer
}

func startServed(ctx context.Context, o streamOptions) (*served, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	store, err := os.MkdirTemp("", "mullama-bench-")
	if err != nil {
		return nil, err
	}
	d := &served{store: store}
	out, err := exec.CommandContext(ctx, self, "import", o.model, servedName,
		"--models", store).CombinedOutput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("import the model: %w: %s", err, out),
			os.RemoveAll(store))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	d.url = "http://" + address
	layout := "split"
	if o.unified {
		layout = "unified"
	}
	d.cmd = exec.Command(self, "serve", "--host", address, "--models", store,
		"--parallel", strconv.Itoa(o.Slots), "--ctx-size", strconv.Itoa(o.Context),
		"--kv-layout", layout, "--threads", strconv.Itoa(o.Threads))
	if o.unified {
		d.cmd.Args = append(d.cmd.Args, "--cache-tokens", strconv.Itoa(o.Slots*o.Context))
	}
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(store))
	}
	if err := d.wait(ctx, address); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// wait returns when the daemon listens.
func (d *served) wait(ctx context.Context, address string) error {
	const limit = 20 * time.Second
	for end := time.Now().Add(limit); time.Now().Before(end) && ctx.Err() == nil; {
		if conn, err := net.Dial("tcp", address); err == nil {
			return conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the daemon does not listen on %s: %s", address, d.log.String())
}

// stop ends the daemon and removes its store.
func (d *served) stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(d.cmd.Wait(), os.RemoveAll(d.store))
}
