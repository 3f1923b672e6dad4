package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama/bench/load"
)

// loadReport is what `bench load` writes as JSON.
type loadReport struct {
	Group   string       `json:"group"`
	Work    load.Work    `json:"work"`
	Summary load.Summary `json:"summary"`
	Run     *load.Run    `json:"run,omitempty"`
}

// loadCommand builds `bench load`.
func loadCommand() *cobra.Command {
	var w load.Work
	var o options
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Send many requests to a server and time every token",
		Long: `Send completion requests to a server that speaks OpenAI's protocol (this daemon,
llama-server, Ollama) and print tokens per second, time to the first token, and the gaps between
tokens. With --url the server runs there and knows the model by its name; without, a daemon is
started for the model, with as many slots as --streams.

Each of --streams sends its next request when its last is answered; with --rate requests start at
random times instead, whether earlier ones have ended or not.`,
		Example: `  mullama bench load --model smollm2.gguf --streams 8 --requests 64
  mullama bench load --url http://127.0.0.1:11434 --model smollm2 --rate 4 --json load.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if w.URL == "" {
				return loadOwn(cmd, o, w)
			}
			if w.Model = o.model; w.Model == "" {
				return errors.New("--model is missing: name a model of the server")
			}
			run, err := load.Send(cmd.Context(), w)
			if err != nil {
				return err
			}
			return writeLoad(cmd.OutOrStdout(), o.json, loadReport{"load", w, run.Summary(), run})
		},
	}
	f := cmd.Flags()
	f.StringVar(&w.URL, "url", "", "where a server runs; without, a daemon is started")
	f.StringVar(&o.model, "model", "", "model, as for the other groups; with --url its name there")
	f.IntVar(&o.Threads, "threads", runtime.NumCPU(), "threads of the daemon that is started")
	f.StringVar(&o.library, "library", "", "folder of the native library (default: searched for)")
	f.StringVar(&w.Key, "key", "", "API key")
	f.IntVar(&w.Streams, "streams", 8, "requests at once")
	f.Float64Var(&w.Rate, "rate", 0, "requests per second, instead of --streams")
	f.IntVar(&w.Requests, "requests", 128, "requests in all")
	f.IntVar(&w.PromptTokens, "prompt-tokens", 128, "length of the prompts, about")
	f.IntVar(&w.SharedPrompt, "shared-tokens", 0, "how much of the prompts is the same in all")
	f.IntVar(&w.Tokens, "tokens", 128, "length of the answers")
	f.Uint64Var(&w.Seed, "seed", 1, "seed of the prompts and start times")
	samplingFlags(f, &w.Sampling)
	f.StringVar(&o.json, "json", "", "write all times as JSON to this file, - for standard output")
	return cmd
}

// loadOwn measures a daemon that it starts.
func loadOwn(cmd *cobra.Command, o options, w load.Work) (err error) {
	o.Slots, o.Context = max(1, w.Streams), w.PromptTokens+w.Tokens+64
	o.Reps, o.ColdStarts, o.MaxForeign, o.Rounds, o.Text = 1, 1, 1, 1, "x"
	o.PromptTokens, o.GenerateTokens, o.Seed = w.PromptTokens, w.Tokens, w.Seed
	p, err := newProbes(cmd, "load", o)
	if err != nil {
		return err
	}
	served := streamOptions{options: o}
	work, err := served.serving()
	if err != nil {
		return err
	}
	daemon, err := startDaemon(cmd.Context(), work, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.stop()) }()
	w.URL, w.Model = daemon.url, servedName
	warm := w
	warm.Requests, warm.Rate, warm.Seed = w.Streams, 0, w.Seed+1
	if _, err := answered(cmd.Context(), warm); err != nil {
		return err
	}
	run, err := load.Send(cmd.Context(), w)
	if err != nil {
		return err
	}
	wave, err := waveOf("ours", w.Streams, run)
	if err != nil {
		return err
	}
	wave.Round = 1
	p.result.Waves, p.result.Finished = []Wave{wave}, time.Now().UTC()
	p.result.Rows = loadRows(run)
	return o.write(cmd.OutOrStdout(), p.result)
}

// loadRows are the speed of a run, and the times of its answers, each with its samples.
func loadRows(run *load.Run) []Row {
	var first, gaps, whole []float64
	for _, a := range run.Answers {
		whole = append(whole, 1e3*(a.End-a.Start))
		for i, at := range a.Times {
			if i == 0 {
				first = append(first, 1e3*(at-a.Start))
			} else {
				gaps = append(gaps, 1e3*(at-a.Times[i-1]))
			}
		}
	}
	rows := []Row{
		{Name: "tokens_per_s", Unit: "tokens/s",
			Samples: []float64{run.Summary().TokensPerSecond}},
		{Name: "ttft", Unit: "ms", Samples: first},
		{Name: "gap", Unit: "ms", Samples: gaps},
		{Name: "answer", Unit: "ms", Samples: whole},
	}
	for i := range rows {
		rows[i].compare()
	}
	return rows
}

// samplingFlags declares how servers are asked to choose tokens.
func samplingFlags(f *pflag.FlagSet, s *load.Sampling) {
	f.Float64Var(&s.Temperature, "temperature", 0, "of the sampling; 0: always the likeliest token")
	f.IntVar(&s.TopK, "top-k", 40, "how many tokens the sampling chooses from")
	f.Float64Var(&s.TopP, "top-p", 0.9, "probability of the tokens that the sampling chooses from")
}

// writeLoad prints the summary, or writes everything as JSON.
func writeLoad(w io.Writer, path string, r loadReport) error {
	if path == "-" {
		return json.NewEncoder(w).Encode(r)
	}
	printLoad(w, r.Summary)
	if path == "" {
		return nil
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

func printLoad(out io.Writer, s load.Summary) {
	w := newTable(out)
	fmt.Fprintf(w, "requests\t%d\t, %d failed\t\t\n", s.Requests, s.Failed)
	fmt.Fprintf(w, "tokens/s\t%s\t\t\t\n", number(s.TokensPerSecond))
	fmt.Fprintf(w, "ms\tp50\tp95\tp99\tmost\n")
	for _, row := range []struct {
		name string
		load.Spread
	}{{"first token", s.FirstToken}, {"gap", s.Gap}, {"answer", s.Whole}} {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", row.name, number(row.P50), number(row.P95),
			number(row.P99), number(row.Max))
	}
	_ = w.Flush()
	if s.Failed > 0 {
		fmt.Fprintf(out, "first error: %s\n", s.FirstError)
	}
}
