package bench

import (
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/bench/load"
	"github.com/mullama/mullama/internal/testmodels"
)

func TestWavesBecomeRowsForEveryServer(t *testing.T) {
	wave := func(side string, width int, seconds float64) Wave {
		return Wave{Round: 1, Streams: width, Side: side, Seconds: seconds, Tokens: 100,
			Load: &load.Summary{FirstToken: load.Spread{P50: 5}, Gap: load.Spread{P99: 7}}}
	}
	rows := waveRows([]int{1, 8}, []Wave{
		wave("ours", 1, 1), wave("baseline", 1, 0.96), wave("llama-server", 1, 2),
		wave("ours", 8, 1), wave("baseline", 8, 0.5), wave("llama-server", 8, 4),
	})
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
	}
	want := []string{
		"streams_1", "streams_1_ttft_p50", "streams_1_gap_p99",
		"streams_1_llama_server", "streams_1_llama_server_ttft_p50",
		"streams_1_llama_server_gap_p99",
		"streams_8", "streams_8_ttft_p50", "streams_8_gap_p99",
		"streams_8_llama_server", "streams_8_llama_server_ttft_p50",
		"streams_8_llama_server_gap_p99",
	}
	if !slices.Equal(names, want) {
		t.Fatalf("rows %v, want %v", names, want)
	}
	if r := rows[0]; *r.Ratio != 0.96 || r.Goal.Limit != 0.97 || *r.Met {
		t.Errorf("one stream: %+v", r)
	}
	if r := rows[9]; r.Value != 25 || *r.Ratio != 0.125 || r.Goal != nil || r.Met != nil {
		t.Errorf("the peer's eight streams: %+v", r)
	}
	if rows[1].Value != 5 || rows[2].Value != 7 {
		t.Errorf("what a client feels: %+v, %+v", rows[1], rows[2])
	}
}

func TestEveryMeasureOfLlamaAloneHasItsRow(t *testing.T) {
	wave := func(side string, seconds, decode float64) Wave {
		return Wave{Round: 1, Streams: 64, Side: side, Seconds: seconds, Tokens: 1000,
			Decode: decode, Load: &load.Summary{}}
	}
	rows := map[string]Row{}
	for _, r := range waveRows([]int{64}, []Wave{
		wave("ours", 1, 1200), wave("library", 0.8, 1300), wave("baseline", 2, 800),
		wave("unsampled", 1, 2000),
	}) {
		rows[r.Name] = r
	}
	for name, want := range map[string]float64{
		"streams_64":                           1000.0 / 500,
		"streams_64_ceiling":                   1000.0 / 800,
		"streams_64_decode":                    1200.0 / 800,
		"streams_64_unsampled":                 1000.0 / 1000,
		"streams_64_unsampled_ceiling":         1000.0 / 2000,
		"streams_64_unsampled_decode":          1200.0 / 2000,
		"streams_64_library":                   1250.0 / 500,
		"streams_64_library_unsampled_ceiling": 1250.0 / 2000,
		"streams_64_library_over_http":         1250.0 / 1000,
	} {
		if r, ok := rows[name]; !ok || !near(*r.Ratio, want) {
			t.Errorf("%s is %+v, want the ratio %v", name, r, want)
		}
	}
	for name, want := range map[string]float64{
		"streams_64": 0.9, "streams_64_unsampled": 0.9, "streams_64_library_over_http": 1,
	} {
		if r := rows[name]; r.Goal == nil || r.Goal.Limit != want || !*r.Met {
			t.Errorf("%s is %+v, want the goal %v, met", name, r, want)
		}
	}
}

func TestAReportShowsManySidesBesideEachOther(t *testing.T) {
	r := testResult()
	r.Rounds = nil
	for _, w := range []Wave{
		{Side: "ours", Seconds: 1, Decode: 1200, Load: &load.Summary{
			FirstToken: load.Spread{P50: 5}, Gap: load.Spread{P99: 7}}},
		{Side: "unsampled", Seconds: 0.8, Decode: 2000},
		{Side: "baseline", Seconds: 2, Decode: 800},
	} {
		w.Round, w.Streams, w.Tokens = 1, 64, 1000
		r.Waves = append(r.Waves, w)
	}
	got := Report([]*Result{r})
	want := "" +
		"| 64 | llama.cpp, no sampling | 1250 | 2.500 | 1.000 | 2000 | 2.500 | 1.000 | – | – |\n" +
		"| 64 | llama.cpp | 500 | 1.000 | 0.400 | 800 | 1.000 | 0.400 | – | – |\n" +
		"| 64 | Mullama over HTTP | 1000 | 2.000 | 0.800 | 1200 | 1.500 | 0.600 | 5.00 | 7.00 |\n"
	if !strings.Contains(got, want) || strings.Contains(got, "| quantity |") {
		t.Errorf("the report is\n%s", got)
	}
}

