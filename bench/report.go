package bench

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The lines of docs/benchmarks.md between which the summary and the tables stand.
const (
	summaryBegin = "<!-- Written by `make bench-report` from bench/results: summary. -->"
	summaryEnd   = "<!-- End of the summary. -->"
	reportBegin  = "<!-- Written by `make bench-report` from bench/results. Do not edit. -->"
	reportEnd    = "<!-- End of the report. -->"
)

// Report returns the results as Markdown: a table per result, what falls short, and what to know
// about the run.
func Report(results []*Result) string {
	var b strings.Builder
	for _, r := range results {
		section(&b, r)
	}
	return b.String()
}

func section(b *strings.Builder, r *Result) {
	tables(b, r)
	for _, c := range chartsOf(r) {
		fmt.Fprintf(b, "![%s](%s/%s.svg)\n\n", c.title, plotFolder, c.name)
	}
}

// tables writes a result's tables and what to know about its run.
func tables(b *strings.Builder, r *Result) {
	if r.Soak != nil {
		soakSection(b, r)
		return
	}
	if r.Group == "overhead" {
		overheadSection(b, r)
		return
	}
	fmt.Fprintf(b, "## %s: %s\n\n", r.Group, r.Model.File)
	switch {
	case r.Group == "embedding":
		embeddingTable(b, r)
	case len(r.Points) > 0:
		pointsTables(b, r)
	case manySides(r):
		streamsTable(b, r)
	default:
		rowsTable(b, r)
	}
	fmt.Fprint(b, "\n")
	if slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Goal != nil }) {
		fmt.Fprintf(b, "%s\n\n", shortfalls(r.Rows))
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(b, "Warning: %s.\n\n", w)
	}
	if r.Group == "maxsim" {
		fmt.Fprint(b, "32 query tokens, documents of 128 tokens, 128 numbers each. ")
	} else if r.Model.Parameters > 0 {
		if r.Model.Synthetic {
			b.WriteString("Synthetic weights, exact shape: ")
		}
		fmt.Fprintf(b, "%s, %s, %d million parameters. ", r.Model.Architecture,
			r.Model.Quantization, (r.Model.Parameters+500_000)/1_000_000)
	}
	fmt.Fprintf(b, "%s. %s. ", machineText(r.Machine), versionsText(r))
	if len(r.Rounds) > 0 {
		fmt.Fprintf(b, "Of %d rounds %d counted. ", len(r.Rounds), len(r.counted()))
	}
	b.WriteString(samplesText(r))
	fmt.Fprintf(b, "Command: `%s`.\n\n", again(r))
}

// rowsTable writes a line for each row, with high quantiles if any row has them.
func rowsTable(b *strings.Builder, r *Result) {
	tails := slices.ContainsFunc(r.Rows, func(row Row) bool { return row.P95 != nil })
	high := func(row Row) string {
		if !tails {
			return ""
		}
		return fmt.Sprintf(" %s | %s |", optional(row.P95), optional(row.P99))
	}
	head, rule := "", ""
	if tails {
		head, rule = " p95 | p99 |", "--:|--:|"
	}
	fmt.Fprintf(b, "| quantity | unit | ours | 95 %% |%s llama.cpp alone | ratio | 95 %% |"+
		" goal | |\n|---|---|--:|---|%s--:|--:|---|---|---|\n", head, rule)
	for _, row := range r.Rows {
		fmt.Fprintf(b, "| %s | %s | %s | %s |%s %s | %s | %s | %s | %s |\n", row.Name, row.Unit,
			number(row.Value), medianBounds(row.Samples, r.rounds()), high(row),
			optional(row.Baseline), ratioText(row.Ratio), boundsText(row), goalText(row),
			metText(row))
	}
}

// rounds is how many rounds the rows rest on.
func (r *Result) rounds() int {
	if len(r.Rounds) > 0 {
		return len(r.counted())
	}
	return r.Config.Rounds
}

// samplesText says how many samples a number is the median of, and what those are of.
func samplesText(r *Result) string {
	var samples, times []int
	for _, row := range r.Rows {
		samples = append(samples, len(row.Samples))
	}
	for _, c := range r.Calls {
		times = append(times, c.Count)
	}
	text := fmt.Sprintf("A number is the median of %s samples. ", span(samples))
	if slices.Max(samples) == 1 {
		text = "A number is one sample. "
	}
	if len(times) > 0 {
		text += fmt.Sprintf("A sample that is a quantile is that of %s times. ", span(times))
	}
	return text
}

