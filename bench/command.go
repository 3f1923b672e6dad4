package bench

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// defaultText is what tg, cold and rss continue. The small test models write on for more than 128
// tokens after it.
const defaultText = "Once upon a time, in a small village by the sea, there lived a"

// Folders say where the suite looks for what it needs.
type Folders struct {
	Cache  func() string // with models, as fetched by `make models`, and the callers of overhead
	Models func() string // of the model store; "": the usual one
}

// Command returns `bench`, which runs the groups one after the other, with a sub-command for each,
// one for each other measurement, and what belongs to them.
func Command(folders Folders) *cobra.Command {
	s := &suite{folders: folders, groups: groups(folders)}
	cmd := s.command()
	for i := range s.groups {
		cmd.AddCommand(s.adopt(&s.groups[i]))
	}
	cmd.AddCommand(soakCommand(), oursCommand(), callerCommand(), probeCommand(), envCommand(),
		reportCommand())
	return cmd
}

// options are the throughput command's flags.
type options struct {
	work
	oracle, library string
	json            string
	patience        time.Duration
}

func throughputCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "throughput",
		Short: "Measure generation, prompt, cold start, cost per step and memory",
		Long: `Measure generation (tg), prompt (pp), cold start, our own cost per step and memory
of a model, each beside a C program that calls llama.cpp alone. Both run in turn, in processes of
their own.

Close other programs first: rounds in which they use the CPUs are repeated, and say so.`,
		Example: `  mullama bench throughput --model smollm2.gguf
  mullama bench throughput --model smollm2.gguf --quick --json -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return throughput(cmd, o)
		},
	}
	o.define(cmd)
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", 7, "undisturbed rounds; each starts both programs afresh")
	f.IntVar(&o.Reps, "reps", 3, "repetitions in a process")
	f.IntVar(&o.ColdStarts, "cold-starts", 3, "cold starts per side and round")
	f.IntVar(&o.PromptTokens, "prompt-tokens", 512, "length of the pp prompt")
	f.IntVar(&o.GenerateTokens, "generate-tokens", 128, "tokens of the tg row")
	f.IntVar(&o.Context, "context", 4096, "context size of both sides")
	f.IntVar(&o.Slots, "slots", 1, "sequences of the context on both sides; one is in use")
	f.Float64Var(&o.MaxForeign, "max-foreign", 0.05,
		"share of the CPUs other processes may use in a round that counts")
	f.DurationVar(&o.patience, "patience", 30*time.Second,
		"how long a round waits for other processes to be quiet")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the order of the sides")
	f.StringVar(&o.Text, "text", defaultText, "text that is continued")
	return cmd
}

// define declares the flags of every group that measures beside llama.cpp alone.
func (o *options) define(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", modelUsage)
	f.StringVar(&o.json, "json", "", "write the result as JSON to this file, - for standard output")
	f.IntVar(&o.Threads, "threads", runtime.NumCPU(), "threads of both sides")
	f.StringVar(&o.oracle, "oracle", "",
		"baseline program (default: mullama-oracle beside the library)")
	f.StringVar(&o.library, "library", "", "folder of the native library (default: searched for)")
}

// check refuses numbers that leave nothing to measure.
func (o *options) check() error {
	if lowest := slices.Min([]int{
		o.Rounds, o.Reps, o.ColdStarts, o.PromptTokens, o.GenerateTokens, o.Threads, o.Slots,
	}); lowest < 1 {
		return fmt.Errorf("rounds, reps, cold-starts, tokens, threads and slots must be at least"+
			" 1, not %d", lowest)
	}
	// The text has at most one token per byte, a special token at each end, and one that is
	// sampled.
	most := max(o.PromptTokens+1, len(o.Text)+3+o.GenerateTokens)
	if o.Context < most {
		return fmt.Errorf("the work needs a context of up to %d tokens, not %d: raise --context",
			most, o.Context)
	}
	return nil
}

// engineVersion is what the native library says of its llama.cpp, and of where that is from.
func engineVersion(library string) string {
	rt, err := mullama.Open(mullama.Options{LibraryDir: library})
	if err != nil {
		return unknownEngine
	}
	defer func() { _ = rt.Close() }() // it has no model
	return rt.Engine().Version
}

// write puts the result where the flags say: JSON to a file or standard output, the table to
// standard output unless the JSON is there.
func (o *options) write(out io.Writer, r *Result) error {
	r.boundRatios()
	if r.Versions.Engine == unknownEngine {
		r.Versions.Engine = engineVersion(o.library)
	}
	if o.json != "-" {
		if _, err := io.WriteString(out, table(r)); err != nil {
			return err
		}
	}
	if o.json == "" {
		return nil
	}
	data, err := encode(r)
	if err != nil {
		return err
	}
	if o.json == "-" {
		_, err = out.Write(data)
		return err
	}
	return writeResult(o.json, data)
}
