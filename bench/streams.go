package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama/bench/load"
)

// Wave is one measurement of one side: so many prompts at once, and an answer to each.
type Wave struct {
	Round   int `json:"round"`
	Streams int `json:"streams"`
	// Side is "ours", "library" (the same in this process), "baseline" (llama.cpp alone),
	// "unsampled" (that without choosing tokens from the logits), or a peer's name.
	Side    string  `json:"side"`
	Seconds float64 `json:"seconds"`
	Tokens  int     `json:"tokens"` // of all answers
	// Of llama.cpp alone: how long the prompts took, and what followed.
	PromptSeconds   float64 `json:"prompt_s,omitempty"`
	GenerateSeconds float64 `json:"generate_s,omitempty"`
	// Decode is tokens per second while all streams generate, 0 when there is no such time.
	Decode float64       `json:"decode_tokens_per_s,omitempty"`
	Load   *load.Summary `json:"load,omitempty"`
}

func (w Wave) tokensPerSecond() float64 { return float64(w.Tokens) / w.Seconds }

// streamOptions are the flags of bench streams.
type streamOptions struct {
	options
	widths    []int
	unified   bool
	unsampled bool // also llama.cpp alone without sampling
	inProcess bool // also package mullama in this process
	singly    bool // each side has the model while it takes its turn, and then no more
	batch     int
	ubatch    int
	sampling  load.Sampling
	peers     map[string]string // programs by the peer's name
}

// serving is the work of the servers.
func (o *streamOptions) serving() (serving, error) {
	model, err := filepath.Abs(o.model)
	return serving{model: model, slots: o.Slots, context: o.Context, threads: o.Threads,
		unified: o.unified, batch: o.batch, ubatch: o.ubatch, library: o.library}, err
}

// alone are the words of the same work for llama.cpp alone.
func (o *streamOptions) alone() []string {
	words := []string{
		fmt.Sprintf("prompt=%d", o.PromptTokens), fmt.Sprintf("generate=%d", o.GenerateTokens),
		fmt.Sprintf("threads=%d", o.Threads), fmt.Sprintf("ctx=%d", o.Context),
		"unified=" + map[bool]string{true: "1", false: "0"}[o.unified],
		fmt.Sprintf("temp=%g", o.sampling.Temperature),
		fmt.Sprintf("top_k=%d", o.sampling.TopK), fmt.Sprintf("top_p=%g", o.sampling.TopP),
	}
	if o.batch > 0 {
		words = append(words, fmt.Sprintf("batch=%d", o.batch))
	}
	if o.ubatch > 0 {
		words = append(words, fmt.Sprintf("ubatch=%d", o.ubatch))
	}
	return words
}

