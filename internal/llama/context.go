package llama

// #include "shim.h"
import "C"

import (
	"runtime"
	"time"
)

// ContextParams are the options of a context. Start from [Library.DefaultContextParams].
type ContextParams struct {
	Ctx                   int // cells of the KV cache over all sequences; 0: the model's length
	Batch                 int // most tokens in a step
	UBatch                int // most tokens computed at once
	Sequences             int
	Threads, BatchThreads int // 0: one per physical core

	RoPEScaling                              int // -1 model's, 0 none, 1 linear, 2 YaRN, 3 LongRoPE
	RoPEFreqBase, RoPEFreqScale              float32
	YaRNExtFactor, YaRNAttnFactor            float32
	YaRNBetaFast, YaRNBetaSlow               float32
	YaRNOrigCtx                              int
	Pooling                                  int // -1 model, 0 none, 1 mean, 2 cls, 3 last, 4 rank
	Attention                                int // -1 model's, 0 causal, 1 not causal
	FlashAttention                           int // -1 automatic, 0 off, 1 on
	TypeK, TypeV                             string
	Embeddings, OffloadKQV, OpOffload        bool
	FullSlidingWindowCache, UnifiedSequences bool
	// DeviceLogits leaves logits on the device that computes them, and a step fetches what sampling
	// needs: -1 if that is a GPU, 0 never, 1 on CPUs too, which serves tests alone.
	DeviceLogits int

	// Tuning is what the context does to the model from the beginning. Nil: nothing.
	Tuning *Tuning
}

// Limits are what a context really has, which may be more than was asked for.
type Limits struct {
	Ctx       int // cells of the KV cache over all sequences
	CtxPerSeq int // most cells of one sequence
	Batch     int // most tokens in a step
	UBatch    int // most tokens computed at once
	Sequences int
	// Rows is the most rows that a step samples where a sequence may have several; 0: each has one.
	Rows int
	// DeviceLogits is whether logits stay on the device that computes them.
	DeviceLogits bool
}

// Context is a KV cache and compute buffers: what is needed to run a model for some sequences.
type Context struct {
	*contextHandle
	lib    *Library
	limits Limits
}

type contextHandle struct {
	handle
	ptr   *C.mn_context
	vocab int   // logits of a row
	arena arena // the plan's arrays
	plan  plan
}

// DefaultContextParams returns llama.cpp's defaults, with one pool of cells for all sequences.
func (l *Library) DefaultContextParams() ContextParams {
	d := C.shim_context_defaults(l.table)
	return ContextParams{
		Ctx:              int(d.n_ctx),
		Batch:            int(d.n_batch),
		UBatch:           int(d.n_ubatch),
		Sequences:        int(d.n_seq_max),
		RoPEScaling:      int(d.rope_scaling_type),
		YaRNExtFactor:    float32(d.yarn_ext_factor),
		YaRNAttnFactor:   float32(d.yarn_attn_factor),
		YaRNBetaFast:     float32(d.yarn_beta_fast),
		YaRNBetaSlow:     float32(d.yarn_beta_slow),
		Pooling:          int(d.pooling_type),
		Attention:        int(d.attention_type),
		FlashAttention:   int(d.flash_attn),
		OffloadKQV:       d.offload_kqv != 0,
		OpOffload:        d.op_offload != 0,
		UnifiedSequences: d.kv_unified != 0,
		DeviceLogits:     int(d.device_logits),
	}
}

func (p *ContextParams) toC(a *arena) C.mn_context_params {
	return C.mn_context_params{
		n_ctx:             C.uint32_t(p.Ctx),
		n_batch:           C.uint32_t(p.Batch),
		n_ubatch:          C.uint32_t(p.UBatch),
		n_seq_max:         C.uint32_t(p.Sequences),
		n_threads:         C.int32_t(p.Threads),
		n_threads_batch:   C.int32_t(p.BatchThreads),
		rope_scaling_type: C.int32_t(p.RoPEScaling),
		rope_freq_base:    C.float(p.RoPEFreqBase),
		rope_freq_scale:   C.float(p.RoPEFreqScale),
		yarn_ext_factor:   C.float(p.YaRNExtFactor),
		yarn_attn_factor:  C.float(p.YaRNAttnFactor),
		yarn_beta_fast:    C.float(p.YaRNBetaFast),
		yarn_beta_slow:    C.float(p.YaRNBetaSlow),
		yarn_orig_ctx:     C.uint32_t(p.YaRNOrigCtx),
		pooling_type:      C.int32_t(p.Pooling),
		attention_type:    C.int32_t(p.Attention),
		flash_attn:        C.int32_t(p.FlashAttention),
		type_k:            a.string(p.TypeK),
		type_v:            a.string(p.TypeV),
		embeddings:        flag(p.Embeddings),
		offload_kqv:       flag(p.OffloadKQV),
		op_offload:        flag(p.OpOffload),
		swa_full:          flag(p.FullSlidingWindowCache),
		kv_unified:        flag(p.UnifiedSequences),
		device_logits:     C.int32_t(p.DeviceLogits),
	}
}

