package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const metricsPath = "/metrics"

// metrics are what Prometheus collects.
type metrics struct {
	registry *prometheus.Registry

	requests   *prometheus.CounterVec
	took       *prometheus.HistogramVec
	firstToken *prometheus.HistogramVec
	gap        *prometheus.HistogramVec
	queue      *prometheus.HistogramVec
	prompt     *prometheus.CounterVec
	cached     *prometheus.CounterVec
	generated  *prometheus.CounterVec
	native     *nativeTotals
}

func newMetrics(runtime Runtime) *metrics {
	seconds := func(from float64, n int) []float64 {
		return prometheus.ExponentialBuckets(from, 2, n)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "mullama", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, label string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "mullama", Name: name, Help: help, Buckets: buckets}, []string{label})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		native:   &nativeTotals{runtime: runtime},
		requests: counter("requests_total", "Requests answered.", "route", "code"),
		took: histogram("request_seconds", "Time of a request from its header to its end.",
			seconds(0.0001, 22), "route"),
		firstToken: histogram("first_token_seconds", "Time from a call to its first token.",
			seconds(0.001, 18), "model"),
		gap: histogram("inter_token_seconds", "Time between the tokens of an answer.",
			seconds(0.0005, 15), "model"),
		queue: histogram("queue_seconds", "Time that a call waited for a slot.",
			seconds(0.0001, 20), "model"),
		prompt: counter("prompt_tokens_total", "Tokens of prompts.", "model"),
		cached: counter("cached_tokens_total", "Tokens of prompts that needed no compute.",
			"model"),
		generated: counter("generated_tokens_total", "Tokens generated.", "model"),
	}
	m.registry.MustRegister(m.requests, m.took, m.firstToken, m.gap, m.queue, m.prompt, m.cached,
		m.generated, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&loadedModels{runtime: runtime}, m.native)
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// request counts a request at its end.
func (m *metrics) request(r *http.Request, status int, n *notes, took time.Duration) {
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	if status == 0 {
		status = http.StatusOK
	}
	m.count(route, status, n, took)
}

// count counts a request of a route.
func (m *metrics) count(route string, status int, n *notes, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.took.WithLabelValues(route).Observe(took.Seconds())
	m.tokens(n)
}

// tokens counts what an answer took.
func (m *metrics) tokens(n *notes) {
	if n.model == "" || n.stats.PromptTokens == 0 {
		return
	}
	m.prompt.WithLabelValues(n.model).Add(float64(n.stats.PromptTokens))
	m.cached.WithLabelValues(n.model).Add(float64(n.stats.CachedTokens))
	m.generated.WithLabelValues(n.model).Add(float64(n.stats.GeneratedTokens))
	m.native.add(&n.stats)
	m.queue.WithLabelValues(n.model).Observe(n.stats.Queue.Seconds())
	m.firstToken.WithLabelValues(n.model).Observe(n.stats.FirstToken.Seconds())
}

// loadedModels tells of each loaded model when Prometheus asks.
type loadedModels struct{ runtime Runtime }

var (
	slotsDesc   = modelDesc("slots", "Calls that a model computes at once.")
	busyDesc    = modelDesc("slots_busy", "Calls being computed.")
	waitingDesc = modelDesc("requests_waiting", "Calls that wait for a slot.")
	memoryDesc  = modelDesc("model_bytes", "Memory of a loaded model.")
	vramDesc    = modelDesc("model_vram_bytes", "Memory of a loaded model on GPUs.")
	contextDesc = modelDesc("context_tokens", "Most tokens of one call.")
	cellsDesc   = modelDesc("cache_cells", "Tokens that the KV cache holds at most.")
	usedDesc    = modelDesc("cache_cells_used", "Cells of the KV cache used by running calls.")
	idleDesc    = modelDesc("cache_cells_idle", "Cells that keep prefixes of finished calls.")
)

func modelDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("mullama_"+name, help, []string{"model", "context"}, nil)
}

// Describe is of [prometheus.Collector].
func (*loadedModels) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		slotsDesc, busyDesc, waitingDesc, memoryDesc, vramDesc, contextDesc,
		cellsDesc, usedDesc, idleDesc,
	} {
		to <- desc
	}
}

// Collect is of [prometheus.Collector].
func (l *loadedModels) Collect(to chan<- prometheus.Metric) {
	seen := map[string]bool{}
	for _, m := range l.runtime.Running() {
		size := strconv.Itoa(m.ContextSize)
		key := m.Stored.Name + " " + size
		if seen[key] {
			continue // Prometheus refuses all where two are alike
		}
		seen[key] = true
		for desc, value := range map[*prometheus.Desc]float64{
			slotsDesc: float64(m.Slots), busyDesc: float64(m.Engine.Active),
			waitingDesc: float64(m.Waiting + m.Engine.Waiting),
			memoryDesc:  float64(m.Size), vramDesc: float64(m.SizeVRAM),
			contextDesc: float64(m.ContextSize), cellsDesc: float64(m.Engine.Cells),
			usedDesc: float64(m.Engine.CellsUsed), idleDesc: float64(m.Engine.CellsIdle),
		} {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value,
				m.Stored.Name, size)
		}
	}
}
