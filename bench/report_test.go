package bench

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testResult is a whole result, as a run leaves it.
func testResult() *Result {
	m := &meter{work: testWork()}
	r := &Result{
		Schema: SchemaVersion, Group: "throughput",
		Command:  "mullama bench throughput --model m.gguf",
		Started:  time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		Finished: time.Date(2026, 3, 4, 5, 9, 7, 0, time.UTC),
		Model: ModelFile{
			File: "m.gguf", SHA256: strings.Repeat("ab", 32), SizeBytes: 10, Architecture: "llama",
			Quantization: "Q4_1", Parameters: 134_515_008,
		},
		Config: m.work.Config, Machine: readMachine(testRoot()), Rounds: testRounds(),
	}
	r.Config.Rounds, m.work.Rounds = 1, 1
	m.conclude(r)
	return r
}

func TestReportNamesWhatFallsShort(t *testing.T) {
	got := Report([]*Result{testResult()})
	for _, want := range []string{
		"## throughput: m.gguf\n",
		"| tg128 | tokens/s | 99.0 | – | 100 | 0.990 | – | ratio ≥ 0.98 | met |\n",
		"| pp512 | tokens/s | 480 | – | 500 | 0.960 | – | ratio ≥ 0.98 | short |\n",
		"| step_overhead_us | us | 10.0 | – | 8.00 | 1.250 | – | ≤ 15 | met |\n",
		"Falls short: pp512 is 0.960 where the goal is ratio ≥ 0.98.\n",
		"llama, Q4_1, 135 million parameters.",
		"A virtual machine with ",
		"Of 1 rounds 1 counted. A number is one sample. ",
		"Command: `mullama bench throughput --model m.gguf`.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
}

func TestReportNamesADifferenceThatFallsShort(t *testing.T) {
	r := testResult()
	row := &r.Rows[4]
	row.Value, row.Met = *row.Baseline+40, new(false)
	want := "rss_mb is baseline + 40.0 where the goal is baseline + 25"
	if got := shortfall(*row); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReportSaysWhenAllGoalsAreMet(t *testing.T) {
	if got := shortfalls(testResult().Rows[:1]); got != "All goals are met." {
		t.Errorf("got %q", got)
	}
}

func TestReportPassesWarningsOn(t *testing.T) {
	r := testResult()
	r.Warnings = []string{"the machine was busy"}
	if got := Report([]*Result{r}); !strings.Contains(got, "Warning: the machine was busy.\n") {
		t.Errorf("the warning is missing:\n%s", got)
	}
}

func TestTableIsAligned(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(table(testResult()), "\n"), "\n")
	if len(lines) != 7 {
		t.Fatalf("%d lines, want 7", len(lines))
	}
	if !strings.Contains(lines[1], "tg128 (tokens/s)") || !strings.Contains(lines[2], "short") {
		t.Errorf("table is\n%s", strings.Join(lines, "\n"))
	}
	for _, line := range lines {
		if len([]rune(line)) != len([]rune(lines[0])) {
			t.Errorf("line %q is not as long as %q", line, lines[0])
		}
	}
}

func TestRefreshReplacesTheReportAlone(t *testing.T) {
	p := &page{results: []*Result{testResult()}}
	document := []byte("# Title\n\n" + summaryBegin + "\nold\n" + summaryEnd + "\nbetween\n" +
		reportBegin + "\nold\n" + reportEnd + "\nend\n")
	fresh, err := Refresh(document, p)
	if err != nil {
		t.Fatal(err)
	}
	want := "# Title\n\n" + summaryBegin + "\n\n" + summary(p.results) +
		asked(p.results) + summaryEnd +
		"\nbetween\n" + reportBegin + "\n\n" + Report(p.results) + reportEnd + "\nend\n"
	if string(fresh) != want {
		t.Errorf("got %q, want %q", fresh, want)
	}
	if again, err := Refresh(fresh, p); err != nil || !bytes.Equal(again, fresh) {
		t.Errorf("a second refresh gave %q (%v)", again, err)
	}
}

func TestRefreshNeedsAPlaceForTheReport(t *testing.T) {
	for _, document := range []string{"", reportBegin, reportEnd} {
		if _, err := Refresh([]byte(document), &page{}); !errors.Is(err, errNoMarkers) {
			t.Errorf("%q: error is %v", document, err)
		}
	}
}

func TestResultsOfAnotherSchemaAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"new": `{"schema": 999}`, "broken": `{`} {
		path := filepath.Join(dir, "r.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadResults(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestBenchmarksPageAndItsPlotsAreFresh(t *testing.T) {
	p, err := readPage([]string{"results"})
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join("..", "docs", "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := Refresh(document, p)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fresh, document) {
		t.Error("docs/benchmarks.md is older than bench/results: run 'make bench-report'")
	}
	folder := filepath.Join("..", "docs", plotFolder)
	for _, plot := range p.plots {
		drawn, err := os.ReadFile(filepath.Join(folder, plot.name+".svg"))
		if err != nil || !bytes.Equal(drawn, plot.svg) {
			t.Errorf("the plot %s is missing or older than bench/results: run 'make bench-report'",
				plot.name)
		}
	}
	there, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(there) != len(p.plots) {
		t.Errorf("%s has %d files, but there are %d plots (%v)", folder, len(there), len(p.plots),
			err)
	}
}
