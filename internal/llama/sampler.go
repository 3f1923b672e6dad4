package llama

// #include "shim.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// RandomSeed as a seed asks for a random one.
const RandomSeed = 0xFFFFFFFF

// SamplerParams are llama.cpp's sampling options. Start from [Library.DefaultSamplerParams].
type SamplerParams struct {
	Seed                                             uint32
	Temperature                                      float32 // <= 0: greedy
	TopK                                             int     // <= 0: off
	TopP, MinP, TypicalP                             float32
	TopNSigma                                        float32 // < 0: off
	XTCProbability, XTCThreshold                     float32
	DynatempRange, DynatempExponent                  float32
	RepeatLastN                                      int // 0: off, -1: the context
	RepeatPenalty, FrequencyPenalty, PresencePenalty float32
	DRYMultiplier, DRYBase                           float32
	DRYAllowedLength, DRYLastN                       int
	DRYBreakers                                      []string
	Mirostat                                         int // 0: off, 1, 2
	MirostatTau, MirostatEta                         float32
	AdaptiveTarget, AdaptiveDecay                    float32 // target < 0: off
	MinKeep                                          int
	Order                                            []string // nil: llama.cpp's order
	LogitBias                                        map[Token]float32
	IgnoreEOS                                        bool
	Grammar                                          string // GBNF; "": none
	Reference                                        bool   // llama.cpp's chain does everything
}

// Sampler picks tokens for one sequence and remembers what it picked.
type Sampler struct {
	*samplerHandle
	lib *Library
}

type samplerHandle struct {
	handle
	ptr *C.mn_sampler
}

// DefaultSamplerParams returns llama.cpp's defaults.
func (l *Library) DefaultSamplerParams() SamplerParams {
	d := C.shim_sampler_defaults(l.table)
	return SamplerParams{
		Seed:             uint32(d.seed),
		Temperature:      float32(d.temperature),
		TopK:             int(d.top_k),
		TopP:             float32(d.top_p),
		MinP:             float32(d.min_p),
		TypicalP:         float32(d.typical_p),
		TopNSigma:        float32(d.top_n_sigma),
		XTCProbability:   float32(d.xtc_probability),
		XTCThreshold:     float32(d.xtc_threshold),
		DynatempRange:    float32(d.dynatemp_range),
		DynatempExponent: float32(d.dynatemp_exponent),
		RepeatLastN:      int(d.repeat_last_n),
		RepeatPenalty:    float32(d.repeat_penalty),
		FrequencyPenalty: float32(d.frequency_penalty),
		PresencePenalty:  float32(d.presence_penalty),
		DRYMultiplier:    float32(d.dry_multiplier),
		DRYBase:          float32(d.dry_base),
		DRYAllowedLength: int(d.dry_allowed_length),
		DRYLastN:         int(d.dry_penalty_last_n),
		MirostatTau:      float32(d.mirostat_tau),
		MirostatEta:      float32(d.mirostat_eta),
		AdaptiveTarget:   float32(d.adaptive_target),
		AdaptiveDecay:    float32(d.adaptive_decay),
	}
}

