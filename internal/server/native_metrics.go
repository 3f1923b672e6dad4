package server

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mullama/mullama"
)

// nativeTotals are what llama-server counts, over all models, under its names: dashboards made for
// it go on working.
type nativeTotals struct {
	runtime Runtime

	mu                            sync.Mutex // guards all below
	prompt, cached, predicted     int
	promptSeconds, predictSeconds float64
	stepTokens                    int // that needed a step after the prompt
	longest                       int // prompt and answer of one request
	drafts, drafted, accepted     int
}

// add counts an answer.
func (t *nativeTotals) add(s *mullama.Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prompt += s.PromptTokens - s.CachedTokens
	t.cached += s.CachedTokens
	t.predicted += s.GeneratedTokens
	t.stepTokens += max(0, s.GeneratedTokens-1)
	t.promptSeconds += s.Prefill.Seconds()
	t.predictSeconds += s.Decode.Seconds()
	t.drafts += s.Drafts
	t.drafted += s.DraftedTokens
	t.accepted += s.AcceptedTokens
	t.longest = max(t.longest, s.PromptTokens+s.GeneratedTokens)
}

// nativeMetric is one number of llama-server's.
type nativeMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(t *nativeTotals, e *mullama.EngineStats) float64
}

func nativeMetrics() []nativeMetric {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("llamacpp:"+name, help, nil, nil)
	}
	type read = func(t *nativeTotals, e *mullama.EngineStats) float64
	counter := func(name, help string, f read) nativeMetric {
		return nativeMetric{describe(name, help), prometheus.CounterValue, f}
	}
	gauge := func(name, help string, f read) nativeMetric {
		return nativeMetric{describe(name, help), prometheus.GaugeValue, f}
	}
	return []nativeMetric{
		counter("prompt_tokens_total", "Prompt tokens computed.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 { return float64(t.prompt) }),
		counter("prompt_tokens_cached_total", "Prompt tokens that needed no compute.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 { return float64(t.cached) }),
		counter("prompt_seconds_total", "Time of prompts.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 { return t.promptSeconds }),
		counter("tokens_predicted_total", "Tokens generated.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 { return float64(t.predicted) }),
		counter("tokens_predicted_seconds_total", "Time of generation after the first token.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 { return t.predictSeconds }),
		counter("n_decode_total", "Steps of the loaded models.",
			func(_ *nativeTotals, e *mullama.EngineStats) float64 { return float64(e.Steps) }),
		counter("n_tokens_max", "Most tokens of prompt and answer together.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 { return float64(t.longest) }),
		counter("spec_decode_num_draft_tokens_total", "Tokens that draft models guessed.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 { return float64(t.drafted) }),
		counter("spec_decode_num_accepted_tokens_total", "Those of them that were right.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 { return float64(t.accepted) }),
		counter("spec_decode_num_drafts_total", "Drafts of one or more tokens.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 { return float64(t.drafts) }),
		gauge("prompt_tokens_seconds", "Prompt tokens computed per second, on average.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 {
				return ratio(float64(t.prompt), t.promptSeconds)
			}),
		gauge("predicted_tokens_seconds", "Tokens generated per second and answer, on average.",
			func(t *nativeTotals, _ *mullama.EngineStats) float64 {
				return ratio(float64(t.stepTokens), t.predictSeconds)
			}),
		gauge("requests_processing", "Requests being computed.",
			func(_ *nativeTotals, e *mullama.EngineStats) float64 { return float64(e.Active) }),
		gauge("requests_deferred", "Requests that wait for a slot.",
			func(_ *nativeTotals, e *mullama.EngineStats) float64 { return float64(e.Waiting) }),
		gauge("n_busy_slots_per_decode", "Tokens sampled per step, on average.",
			func(_ *nativeTotals, e *mullama.EngineStats) float64 {
				return ratio(float64(e.SampledTokens), float64(e.Steps))
			}),
	}
}

func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}

// theNativeMetrics are made once: their descriptions never change.
var theNativeMetrics = nativeMetrics()

// Describe is of [prometheus.Collector].
func (t *nativeTotals) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range theNativeMetrics {
		descs <- m.desc
	}
}

// Collect is of [prometheus.Collector].
func (t *nativeTotals) Collect(found chan<- prometheus.Metric) {
	var sum mullama.EngineStats
	for _, m := range t.runtime.Running() {
		sum.Steps += m.Engine.Steps
		sum.Active += m.Engine.Active
		sum.Waiting += m.Engine.Waiting
		sum.SampledTokens += m.Engine.SampledTokens
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range theNativeMetrics {
		found <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(t, &sum))
	}
}

// processStart is when this process began, nearly. llama-server tells it beside its metrics.
var processStart = strconv.FormatInt(time.Now().Unix(), 10)
