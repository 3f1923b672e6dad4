package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

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
	var out string
	cmd := &cobra.Command{
		Use:   "load --model NAME",
		Short: "Send many requests to a running server and time every token",
		Long: `Send completion requests to a server that speaks OpenAI's protocol (this daemon,
llama-server, Ollama) and print tokens per second, time to the first token, and the gaps between
tokens.

Each of --streams sends its next request when its last is answered; with --rate requests start at
random times instead, whether earlier ones have ended or not.`,
		Example: `  mullama bench load --model smollm2 --streams 8 --requests 64
  mullama bench load --model smollm2 --rate 4 --requests 200 --tokens 32 --json load.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			run, err := load.Send(cmd.Context(), w)
			if err != nil {
				return err
			}
			return writeLoad(cmd.OutOrStdout(), out, loadReport{"load", w, run.Summary(), run})
		},
	}
	f := cmd.Flags()
	f.StringVar(&w.URL, "url", "http://127.0.0.1:11434", "where the server is")
	f.StringVar(&w.Model, "model", "", "name of the model there")
	f.StringVar(&w.Key, "key", "", "API key")
	f.IntVar(&w.Streams, "streams", 1, "requests at once")
	f.Float64Var(&w.Rate, "rate", 0, "requests per second, instead of --streams")
	f.IntVar(&w.Requests, "requests", 16, "requests in all")
	f.IntVar(&w.PromptTokens, "prompt-tokens", 128, "length of the prompts, about")
	f.IntVar(&w.SharedPrompt, "shared-tokens", 0, "how much of the prompts is the same in all")
	f.IntVar(&w.Tokens, "tokens", 128, "length of the answers")
	f.Uint64Var(&w.Seed, "seed", 1, "seed of the prompts and start times")
	samplingFlags(f, &w.Sampling)
	f.StringVar(&out, "json", "", "write all times as JSON to this file, - for standard output")
	if err := cmd.MarkFlagRequired("model"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
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