// span says the least and the greatest of numbers.
func span(numbers []int) string {
	least, most := slices.Min(numbers), slices.Max(numbers)
	if least == most {
		return fmt.Sprint(most)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// counted returns the rounds that are in the medians: those that nobody disturbed, or all where
// these are too few.
func (r *Result) counted() []Round {
	quiet := slices.DeleteFunc(slices.Clone(r.Rounds), func(round Round) bool {
		return round.Foreign > r.Config.MaxForeign
	})
	if len(quiet) < r.Config.Rounds {
		return r.Rounds
	}
	return quiet
}

// shortfalls names the rows that miss their goals, and by how much.
func shortfalls(rows []Row) string {
	var missed []string
	for _, row := range rows {
		if row.Met != nil && !*row.Met {
			missed = append(missed, shortfall(row))
		}
	}
	if len(missed) == 0 {
		return "All goals are met."
	}
	return "Falls short: " + strings.Join(missed, "; ") + "."
}

func shortfall(row Row) string {
	return fmt.Sprintf("%s is %s where the goal is %s", row.Name, judged(row), row.Goal)
}

// judged is the number of a row that its goal limits.
func judged(row Row) string {
	switch row.Goal.Kind {
	case RatioAtLeast, RatioAtMost:
		return ratioText(row.Ratio)
	case DifferenceAtMost:
		return "baseline + " + number(row.Value-*row.Baseline)
	}
	return number(row.Value)
}

func machineText(m Machine) string {
	kind := "machine"
	if m.Virtual {
		kind = "virtual machine"
	}
	gpus := ""
	for _, g := range m.GPUs {
		gpus += fmt.Sprintf("%s with %.0f GiB, ", g.Description, float64(g.MemoryBytes)/(1<<30))
	}
	if m.Driver != "" {
		gpus += "driver " + m.Driver + ", "
	}
	return fmt.Sprintf("A %s with %d cores (%s; %s), %.0f GiB, %s%s kernel %s", kind, m.Cores,
		m.CPU, strings.Join(m.Features, " "), float64(m.MemoryBytes)/(1<<30), gpus, m.OS, m.Kernel)
}

func versionsText(r *Result) string {
	return fmt.Sprintf("%s, %s, %d threads, context %d, %s, %s", r.Versions.Engine,
		r.Versions.Go, r.Config.Threads, r.Config.Context, sequences(r.Config.Slots),
		r.Started.Format("2 January 2006"))
}

func sequences(n int) string {
	if n == 1 {
		return "1 sequence"
	}
	return fmt.Sprintf("%d sequences", n)
}

// errNoMarkers means that a document has no place for the report.
var errNoMarkers = errors.New("the lines that enclose the report are missing")

// Refresh returns the document with what is made of results replaced.
func Refresh(document []byte, p *page) ([]byte, error) {
	document, err := replace(document, reportBegin, reportEnd, Report(p.results))
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(document, []byte(summaryBegin)) {
		return document, nil
	}
	return replace(document, summaryBegin, summaryEnd, summary(p.results)+asked(p.results))
}

// replace puts a text between two lines of a document.
func replace(document []byte, begin, end, text string) ([]byte, error) {
	before, rest, found := bytes.Cut(document, []byte(begin))
	if !found {
		return nil, errNoMarkers
	}
	_, after, found := bytes.Cut(rest, []byte(end))
	if !found {
		return nil, errNoMarkers
	}
	fresh := slices.Clone(before)
	fresh = append(fresh, begin+"\n\n"+text+end...)
	return append(fresh, after...), nil
}

// whole is a page of its own.
func (p *page) whole() string {
	var b strings.Builder
	fmt.Fprint(&b, "# Benchmarks of this machine\n\n")
	if p.suite != nil {
		suiteSection(&b, p.suite)
	}
	b.WriteString(summary(p.results))
	b.WriteString(Report(p.results))
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// suiteSection says what became of each group.
func suiteSection(b *strings.Builder, s *SuiteReport) {
	how := "The full protocol."
	if s.Quick {
		how = "A first look, with few and small works: no result to publish."
	}
	fmt.Fprintf(b, "%s %s. %s, %.0f minutes. Command: `%s`.\n\n", how, machineText(s.Machine),
		s.Started.Format("2 January 2006"), s.Finished.Sub(s.Started).Minutes(), s.Command)
	fmt.Fprint(b, "| group | | seconds |\n|---|---|--:|\n")
	for _, g := range s.Groups {
		state := string(g.State)
		if g.Reason != "" {
			state += ": " + strings.ReplaceAll(g.Reason, "|", "\\|")
		}
		fmt.Fprintf(b, "| %s | %s | %.0f |\n", g.Group, state, g.Seconds)
	}
	fmt.Fprint(b, "\n")
	for _, w := range s.Warnings {
		fmt.Fprintf(b, "Warning: %s.\n\n", w)
	}
}