func (p *SamplerParams) toC(a *arena) C.mn_sampler_params {
	c := C.mn_sampler_params{
		seed:               C.uint32_t(p.Seed),
		temperature:        C.float(p.Temperature),
		top_k:              C.int32_t(p.TopK),
		top_p:              C.float(p.TopP),
		min_p:              C.float(p.MinP),
		typical_p:          C.float(p.TypicalP),
		top_n_sigma:        C.float(p.TopNSigma),
		xtc_probability:    C.float(p.XTCProbability),
		xtc_threshold:      C.float(p.XTCThreshold),
		dynatemp_range:     C.float(p.DynatempRange),
		dynatemp_exponent:  C.float(p.DynatempExponent),
		repeat_last_n:      C.int32_t(p.RepeatLastN),
		repeat_penalty:     C.float(p.RepeatPenalty),
		frequency_penalty:  C.float(p.FrequencyPenalty),
		presence_penalty:   C.float(p.PresencePenalty),
		dry_multiplier:     C.float(p.DRYMultiplier),
		dry_base:           C.float(p.DRYBase),
		dry_allowed_length: C.int32_t(p.DRYAllowedLength),
		dry_penalty_last_n: C.int32_t(p.DRYLastN),
		dry_breakers:       a.strings(p.DRYBreakers),
		n_dry_breakers:     C.int32_t(len(p.DRYBreakers)),
		mirostat:           C.int32_t(p.Mirostat),
		mirostat_tau:       C.float(p.MirostatTau),
		mirostat_eta:       C.float(p.MirostatEta),
		adaptive_target:    C.float(p.AdaptiveTarget),
		adaptive_decay:     C.float(p.AdaptiveDecay),
		min_keep:           C.int32_t(p.MinKeep),
		order:              a.strings(p.Order),
		n_order:            C.int32_t(len(p.Order)),
		ignore_eos:         flag(p.IgnoreEOS),
		grammar:            a.string(p.Grammar),
		grammar_len:        C.size_t(len(p.Grammar)),
		reference:          flag(p.Reference),
	}
	p.biasesToC(a, &c)
	return c
}

func (p *SamplerParams) biasesToC(a *arena, c *C.mn_sampler_params) {
	if len(p.LogitBias) == 0 {
		return
	}
	tokens := arenaSlice[C.int32_t](a, len(p.LogitBias))
	values := arenaSlice[C.float](a, len(p.LogitBias))
	i := 0
	for token, bias := range p.LogitBias {
		tokens[i], values[i] = C.int32_t(token), C.float(bias)
		i++
	}
	c.bias_tokens, c.bias_values, c.n_bias = &tokens[0], &values[0], C.int32_t(i)
}

// NewSampler makes a sampler for this model's vocabulary.
func (m *Model) NewSampler(p SamplerParams) (*Sampler, error) {
	if err := m.acquire(); err != nil {
		return nil, err
	}
	var a arena
	defer a.free()
	params := p.toC(&a)
	h := &samplerHandle{}
	var e C.mn_error
	status := C.shim_sampler_new(m.lib.table, m.ptr, &params, &h.ptr, &e)
	if err := check(status, &e); err != nil {
		m.release()
		return nil, err
	}
	model, table := m.modelHandle, m.lib.table
	h.init(func() {
		C.shim_sampler_free(table, h.ptr)
		model.release()
	})
	s := &Sampler{samplerHandle: h, lib: m.lib}
	runtime.AddCleanup(s, func(h *samplerHandle) { h.close() }, h)
	return s, nil
}

// Close frees the sampler.
func (s *Sampler) Close() { s.close() }

// Prime shows a prompt to the penalties. It does not move a grammar.
func (s *Sampler) Prime(tokens []Token) {
	if s.acquire() != nil {
		return
	}
	defer s.release()
	C.shim_sampler_prime(s.lib.table, s.ptr,
		(*C.int32_t)(unsafe.Pointer(unsafe.SliceData(tokens))), C.int32_t(len(tokens)))
}

// Seed returns the seed in use, which tells what RandomSeed became.
func (s *Sampler) Seed() uint32 {
	if s.acquire() != nil {
		return 0
	}
	defer s.release()
	return uint32(C.shim_sampler_seed(s.lib.table, s.ptr))
}

// Describe names the samplers in the order in which they are applied.
func (s *Sampler) Describe() (string, error) {
	if err := s.acquire(); err != nil {
		return "", err
	}
	defer s.release()
	var out C.mn_buf
	var e C.mn_error
	if err := check(C.shim_sampler_describe(s.lib.table, s.ptr, &out, &e), &e); err != nil {
		return "", err
	}
	return string(s.lib.take(out)), nil
}