func streamsCommand() *cobra.Command {
	var o streamOptions
	cmd := &cobra.Command{
		Use:   "streams",
		Short: "Measure the daemon with several requests at once",
		Long: `Measure tokens per second of the daemon over HTTP with one and more requests at once,
beside a C program that has llama.cpp compute as many sequences in one batch. Both have the same
prompts' lengths, and take turns in the same run, as does package mullama without HTTP. With --peer
other servers take turns too, and with --unsampled the C program once more without choosing tokens:
what llama.cpp does alone.`,
		Example: `  mullama bench streams --model smollm2.gguf --streams 1,8,32
  mullama bench streams --model smollm2.gguf --peer llama-server=./llama-server
  mullama bench streams --model smollm2.gguf --unsampled --temperature 0.8`,
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
	f.BoolVar(&o.unsampled, "unsampled", false,
		"measure llama.cpp alone without sampling as well")
	f.BoolVar(&o.inProcess, "in-process", true,
		"measure package mullama in this process as well")
	f.BoolVar(&o.singly, "one-at-a-time", false,
		"have each side load the model for its turn alone: for a model that fits once in memory")
	f.IntVar(&o.batch, "batch-size", 0, "prompt tokens per step of all sides; 0: each one's own")
	f.IntVar(&o.ubatch, "ubatch-size", 0,
		"prompt tokens computed at once by all sides; 0: each one's own")
	samplingFlags(f, &o.sampling)
	f.StringToStringVar(&o.peers, "peer", nil,
		"measure this as well (repeatable): llama-server=PROGRAM, ollama=PROGRAM, "+
			"llama-cpp-python=PYTHON or node-llama-cpp=MODULES")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the prompts and of the order of the sides")
	return cmd
}

// check refuses what leaves nothing to measure.
func (o *streamOptions) check() error {
	if len(o.widths) == 0 || slices.Min(o.widths) < 1 || o.Rounds < 1 || o.PromptTokens < 1 ||
		o.GenerateTokens < 1 {
		return errors.New("streams, rounds and tokens must be at least 1")
	}
	if o.batch < 0 || o.ubatch < 0 {
		return errors.New("batch-size and ubatch-size must be at least 0")
	}
	return knownPeers(o.peers)
}

// streams runs the group and writes its result.
func streams(cmd *cobra.Command, o streamOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	o.Slots = slices.Max(o.widths)
	o.Context = o.PromptTokens + o.GenerateTokens + 64
	o.Reps, o.ColdStarts, o.MaxForeign, o.Text = 1, 1, 1, "x"
	model, err := describeModel(o.model)
	if err != nil {
		return err
	}
	m := &waves{o: o, random: rand.New(rand.NewPCG(o.Seed, 1)),
		say: func(format string, args ...any) {
			fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
		}}
	defer func() { err = errors.Join(err, m.stop()) }()
	run := m.runSingly
	if !o.singly {
		run = m.run
		if err := m.start(cmd.Context()); err != nil {
			return err
		}
	}
	result := newResult("streams", commandLine(cmd, model.File), model, o.Config)
	if result.Machine.GPUs, err = readGPUs(o.library); err != nil {
		return err
	}
	if result.Waves, err = run(cmd.Context()); err != nil {
		return err
	}
	result.Versions.Baseline = m.engine
	if timeIsUp(cmd.Context()) {
		result.Warnings = append(result.Warnings, cutShort)
	}
	result.Finished = time.Now().UTC()
	result.Rows = waveRows(widthsOf(result.Waves), result.Waves)
	return o.write(cmd.OutOrStdout(), result)
}

// waves measures all sides in turn.
type waves struct {
	o        streamOptions
	servers  []server
	bindings []*worker
	library  *inProcess
	alone    *alone
	only     string // the one side that takes part; "": all
	engine   string // of llama.cpp alone
	special  int    // tokens of a prompt that are not of its text, such as one for its beginning
	random   *rand.Rand
	say      func(format string, args ...any)
}

// server is a side that answers over HTTP.
type server struct {
	side string
	*served
}

// start starts all sides, and has each load the model.
func (m *waves) start(ctx context.Context) error {
	baseline, err := oracleProgram(m.o.oracle, m.o.library)
	if err != nil {
		return err
	}
	work, err := m.o.serving()
	if err != nil {
		return err
	}
	if m.only == "" || m.only == "ours" {
		ours, err := startDaemon(ctx, work, false)
		if err != nil {
			return err
		}
		m.servers = append(m.servers, server{"ours", ours})
	}
	if err := m.startPeers(ctx, work); err != nil {
		return err
	}
	if err := m.warmUp(ctx); err != nil {
		return err
	}
	if m.o.inProcess {
		if m.library, err = openInProcess(ctx, work); err != nil {
			return err
		}
	}
	if m.only != "" && m.only != "baseline" {
		return nil
	}
	m.alone, err = startAlone(ctx, baseline, m.o.model, m.o.alone()...)
	m.engine = m.alone.header.Engine
	return err
}

// warmUp has every server load the model, and learns how many tokens the model adds to a text.
// llama.cpp alone gets prompts without any, so the others' texts are to be shorter by so much.
func (m *waves) warmUp(ctx context.Context) error {
	for i, s := range m.servers {
		work := m.work(0, 1)
		work.URL = s.url
		run, err := load.Send(ctx, work)
		if err != nil {
			return err
		}
		if i == 0 && s.side == "ours" {
			m.special = max(0, run.Answers[0].PromptTokens-work.PromptTokens)
		}
	}
	return nil
}

func (m *waves) stop() (err error) {
	for _, s := range m.servers {
		err = errors.Join(err, s.stop())
	}
	for _, b := range m.bindings {
		err = errors.Join(err, b.stop())
	}
	if m.library != nil {
		err = errors.Join(err, m.library.close())
	}
	if m.alone != nil {
		err = errors.Join(err, m.alone.stop())
	}
	return err
}

// waveSide computes a wave.
type waveSide func(ctx context.Context, round, width int) (Wave, error)

// sides are all that take turns. Each computes a wave before the one that counts, as the C program
// does by itself.
func (m *waves) sides() []waveSide {
	var sides []waveSide
	if m.alone != nil {
		sides = append(sides, m.theirs(true))
		if m.o.unsampled {
			sides = append(sides, m.theirs(false))
		}
	}
	if m.library != nil {
		sides = append(sides, warmed(m.inProcess))
	}
	for _, s := range m.servers {
		sides = append(sides, warmed(func(ctx context.Context, round, width int) (Wave, error) {
			return m.ours(ctx, s, round, width)
		}))
	}
	for _, b := range m.bindings {
		sides = append(sides, warmed(func(ctx context.Context, round, width int) (Wave, error) {
			return b.wave(ctx, m.work(round, width))
		}))
	}
	return sides
}

func warmed(side waveSide) waveSide {
	return func(ctx context.Context, round, width int) (Wave, error) {
		if _, err := side(ctx, -round, width); err != nil {
			return Wave{}, err
		}
		return side(ctx, round, width)
	}
}

func (m *waves) run(ctx context.Context) ([]Wave, error) {
	sides := m.sides()
	var all []Wave
	for round := 1; round <= m.o.Rounds; round++ {
		for _, width := range m.o.widths {
			whole := len(all) // waves of works that all sides have done
			m.random.Shuffle(len(sides), func(i, j int) { sides[i], sides[j] = sides[j], sides[i] })
			for _, side := range sides {
				w, err := m.wave(ctx, side, round, width)
				if timeIsUp(ctx) && whole > 0 {
					return all[:whole], nil
				}
				if err != nil {
					return nil, err
				}
				all = append(all, w)
			}
		}
	}
	return all, nil
}

// wave has a side compute a wave.
func (m *waves) wave(ctx context.Context, side waveSide, round, width int) (Wave, error) {
	w, err := side(ctx, round, width)
	if err != nil {
		return w, err
	}
	w.Round = round
	m.say("round %d, %d streams: %s %.1f tokens/s, %.1f while all generate", round, width, w.Side,
		w.tokensPerSecond(), w.Decode)
	return w, nil
}

// work is a wave of requests.
func (m *waves) work(round, width int) load.Work {
	return load.Work{
		Model: servedName, Requests: width, Streams: width,
		PromptTokens: max(1, m.o.PromptTokens-m.special), Tokens: m.o.GenerateTokens,
		Seed: m.o.Seed + uint64(round*1000+width), Sampling: m.o.sampling,
	}
}

// ours sends a wave of requests to a server.
func (m *waves) ours(ctx context.Context, s server, round, width int) (Wave, error) {
	work := m.work(round, width)
	work.URL = s.url
	run, err := load.Send(ctx, work)
	if err != nil {
		return Wave{}, err
	}
	return waveOf(s.side, width, run)
}

// inProcess has package mullama answer a wave of requests.
func (m *waves) inProcess(ctx context.Context, round, width int) (Wave, error) {
	run, err := m.library.send(ctx, m.work(round, width))
	if err != nil {
		return Wave{}, err
	}
	return waveOf("library", width, run)
}

// theirs has llama.cpp alone compute a wave, with or without sampling.
func (m *waves) theirs(sample bool) waveSide {
	return func(_ context.Context, _, width int) (Wave, error) {
		return m.alone.wave(width, sample)
	}
}
