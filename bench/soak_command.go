package bench

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama/bench/soak"
)

// soakCommand builds `bench soak`.
func soakCommand() *cobra.Command {
	var w soak.Work
	var o options
	cmd := &cobra.Command{
		Use:   "soak --models NAMES",
		Short: "Keep a running daemon busy with good and bad requests; find what it loses",
		Long: `Send requests of all kinds to a running daemon for a given time: chats and
completions of each API, conversations, long prompts, broken and half requests, clients that are
slow or leave, models that load and unload. Print for each kind how many there were, how many did
not end as they must, and their times.

Before and after, models are unloaded, and the daemon's goroutines, files, memory and slots counted.
The exit code is not 0 when a request was lost or something leaked.

The daemon should have nothing else to do.`,
		Example: `  mullama bench soak --models smollm2,gemma3 --duration 5m
  mullama bench soak --models smollm2 --url http://127.0.0.1:8080 --clients 8 --json soak.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSoak(cmd, &o, w) },
	}
	f := cmd.Flags()
	f.StringVar(&w.URL, "url", "http://127.0.0.1:11434", "where the daemon is")
	f.StringSliceVar(&w.Models, "models", nil, "names of models there; two or more are best")
	f.StringVar(&w.Key, "key", "", "API key")
	f.DurationVar(&w.Duration, "duration", 20*time.Minute, "how long clients send requests")
	f.IntVar(&w.Clients, "clients", 64, "clients at once")
	f.Uint64Var(&w.Seed, "seed", 1, "seed of what the clients send")
	f.DurationVar(&w.Limit, "limit", 5*time.Minute,
		"how long one request may take, with its retries")
	f.DurationVar(&w.Settle, "settle", 30*time.Second,
		"how long the daemon may take to become idle at the end")
	f.StringVar(&o.json, "json", "", "write the result as JSON to this file, - for standard output")
	if err := cmd.MarkFlagRequired("models"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// runSoak does the run, writes its result, and fails when the daemon did.
func runSoak(cmd *cobra.Command, o *options, w soak.Work) error {
	w.Say = func(format string, args ...any) {
		fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
	}
	result := newResult("soak", soakLine(w), ModelFile{}, Config{})
	info, err := soak.Describe(cmd.Context(), w)
	if err != nil {
		return err
	}
	report, err := soak.Run(cmd.Context(), w)
	if err != nil {
		return err
	}
	result.Finished, result.Soak = time.Now().UTC(), report
	result.describe(info, w)
	result.Rows = soakRows(report)
	if err := o.write(cmd.OutOrStdout(), result); err != nil {
		return err
	}
	return report.Err()
}

// describe fills in what the daemon tells of itself, and what only other groups have.
func (r *Result) describe(info *soak.Info, w soak.Work) {
	r.Model = ModelFile{File: info.Model, SHA256: info.Digest, SizeBytes: info.Size,
		Architecture: info.Family, Quantization: info.Quantization}
	r.Versions = Versions{Mullama: info.Version, Engine: "llama.cpp", Baseline: "none",
		Go: runtime.Version()}
	r.Config = Config{Threads: runtime.NumCPU(), Context: 1, Slots: 1, PromptTokens: 1,
		GenerateTokens: 1, Reps: 1, ColdStarts: 1, Rounds: 1, MaxForeign: 1, Seed: w.Seed}
}

// soakLine is the call without the address, which says nothing to others.
func soakLine(w soak.Work) string {
	return fmt.Sprintf("mullama bench soak --models %s --duration %s --clients %d --seed %d",
		strings.ReplaceAll(strings.Join(w.Models, ","), "/", "_"), w.Duration, w.Clients, w.Seed)
}

// soakRows are the figures of a run that have goals, and those that others are compared by.
func soakRows(r *soak.Report) []Row {
	rows := []Row{
		{Name: "requests", Unit: "", Value: float64(r.Requests)},
		{Name: "lost", Unit: "requests", Value: float64(r.Lost), Goal: &Goal{ValueAtMost, 0}},
	}
	for _, l := range r.Leaks {
		name := "leaked_" + strings.ReplaceAll(strings.ToLower(l.What), " ", "_")
		rows = append(rows, Row{Name: name, Value: l.Left, Goal: &Goal{ValueAtMost, l.Allowed}})
	}
	for _, k := range r.Kinds {
		if k.First != nil && k.Name == "openai_chat" {
			rows = append(rows, Row{Name: "chat_ttft_p50", Unit: "ms", Value: k.First.P50},
				Row{Name: "chat_ttft_p99", Unit: "ms", Value: k.First.P99})
		}
	}
	for i := range rows {
		row := &rows[i]
		row.Samples = []float64{row.Value}
		if row.Goal != nil {
			row.Met = new(row.Goal.met(*row))
		}
	}
	return rows
}

// soakCells are the cells of a kind of requests in a table.
func soakCells(k soak.Kind) []string {
	cells := []string{k.Name, strconv.Itoa(k.Count), strconv.Itoa(k.Lost), strconv.Itoa(k.Retries),
		number(k.Whole.P50), number(k.Whole.P95), number(k.Whole.P99), "–", "–", "–", "–"}
	if k.First != nil {
		cells[7], cells[8] = number(k.First.P50), number(k.First.P95)
	}
	if k.Gap != nil {
		cells[9], cells[10] = number(k.Gap.P50), number(k.Gap.P99)
	}
	return cells
}

// soakTable prints the kinds of requests and what was wrong.
func soakTable(out io.Writer, r *soak.Report) error {
	w := newTable(out)
	fmt.Fprintln(w, "ms\trequests\tlost\tretries\tp50\tp95\tp99\tttft p50\tp95\tgap p50\tp99\t")
	for _, k := range r.Kinds {
		fmt.Fprintln(w, strings.Join(soakCells(k), "\t")+"\t")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range r.Losses {
		fmt.Fprintf(out, "lost: %s (%d, first at %.1f s, %s): %s\n", l.Kind, l.Count, l.Seconds,
			l.Model, l.Message)
	}
	_, err := fmt.Fprintln(out)
	return err
}

// soakSection is the part of the report about a soak.
func soakSection(b *strings.Builder, r *Result) {
	k := r.Soak
	fmt.Fprintf(b, "## soak: %s\n\n", strings.Join(k.Models, ", "))
	fmt.Fprintf(b, "%d clients, %s, %d requests, %d lost.\n\n", k.Clients, k.Duration, k.Requests,
		k.Lost)
	fmt.Fprint(b, "| left at the end | more than before | allowed | |\n|---|--:|--:|---|\n")
	for _, l := range k.Leaks {
		met := l.Left <= l.Allowed
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", l.What, number(l.Left), number(l.Allowed),
			metText(Row{Met: &met}))
	}
	fmt.Fprint(b, "\n| kind | requests | lost | sent again | p50 ms | p95 | p99 "+
		"| first token p50 ms | p95 | gap p50 ms | p99 |\n"+
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, kind := range k.Kinds {
		fmt.Fprintf(b, "| %s |\n", strings.Join(soakCells(kind), " | "))
	}
	fmt.Fprintf(b, "\n%s, %s, %s. Command: `%s`.\n\n", machineText(r.Machine), r.Versions.Go,
		r.Started.Format("2 January 2006"), r.Command)
}
