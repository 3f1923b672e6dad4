package bench

import (
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/bench/load"
)

func TestTheSummaryCountsWhereWeStand(t *testing.T) {
	wave := func(side string, seconds float64) Wave {
		return Wave{Round: 1, Streams: 8, Side: side, Seconds: seconds, Tokens: 100,
			Load: &load.Summary{}}
	}
	r := testResult()
	r.Group, r.name, r.Rows = "streams", "streams-m-sampled", nil
	r.Waves = []Wave{wave("ours", 1), wave("baseline", 0.5), wave("llama-server", 2),
		wave("ollama", 1.01)}
	got := summary([]*Result{r})
	for _, want := range []string{
		"Of 3 comparisons, each in one run, it is ahead in 1, level in 1 and behind in 1.",
		"| 8 requests at once over HTTP, m.gguf, sampled | ",
		" | llama-server | 2.00 |  | ahead |\n",
		" | Ollama | 1.01 |  | level |\n",
		" | llama.cpp | 0.50 |  | behind |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the summary lacks %q:\n%s", want, got)
		}
	}
}

func TestTheSummaryBoundsWhatThreeRoundsTell(t *testing.T) {
	r := testResult()
	r.Group, r.Rows = "streams", nil
	for round := range 3 {
		seconds := map[string]float64{"ours": 1, "llama-server": 2 + float64(round)}
		for side, seconds := range seconds {
			r.Waves = append(r.Waves, Wave{Round: round + 1, Streams: 8, Side: side,
				Seconds: seconds, Tokens: 100, Load: &load.Summary{}})
		}
	}
	if got := summary([]*Result{r}); !strings.Contains(got, "| 3.00 | 2.00 to 4.00 | ahead |") {
		t.Errorf("the summary lacks bounds:\n%s", got)
	}
}

func TestRatiosOfThreeRoundsHaveBounds(t *testing.T) {
	r := testResult()
	r.Config.Rounds = 3
	r.Rows = []Row{{Name: "a", Samples: []float64{1, 2, 3}, BaselineSamples: []float64{1, 1, 1}},
		{Name: "several a round", Samples: []float64{1, 2, 3, 4},
			BaselineSamples: []float64{1, 1, 1, 1}}}
	for i := range r.Rows {
		r.Rows[i].compare()
	}
	r.boundRatios()
	if low, high := r.Rows[0].RatioLow, r.Rows[0].RatioHigh; low == nil || *low != 1 || *high != 3 {
		t.Errorf("the bounds are %v and %v", low, high)
	}
	if r.Rows[1].RatioLow != nil {
		t.Error("samples of the same rounds were taken for rounds")
	}
}

func TestTheSummaryNamesMissedGoals(t *testing.T) {
	r := testResult()
	if got := summary([]*Result{r}); !strings.Contains(got,
		"- throughput, m.gguf, ") || !strings.Contains(got, ": `pp512` 0.960 (ratio ≥ 0.98).") {
		t.Errorf("the summary is\n%s", got)
	}
	r.Rows = r.Rows[:1]
	if got := summary([]*Result{r}); !strings.HasSuffix(got, "All 1 goals are met.\n\n") {
		t.Errorf("the summary is\n%s", got)
	}
}

func TestAskedTablesSayWhatIsNotMeasured(t *testing.T) {
	g := askedStreaming(nil)
	if len(g.rows) != 4 || !slices.Contains(g.rows[0], notThere) {
		t.Fatalf("the rows are %v", g.rows)
	}
	var b strings.Builder
	g.write(&b)
	want := "`mullama bench streaming --model FILE` measures it anew, and what is not measured."
	if !strings.Contains(b.String(), want) {
		t.Errorf("the table does not say what fills it:\n%s", b.String())
	}
	r := testResult()
	r.Group, r.name, r.Rows = "streaming", "streaming-m", nil
	for _, way := range streamingWays {
		r.Points = append(r.Points, Point{Round: 1, Case: way.name, Values: map[string]float64{
			"gap_p50_ms": 1, "gap_p95_ms": 2, "gap_p99_ms": 3, "jitter_ms": 0.5}})
	}
	r.Rows = pointRows("streaming", r.Points)
	b.Reset()
	askedStreaming(archive{r}).write(&b)
	if got := b.String(); strings.Contains(got, notThere) ||
		!strings.Contains(got, "| WebSocket | 1.00 | 2.00 | 3.00 | 0.500 |\n") {
		t.Errorf("the table is\n%s", got)
	}
}

func TestHighQuantilesNeedEnoughTimes(t *testing.T) {
	for n, want := range map[int][2]bool{19: {}, 20: {true, false}, 100: {true, true}} {
		r := Row{Unit: "ms", Samples: make([]float64, n)}
		r.compare()
		if got := [2]bool{r.P95 != nil, r.P99 != nil}; got != want {
			t.Errorf("%d samples: %v, want %v", n, got, want)
		}
	}
	r := Row{Unit: "tokens/s", Samples: make([]float64, 100)}
	if r.compare(); r.P95 != nil {
		t.Error("a speed has a high quantile")
	}
}

func TestTheSummaryHasALineForEachRival(t *testing.T) {
	all := []standing{
		{what: "a", where: "2 cores", other: "B", times: 0.5},
		{what: "b", where: "2 cores", other: "B", times: 1},
		{what: "c", where: "2 cores", other: "C", times: 3},
		standing{what: "d", where: "2 cores", other: "C", times: 1.2}.bounded(0.9, 1.4),
	}
	want := [][]string{
		{"C", "1", "1", "0", "1.20", "2.10", "3.00", "d, 2 cores"},
		{"B", "0", "1", "1", "0.50", "0.75", "1.00", "a, 2 cores"},
	}
	if got := rivals(all).rows; !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the rivals are %v, want %v", got, want)
	}
}

func TestMediansHaveBoundsFromThreeRoundsOn(t *testing.T) {
	samples := []float64{1, 2, 3, 4, 5, 6}
	for rounds, want := range map[int]string{0: "–", 2: "–", 3: "1.50 to 5.50", 4: "–"} {
		if got := medianBounds(samples, rounds); got != want {
			t.Errorf("of %d rounds: %q, want %q", rounds, got, want)
		}
	}
}

func TestATableNamesWhatFillsIt(t *testing.T) {
	g := &grid{head: []string{"a"}, with: "kv", fill: "`mullama bench kv`."}
	g.add(notThere)
	var b strings.Builder
	g.write(&b)
	if !strings.Contains(b.String(), "What is not measured: `mullama bench kv`.") {
		t.Errorf("the table is\n%s", b.String())
	}
}

func TestAReportSaysHowManySamplesANumberRestsOn(t *testing.T) {
	r := testResult()
	r.Rows = []Row{{Samples: []float64{1}}, {Samples: make([]float64, 20)}}
	r.Calls = []Calls{{Count: 127}, {Count: 10_000}}
	want := "A number is the median of 1 to 20 samples. A sample that is a quantile is that of " +
		"127 to 10000 times. "
	if got := samplesText(r); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestSyntheticModelsAreCalledSo(t *testing.T) {
	r := testResult()
	r.Model.Synthetic = true
	const want = "Synthetic weights, exact shape: llama, Q4_1, 135 million parameters."
	if got := Report([]*Result{r}); !strings.Contains(got, want) {
		t.Errorf("the report lacks %q:\n%s", want, got)
	}
	var b strings.Builder
	askedMemory(nil).write(&b)
	if !strings.Contains(b.String(), "Synthetic weights, exact shapes. A context of") {
		t.Errorf("the table is\n%s", b.String())
	}
}
