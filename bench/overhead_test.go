package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/testmodels"
)

// callersThat fills a folder with a program for each language, a shell script.
func callersThat(t *testing.T, script string) *callMeter {
	t.Helper()
	dir := t.TempDir()
	for _, side := range overheadSides {
		text := []byte("#!/bin/sh\n" + script + "\n")
		if err := os.WriteFile(filepath.Join(dir, side), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &callMeter{o: overheadOptions{callers: dir}, model: "m.gguf"}
}

// doAll has some sides do all they do.
func (m *callMeter) doAll(t *testing.T, sides ...string) {
	t.Helper()
	for _, side := range sides {
		for _, work := range overheadWorks {
			if !does(side, work) {
				continue
			}
			if err := m.run(t.Context(), 1, side, work); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const callerLines = `
case $* in
"calls m.gguf") echo '{"noop":[300,100,200],"tokenize":[5000,1000]}' ;;
delays) echo '{"delay":[9000]}' ;;
"stream m.gguf") echo '{"tokens":[256,256],"seconds":[1,2]}' ;;
"concurrent m.gguf") echo '{"tokens":[1024],"seconds":[4]}' ;;
esac`

func TestWhatCallersPrintBecomesRows(t *testing.T) {
	m := callersThat(t, callerLines)
	m.doAll(t, "floor", "c")
	m.paces = append(m.paces, Pace{1, "go", "stream", 256, 1})
	got := map[string]string{}
	for _, r := range overheadRows(m.calls, m.paces) {
		got[r.Name] = fmt.Sprint(number(r.Value), " ", ratioText(r.Ratio), " ", metText(r))
	}
	for name, want := range map[string]string{
		"floor_noop_p50": "0.200 – ", "c_noop_p50": "0.200 1.000 short",
		"c_noop_p99": "0.298 1.490 met", "c_tokenize_p95": "4.80 – ",
		"c_delay_p50": "9.00 1.000 met", "go_stream": "256 – ",
		"c_stream": "192 0.750 short", "c_concurrent": "256 – short",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if _, ok := got["floor_stream"]; ok {
		t.Error("the floor has a row for answers, which it does not give")
	}
}

func TestACallerThatFailsIsNamed(t *testing.T) {
	for script, want := range map[string]string{
		"echo no model >&2; exit 1": "calls of php: exit status 1: no model",
		"echo hello":                `calls of php printed "hello`,
	} {
		err := callersThat(t, script).run(t.Context(), 1, "php", "calls")
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: the error is %v, want %s", script, err, want)
		}
	}
	empty := &callMeter{o: overheadOptions{callers: t.TempDir()}}
	err := empty.run(t.Context(), 1, "rust", "calls")
	if err == nil || !strings.Contains(err.Error(), "bench/callers/build.sh") {
		t.Errorf("the error is %v", err)
	}
}

func TestTheReportHasALineForEachLanguage(t *testing.T) {
	r := testResult()
	m := callersThat(t, callerLines)
	m.doAll(t, "floor", "c", "php")
	r.Group, r.Calls, r.Paces = "overhead", m.calls, m.paces
	r.Rows = overheadRows(m.calls, m.paces)
	report := Report([]*Result{r})
	for _, want := range []string{
		"| native engine from C | 0.200 | 0.290 | 0.298 | – | 3.00 | 4.80 | 4.96 | – |\n",
		"| PHP | 0.200 | 0.290 | 0.298 | ≤ 1, met | 3.00 | 4.80 | 4.96 | ≤ 2, short |\n",
		"| PHP | 9.00 | 9.00 | 9.00 | baseline + 20, met | 192 | – | ratio ≥ 0.98, short |",
		"php_tokenize_p50 is 3.00 where the goal is ≤ 2",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, data); err != nil {
		t.Error(err)
	}
}

func TestTheCallerInGoDoesItsWork(t *testing.T) {
	var out bytes.Buffer
	if err := call(t.Context(), &out, "calls", testmodels.Path(t, "smollm2")); err != nil {
		t.Fatal(err)
	}
	var r callerResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Noop) != callerSamples || len(r.Tokenize) != callerSamples {
		t.Errorf("it has %d and %d samples, want %d", len(r.Noop), len(r.Tokenize),
			callerSamples)
	}
	if err := call(t.Context(), &out, "warp", "m.gguf"); err == nil {
		t.Error("other work was taken")
	}
}
