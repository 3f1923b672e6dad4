package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama/bench/load"
)

// Wave is one measurement of one side: so many prompts at once, and an answer to each.
type Wave struct {
	Round   int           `json:"round"`
	Streams int           `json:"streams"`
	Side    string        `json:"side"` // "ours", "baseline", or a peer's name
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
	peers   map[string]string // programs by the peer's name
}

// serving is the work of the servers.
func (o *streamOptions) serving() (serving, error) {
	model, err := filepath.Abs(o.model)
	return serving{model: model, slots: o.Slots, context: o.Context, threads: o.Threads,
		unified: o.unified}, err
}

func streamsCommand() *cobra.Command {
	var o streamOptions
	cmd := &cobra.Command{
		Use:   "streams --model FILE",
		Short: "Measure the daemon with several requests at once",
		Long: `Measure tokens per second of the daemon over HTTP with one and more requests at once,
beside a C program that has llama.cpp compute as many sequences in one batch. Both have the same
prompts' lengths, and take turns in the same run. With --peer other servers take turns too.`,
		Example: `  mullama bench streams --model smollm2.gguf --streams 1,8,32
  mullama bench streams --model smollm2.gguf --peer llama-server=./llama-server`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return streams(cmd, o) },
	}
	o.define(cmd)
	f := cmd.Flags()
	f.IntSliceVar(&o.widths, "streams", []int{1, 8, 32}, "how many requests at once")
	f.IntVar(&o.Rounds, "rounds", 3, "waves of each side and width")
	f.IntVar(&o.PromptTokens, "prompt-tokens", 128, "length of the prompts")
	f.IntVar(&o.GenerateTokens, "generate-tokens", 128, "length of the answers")
	f.BoolVar(&o.unified, "unified", false, "both sides have one KV cache for all sequences")
	f.StringToStringVar(&o.peers, "peer", nil,
		"measure this server as well: llama-server=PROGRAM or ollama=PROGRAM (repeatable)")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the prompts and of the order of the sides")
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
	m := &waves{o: o, baseline: baseline, random: rand.New(rand.NewPCG(o.Seed, 1)),
		say: func(format string, args ...any) {
			fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
		}}
	defer func() { err = errors.Join(err, m.stop()) }()
	if err := m.start(cmd.Context()); err != nil {
		return err
	}
	result := newResult("streams", commandLine(cmd, model.File), model, o.Config)
	if result.Waves, err = m.run(cmd.Context()); err != nil {
		return err
	}
	result.Finished = time.Now().UTC()
	result.Rows = waveRows(o.widths, result.Waves)
	return o.write(cmd.OutOrStdout(), result)
}

// waves measures all sides in turn.
type waves struct {
	o        streamOptions
	servers  []server
	baseline program
	random   *rand.Rand
	say      func(format string, args ...any)
}

// server is a side that answers over HTTP.
type server struct {
	side string
	*served
}

// start starts the servers, and has each load the model.
func (m *waves) start(ctx context.Context) error {
	work, err := m.o.serving()
	if err != nil {
		return err
	}
	ours, err := startDaemon(ctx, work, false)
	if err != nil {
		return err
	}
	m.servers = append(m.servers, server{"ours", ours})
	for _, name := range slices.Sorted(maps.Keys(m.o.peers)) {
		begin, ok := map[string]func(context.Context, string, serving) (*served, error){
			"llama-server": startLlamaServer, "ollama": startOllama,
		}[name]
		if !ok {
			return fmt.Errorf("--peer names %q; use llama-server or ollama", name)
		}
		peer, err := begin(ctx, m.o.peers[name], work)
		if err != nil {
			return err
		}
		m.servers = append(m.servers, server{name, peer})
	}
	for _, s := range m.servers {
		if _, err := m.ours(ctx, s, 0, 1); err != nil {
			return err
		}
	}
	return nil
}