func TestLlamaAloneComputesAWaveForEachOrder(t *testing.T) {
	a, err := startAlone(t.Context(), fakeProgram(t, "waves"), "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		streams int
		sample  bool
		want    Wave
	}{
		{4, true, Wave{Streams: 4, Side: "baseline", Seconds: 3, Tokens: 44, PromptSeconds: 1,
			GenerateSeconds: 2, Decode: 20}},
		{8, false, Wave{Streams: 8, Side: "unsampled", Seconds: 3, Tokens: 88, PromptSeconds: 1,
			GenerateSeconds: 2, Decode: 40}},
	} {
		if got, err := a.wave(tt.streams, tt.sample); err != nil || got != tt.want {
			t.Errorf("%+v (%v), want %+v", got, err, tt.want)
		}
	}
	if a.header.Engine != "llama.cpp 1" {
		t.Errorf("the header is %+v", a.header)
	}
	if err := a.stop(); err != nil {
		t.Error(err)
	}
}

func TestLlamaAloneSaysWhyItEnded(t *testing.T) {
	_, err := startAlone(t.Context(), fakeProgram(t, "broken"), "m.gguf")
	if err == nil || !strings.Contains(err.Error(), "the model has no weights") {
		t.Errorf("error is %v", err)
	}
	a, err := startAlone(t.Context(), fakeProgram(t, "waves"), "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.wave(300, true)
	if err == nil || !strings.Contains(err.Error(), "300 are too many") {
		t.Errorf("error is %v", err)
	}
	if err := a.stop(); err != nil {
		t.Errorf("stopping what has ended: %v", err)
	}
}

func TestSizesAndSamplingReachEverySide(t *testing.T) {
	o := streamOptions{batch: 1024, ubatch: 256,
		sampling: load.Sampling{Temperature: 0.8, TopK: 40, TopP: 0.9}}
	words := o.alone()
	for _, want := range []string{"batch=1024", "ubatch=256", "temp=0.8", "top_k=40", "top_p=0.9"} {
		if !slices.Contains(words, want) {
			t.Errorf("%q lacks %s", words, want)
		}
	}
	work, err := o.serving()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"--batch-size", "1024", "--ubatch-size", "256"}
	if got := work.batches(); !slices.Equal(got, want) {
		t.Errorf("flags of servers %q, want %q", got, want)
	}
	if got := (serving{}).batches(); got != nil {
		t.Errorf("flags %q for a server's own sizes", got)
	}
}

func TestTheLibraryAnswersAWaveAsAServerDoes(t *testing.T) {
	p, err := openInProcess(t.Context(), serving{
		model: testmodels.Path(t, "smollm2"), slots: 2, context: 64, threads: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	run, err := p.send(t.Context(), load.Work{Requests: 2, PromptTokens: 8, Tokens: 6, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	w, err := waveOf("library", 2, run)
	if err != nil {
		t.Fatal(err)
	}
	if w.Tokens != 12 || w.Load.PromptTokens < 16 || w.Load.CachedTokens != 0 || w.Seconds <= 0 {
		t.Errorf("the wave is %+v of %+v", w, w.Load)
	}
	run.Answers[1].Error = "context full"
	if _, err := waveOf("library", 2, run); err == nil || !strings.Contains(err.Error(),
		"library: 1 of 2 requests failed: context full") {
		t.Errorf("error is %v", err)
	}
}

func TestASingleSideAnswersAndLeaves(t *testing.T) {
	o := streamOptions{widths: []int{2}, inProcess: true, singly: true,
		peers: map[string]string{"ollama": "/none"}}
	o.model, o.Slots, o.Threads, o.Context = testmodels.Path(t, "smollm2"), 2, 1, 64
	o.PromptTokens, o.GenerateTokens = 8, 4
	m := &waves{o: o, say: t.Logf}
	for _, side := range []string{"baseline", "library"} {
		all, err := m.singleTurn(t.Context(), side, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 1 || all[0].Side != side || all[0].Round != 3 || all[0].Tokens != 8 {
			t.Errorf("%s gave %+v", side, all)
		}
	}
	if !strings.HasPrefix(m.engine, "llama.cpp") || m.alone != nil || m.library != nil {
		t.Errorf("of %q %v and %v are left", m.engine, m.alone, m.library)
	}
	if _, err := m.singleTurn(t.Context(), "ollama", 1); err == nil {
		t.Error("a peer that is not there had its turn")
	}
}
