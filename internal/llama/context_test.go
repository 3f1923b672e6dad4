package llama_test

import (
	"math"
	"testing"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/synth"
)

func TestLimitsAreWhatWasAskedFor(t *testing.T) {
	p := smallContext(t)
	p.Ctx, p.Batch, p.UBatch, p.Sequences = 512, 128, 32, 4
	got := newContext(t, tiny(t), p).Limits()
	want := llama.Limits{Ctx: 512, CtxPerSeq: 512, Batch: 128, UBatch: 32, Sequences: 4, Rows: 64}
	if got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
	p.UnifiedSequences = false
	if got := newContext(t, tiny(t), p).Limits(); got.CtxPerSeq*4 != got.Ctx {
		t.Errorf("limits %+v, want a quarter for each sequence", got)
	}
	p.Ctx = 0
	if got := newContext(t, tiny(t), p).Limits().Ctx; got != tiny(t).Info().ContextLength {
		t.Errorf("context of 0 is %d, want the model's", got)
	}
}

func TestWrongContextOptions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*llama.ContextParams)
		want   string
	}{
		{"type K", func(p *llama.ContextParams) { p.TypeK = "q9_9" }, "q9_9"},
		{"type V", func(p *llama.ContextParams) { p.TypeV = "F16" }, "F16"},
		{"batch 0", func(p *llama.ContextParams) { p.Batch = 0 }, "n_batch"},
		{"batch", func(p *llama.ContextParams) { p.Batch = 1 << 30 }, "n_batch"},
		{"batch -1", func(p *llama.ContextParams) { p.Batch = -1 }, "n_batch"},
		{"ubatch 0", func(p *llama.ContextParams) { p.UBatch = 0 }, "n_ubatch"},
		{"ubatch", func(p *llama.ContextParams) { p.UBatch = p.Batch + 1 }, "n_ubatch"},
		{"no sequences", func(p *llama.ContextParams) { p.Sequences = 0 }, "n_seq_max"},
		{"sequences", func(p *llama.ContextParams) { p.Sequences = 10000 }, "n_seq_max"},
		{"threads", func(p *llama.ContextParams) { p.Threads = 10000 }, "n_threads"},
		{"threads -1", func(p *llama.ContextParams) { p.BatchThreads = -1 }, "n_threads_batch"},
		{"rope", func(p *llama.ContextParams) { p.RoPEScaling = 99 }, "rope_scaling_type"},
		{"pooling", func(p *llama.ContextParams) { p.Pooling = 99 }, "pooling_type"},
		{"attention", func(p *llama.ContextParams) { p.Attention = 99 }, "attention_type"},
		{"flash", func(p *llama.ContextParams) { p.FlashAttention = 5 }, "flash_attn"},
		{"quantised V", func(p *llama.ContextParams) {
			p.TypeV, p.FlashAttention = "q8_0", 0
		}, "V cache"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := smallContext(t)
			tt.change(&p)
			_, err := tiny(t).NewContext(p)
			wantError(t, err, llama.ErrInvalid, tt.want)
			lib := library(t)
			_, err = lib.MemoryPlan(tinyFile(t, synth.Options{}), lib.DefaultModelParams(), p)
			if tt.name != "quantised V" {
				wantError(t, err, llama.ErrInvalid, tt.want)
			}
		})
	}
}

func TestAbsurdContextIsRefused(t *testing.T) {
	for _, ctx := range []int{math.MaxInt32, math.MaxUint32, -1} {
		p := smallContext(t)
		p.Ctx = ctx
		c, err := tiny(t).NewContext(p)
		if err == nil {
			c.Close()
			t.Errorf("a context of %d was made", ctx)
			continue
		}
		wantError(t, err, llama.ErrMemory)
	}
}

func TestCacheTypesGiveNearlyTheSame(t *testing.T) {
	m := tiny(t)
	prompt := tokenize(t, m, "the time of the day and the night")
	var want float32
	for _, name := range []string{"f32", "f16", "bf16", "q8_0", "q5_1", "q4_0"} {
		p := smallContext(t)
		p.TypeK, p.TypeV, p.FlashAttention = name, name, 1
		c := newContext(t, m, p)
		c.Begin()
		for i, token := range prompt {
			c.Add(token, int32(i), 0)
		}
		c.Sample(len(prompt)-1, newSampler(t, m, greedy(t)), 0)
		result, err := c.Step()
		if err != nil {
			t.Fatal(err)
		}
		got := rowOf(t, result).Logprob
		if name == "f32" {
			want = got
		}
		if math.Abs(float64(got-want)) > 0.5 {
			t.Errorf("cache of %s: logprob %g, with f32 %g", name, got, want)
		}
	}
}

func TestThreadsCanChange(t *testing.T) {
	m := tiny(t)
	c := newContext(t, m, smallContext(t))
	s := newSampler(t, m, greedy(t))
	for _, n := range []int{2, 1, 0, 3, 100_000, -5} {
		if err := c.SetThreads(n, n); err != nil {
			t.Fatal(err)
		}
		if n == 2 || n == 3 {
			generate(t, c, s, 0, []llama.Token{70, 71}, 2)
		}
	}
}

func TestPerfCountsTokens(t *testing.T) {
	m := tiny(t)
	c := newContext(t, m, smallContext(t))
	generate(t, c, newSampler(t, m, greedy(t)), 0, tokenize(t, m, "the time of the day"), 4)
	perf := c.Perf()
	if perf.PromptTokens+perf.EvalTokens == 0 || perf.Prompt+perf.Eval == 0 {
		t.Errorf("counters are %+v", perf)
	}
}