// NewContext makes a context for this model.
func (m *Model) NewContext(p ContextParams) (*Context, error) {
	if err := m.acquire(); err != nil {
		return nil, err
	}
	var a arena
	defer a.free()
	params := p.toC(&a)
	h := &contextHandle{vocab: m.info.Vocab}
	var e C.mn_error
	status := C.shim_context_new(m.lib.table, m.ptr, &params, &h.ptr, &e)
	if err := check(status, &e); err != nil {
		m.release()
		return nil, err
	}
	c := &Context{contextHandle: h, lib: m.lib}
	c.limits = c.readLimits()
	h.plan = newPlan(&h.arena, c.limits)
	model, table := m.modelHandle, m.lib.table // not m: it must stay findable as garbage
	h.init(func() {
		h.plan.reset()
		C.shim_context_free(table, h.ptr)
		h.plan = plan{c: &C.mn_step_plan{}} // no room: a step that is built after Close has nothing
		h.arena.free()
		model.release()
	})
	runtime.AddCleanup(c, func(h *contextHandle) { h.close() }, h)
	if err := c.prepare(&p); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Context) readLimits() Limits {
	var ctx, perSeq, batch, ubatch, seqs C.uint32_t
	var deviceLogits C.int32_t
	C.shim_context_get(c.lib.table, c.ptr, &ctx, &perSeq, &batch, &ubatch, &seqs, &deviceLogits)
	l := Limits{
		Ctx:       int(ctx),
		CtxPerSeq: int(perSeq),
		Batch:     int(batch),
		UBatch:    int(ubatch),
		Sequences: int(seqs),

		DeviceLogits: deviceLogits != 0,
	}
	if !l.DeviceLogits {
		l.Rows = max(l.Sequences, C.MN_ROWS_LEAST)
	}
	return l
}

// Close frees the context.
func (c *Context) Close() { c.close() }

// Limits returns the sizes the context really has.
func (c *Context) Limits() Limits { return c.limits }

// Abort makes a running step, and every later one, stop early with ErrCancelled until it is called
// with false. Any goroutine may call it.
func (c *Context) Abort(stop bool) {
	if c.acquire() != nil {
		return
	}
	defer c.release()
	C.shim_context_abort(c.lib.table, c.ptr, flag(stop))
}

// SetThreads changes the number of threads for generation and for prompts; 0: one per core.
func (c *Context) SetThreads(threads, batchThreads int) error {
	if err := c.acquire(); err != nil {
		return err
	}
	defer c.release()
	C.shim_context_set_threads(c.lib.table, c.ptr, C.int32_t(threads), C.int32_t(batchThreads))
	return nil
}

// Memory returns what the context and its model take on each device, as [Library.MemoryPlan] does,
// and whether the context uses flash attention.
func (c *Context) Memory() (plan []Memory, flash bool, err error) {
	if err := c.acquire(); err != nil {
		return nil, false, err
	}
	defer c.release()
	var out [maxDevices]C.mn_memory
	var n, on C.int32_t
	var e C.mn_error
	status := C.shim_context_memory(c.lib.table, c.ptr, &out[0], C.int32_t(len(out)), &n, &on, &e)
	if err := check(status, &e); err != nil {
		return nil, false, err
	}
	return memories(out[:n]), on != 0, nil
}

// Perf is llama.cpp's own account of a context.
type Perf struct {
	Prompt, Eval, Load       time.Duration
	PromptTokens, EvalTokens int
	GraphsReused             int
}

// Perf returns llama.cpp's own counters of this context.
func (c *Context) Perf() Perf {
	if c.acquire() != nil {
		return Perf{}
	}
	defer c.release()
	var p C.mn_perf
	C.shim_context_perf(c.lib.table, c.ptr, &p)
	return Perf{
		Prompt:       micros(p.prompt_us),
		Eval:         micros(p.eval_us),
		Load:         micros(p.load_us),
		PromptTokens: int(p.n_prompt),
		EvalTokens:   int(p.n_eval),
		GraphsReused: int(p.n_reused),
	}
}

func micros(us C.int64_t) time.Duration { return time.Duration(us) * time.Microsecond }