func (m *waves) stop() (err error) {
	for _, s := range m.servers {
		err = errors.Join(err, s.stop())
	}
	return err
}

func (m *waves) run(ctx context.Context) ([]Wave, error) {
	sides := []func(context.Context, int, int) (Wave, error){m.theirs}
	for _, s := range m.servers {
		sides = append(sides, func(ctx context.Context, round, width int) (Wave, error) {
			// The C program, too, computes a wave before the one that counts.
			if _, err := m.ours(ctx, s, -round, width); err != nil {
				return Wave{}, err
			}
			return m.ours(ctx, s, round, width)
		})
	}
	var all []Wave
	for round := 1; round <= m.o.Rounds; round++ {
		for _, width := range m.o.widths {
			m.random.Shuffle(len(sides), func(i, j int) { sides[i], sides[j] = sides[j], sides[i] })
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

// ours sends a wave of requests to a server.
func (m *waves) ours(ctx context.Context, s server, round, width int) (Wave, error) {
	run, err := load.Send(ctx, load.Work{
		URL: s.url, Model: servedName, Requests: width, Streams: width,
		PromptTokens: m.o.PromptTokens, Tokens: m.o.GenerateTokens,
		Seed: m.o.Seed + uint64(round*1000+width),
	})
	if err != nil {
		return Wave{}, err
	}
	sum := run.Summary()
	if sum.Failed > 0 {
		return Wave{}, fmt.Errorf("%s: %d of %d requests failed: %s", s.side, sum.Failed, width,
			sum.FirstError)
	}
	return Wave{Round: round, Streams: width, Side: s.side, Seconds: run.Seconds,
		Tokens: sum.Tokens, Load: &sum}, nil
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

// waveRows computes per width a row for the speed, and rows for what a client feels; then the same
// of the peers.
func waveRows(widths []int, all []Wave) []Row {
	var rows []Row
	for _, width := range widths {
		for _, side := range sidesOf(all) {
			rows = append(rows, sideRows(width, side, all)...)
		}
	}
	return rows
}

// sidesOf returns the servers of the waves, ours first.
func sidesOf(all []Wave) []string {
	sides := []string{"ours"}
	for _, w := range all {
		if w.Side != "baseline" && !slices.Contains(sides, w.Side) {
			sides = append(sides, w.Side)
		}
	}
	slices.Sort(sides[1:])
	return sides
}

func sideRows(width int, side string, all []Wave) []Row {
	name := fmt.Sprintf("streams_%d", width)
	speed := Row{Name: name, Unit: "tokens/s"}
	if side == "ours" {
		speed.Goal = &Goal{RatioAtLeast, 0.90}
		if width == 1 {
			speed.Goal.Limit = 0.97
		}
	} else {
		name += "_" + strings.ReplaceAll(side, "-", "_")
		speed.Name = name
	}
	first := Row{Name: name + "_ttft_p50", Unit: "ms"}
	gap := Row{Name: name + "_gap_p99", Unit: "ms"}
	for _, w := range all {
		switch {
		case w.Streams != width:
		case w.Side == "baseline":
			speed.BaselineSamples = append(speed.BaselineSamples, w.tokensPerSecond())
		case w.Side == side:
			speed.Samples = append(speed.Samples, w.tokensPerSecond())
			first.Samples = append(first.Samples, w.Load.FirstToken.P50)
			gap.Samples = append(gap.Samples, w.Load.Gap.P99)
		}
	}
	speed.compare()
	first.Value, gap.Value = median(first.Samples), median(gap.Samples)
	return []Row{speed, first, gap}
}

// compare computes the row's value and what it is beside the baseline.
func (r *Row) compare() {
	r.Value = median(r.Samples)
	if len(r.BaselineSamples) > 0 {
		r.Baseline = new(median(r.BaselineSamples))
		r.Ratio = new(r.Value / *r.Baseline)
	}
	if r.Goal != nil {
		r.Met = new(r.Goal.met(*r))
	}
}
