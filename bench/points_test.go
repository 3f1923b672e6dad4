package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

// recorded are points of the group offload, as a run leaves them.
func recorded() []Point {
	return []Point{
		{Round: 1, Case: "layers 0", Values: map[string]float64{"pp": 90, "tg": 9},
			Baseline: map[string]float64{"pp": 100, "tg": 10}},
		{Round: 1, Case: "layers all", Values: map[string]float64{"pp": 6000, "tg": 200,
			"device_mb": 5000}, Baseline: map[string]float64{"pp": 6000, "tg": 250}},
		{Round: 2, Case: "layers 0", Values: map[string]float64{"pp": 110, "tg": 11},
			Baseline: map[string]float64{"pp": 100, "tg": 10}},
	}
}

func TestPointsBecomeRowsWithTheirBaseline(t *testing.T) {
	rows := pointRows("offload", recorded())
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
	}
	want := []string{"layers_0_pp", "layers_0_tg", "layers_all_pp", "layers_all_tg",
		"layers_all_device_mb"}
	if !slices.Equal(names, want) {
		t.Fatalf("rows %v, want %v", names, want)
	}
	r := rows[0]
	if r.Value != 100 || *r.Ratio != 1 || len(r.Samples) != 2 || r.Unit != "tokens/s" {
		t.Errorf("the CPU's prompts are %+v", r)
	}
	if r := rows[3]; r.Value != 200 || *r.Ratio != 0.8 {
		t.Errorf("generation on the GPU is %+v", r)
	}
	if r := rows[4]; r.Value != 5000 || r.Baseline != nil || r.Ratio != nil {
		t.Errorf("memory is %+v", r)
	}
}

func TestAReportOfPointsHasALineForEachCase(t *testing.T) {
	r := testResult()
	r.Group, r.Rounds, r.Points = "offload", []Round{}, recorded()
	r.Rows = pointRows(r.Group, r.Points)
	r.Machine.GPUs = []GPU{{"CUDA0", "A GPU", 80 << 30}}
	got := Report([]*Result{r})
	for _, want := range []string{
		"| case | prompt, tokens/s | of llama.cpp | generation, tokens/s | of llama.cpp |" +
			" GPU memory, MB |\n|---|--:|--:|--:|--:|--:|\n" +
			"| layers 0 | 100 | 1.000 | 10.0 | 1.000 | – |\n" +
			"| layers all | 6000 | 1.000 | 200 | 0.800 | 5000 |\n",
		"A GPU with 80 GiB",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "goals") {
		t.Errorf("the report speaks of goals that there are none of:\n%s", got)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, data); err != nil {
		t.Errorf("%v\n%s", err, data)
	}
}

func TestNumbersOfLayersAreRead(t *testing.T) {
	for text, want := range map[string][]int{
		"steps":      {0, 5, 10, 13},
		"0,6,all":    {0, 6, 13},
		"99":         {13},
		" 3 , steps": {3, 0, 5, 10, 13},
	} {
		got, err := parseLayers(strings.Split(text, ","), 12)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "some", ""} {
		if _, err := parseLayers([]string{text}, 12); err == nil ||
			!strings.Contains(err.Error(), "all, or steps") {
			t.Errorf("%q: error is %v", text, err)
		}
	}
}

func TestTypesOfTheCacheAreRead(t *testing.T) {
	got, err := parseKV([]string{"f16", "q8_0/q4_0"})
	want := []kvPair{{"f16", "f16"}, {"q8_0", "q4_0"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("types are %v (%v), want %v", got, err, want)
	}
	if text := got[0].String() + " " + got[1].String(); text != "f16 q8_0/q4_0" {
		t.Errorf("they say %q", text)
	}
	for _, word := range []string{"q9_0", "q8_0/", "/", ""} {
		if _, err := parseKV([]string{word}); err == nil {
			t.Errorf("%q was taken", word)
		}
	}
}

func TestAgreementCountsTokensAndTexts(t *testing.T) {
	want := [][]mullama.Token{{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 9, 9, 9}}
	got := agreement(want, [][]mullama.Token{{1, 2, 3, 4}, {5, 0, 7, 0}, {9, 9}})
	if !near(got["same_percent"], 100*8.0/12) || got["same_texts"] != 1 ||
		got["first_difference"] != 2 {
		t.Errorf("agreement is %v", got)
	}
}

func TestWithFewerThanTwoGPUsNothingIsMeasured(t *testing.T) {
	for gpus, want := range map[int]string{
		0: "not measured: 0 GPUs\n", 1: "not measured: 1 GPU\n",
	} {
		var b strings.Builder
		if err := notMeasured(&b, gpus); err != nil || b.String() != want {
			t.Errorf("%d GPUs: %q (%v)", gpus, b.String(), err)
		}
	}
}

func TestAProbeTellsMemoryInMegabytes(t *testing.T) {
	g := probed{Memory: Memory{RSS: 1000, Peak: 2000, File: 500}, Device: 3e6, SMI: 4e6,
		GPUs: []GPU{{Name: "CUDA0"}}, Plan: &mullama.Plan{Devices: []mullama.PlanDevice{
			{Name: "CUDA0", GPU: true, Weights: 5e6, Cache: 6e6, Compute: 7e6},
			{Name: "CPU", Weights: 8e6},
		}}}
	got := map[string]float64{}
	g.memory(got)
	for key, want := range map[string]float64{
		"rss_mb": 1.024, "peak_rss_mb": 2.048, "rss_file_mb": 0.512, "device_mb": 3, "smi_mb": 4,
		"plan_weights_mb": 13, "plan_cache_mb": 6, "plan_compute_mb": 7, "plan_device_mb": 18,
	} {
		if !near(got[key], want) {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
}

func TestWorkThatLeavesNothingToMeasureIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"offload --rounds 0":               "must be at least 1",
		"memory --context 100":             "raise --context",
		"kv --types q3 --prompt-tokens 8":  "--types has \"q3\"",
		"kv --contexts 256":                "need at least 608 tokens",
		"kv-quality --generate-tokens 0":   "must be at least 1",
		"load-time --prompt-tokens 0":      "must be at least 1",
		"multi-gpu --generate-tokens 1":    "generate-tokens 2",
		"streams --streams 0":              "must be at least 1",
		"streams --ubatch-size -1":         "must be at least 0",
		"kv-quality --types q8_0/q9_0":     "use f32, f16",
		"offload --layers one --reps 1":    "m.gguf",
		"streams --unsampled --streams 64": "m.gguf",
	} {
		words := append([]string{"bench"}, strings.Fields(args)...)
		_, _, err := runCommand(t, append(words, "--model", path)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", args, err, want)
		}
	}
}
