package server

import (
	"math"
	"strconv"
	"strings"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// optionSetters has every option by the names that Ollama, llama-server and our commands have for
// it.
var optionSetters = map[string]setter{
	"temperature": number(func(s *settings) *float32 { return &s.sampling.Temperature }),
	"top_k":       setTopK,
	"top_p":       number(func(s *settings) *float32 { return &s.sampling.TopP }),
	"min_p":       number(func(s *settings) *float32 { return &s.sampling.MinP }),
	"typical_p":   number(func(s *settings) *float32 { return &s.sampling.TypicalP }),
	"top_n_sigma": number(func(s *settings) *float32 { return &s.sampling.TopNSigma }),

	"xtc_probability": number(func(s *settings) *float32 { return &s.sampling.XTCProbability }),
	"xtc_threshold":   number(func(s *settings) *float32 { return &s.sampling.XTCThreshold }),
	"dynatemp_range": number(func(s *settings) *float32 {
		return &s.sampling.DynamicTemperatureRange
	}),
	"dynatemp_exponent": number(func(s *settings) *float32 {
		return &s.sampling.DynamicTemperatureExponent
	}),

	"repeat_last_n":     integer(func(s *settings) *int { return &s.sampling.RepeatLastN }),
	"repeat_penalty":    number(func(s *settings) *float32 { return &s.sampling.RepeatPenalty }),
	"frequency_penalty": number(func(s *settings) *float32 { return &s.sampling.FrequencyPenalty }),
	"presence_penalty":  number(func(s *settings) *float32 { return &s.sampling.PresencePenalty }),

	"dry_multiplier":     number(func(s *settings) *float32 { return &s.sampling.DRYMultiplier }),
	"dry_base":           number(func(s *settings) *float32 { return &s.sampling.DRYBase }),
	"dry_allowed_length": integer(func(s *settings) *int { return &s.sampling.DRYAllowedLength }),
	"dry_penalty_last_n": integer(func(s *settings) *int { return &s.sampling.DRYLastN }),
	"dry_last_n":         integer(func(s *settings) *int { return &s.sampling.DRYLastN }),

	"dry_sequence_breakers": texts(func(s *settings) *[]string { return &s.sampling.DRYBreakers }),
	"dry_breaker":           texts(func(s *settings) *[]string { return &s.sampling.DRYBreakers }),

	"mirostat":        integer(func(s *settings) *int { return &s.sampling.Mirostat }),
	"mirostat_tau":    number(func(s *settings) *float32 { return &s.sampling.MirostatTau }),
	"mirostat_eta":    number(func(s *settings) *float32 { return &s.sampling.MirostatEta }),
	"adaptive_target": number(func(s *settings) *float32 { return &s.sampling.AdaptiveTarget }),
	"adaptive_decay":  number(func(s *settings) *float32 { return &s.sampling.AdaptiveDecay }),

	"min_keep":   integer(func(s *settings) *int { return &s.sampling.MinKeep }),
	"samplers":   setOrder,
	"logit_bias": setLogitBias,
	"ignore_eos": flag(func(s *settings, b bool) { s.sampling.IgnoreEOS = b }),
	"seed":       setSeed,

	"stop":         texts(func(s *settings) *[]string { return &s.generate.Stop }),
	"num_predict":  setMaxTokens,
	"n_predict":    setMaxTokens,
	"num_keep":     integer(func(s *settings) *int { return &s.generate.Keep }),
	"n_keep":       integer(func(s *settings) *int { return &s.generate.Keep }),
	"grammar":      setGrammar,
	"shift":        flag(setShift),
	"think":        setThink,
	"cache_prompt": flag(func(s *settings, b bool) { s.generate.Fresh = !b }),
	"verbose":      flag(func(s *settings, b bool) { s.verbose = b }),

	"num_ctx":    loading(func(l *mullama.LoadOptions, n int) { l.ContextSize = n }),
	"num_batch":  loading(func(l *mullama.LoadOptions, n int) { l.BatchSize = n }),
	"num_gpu":    loading(setGPULayers),
	"main_gpu":   loading(func(l *mullama.LoadOptions, n int) { l.MainGPU = n }),
	"num_thread": loading(func(l *mullama.LoadOptions, n int) { l.Threads, l.BatchThreads = n, n }),

	"draft_num_predict": setDraftTokens,

	"use_mmap":  flag(func(s *settings, b bool) { s.mmap = &b; s.setLoadMode() }),
	"use_mlock": flag(func(s *settings, b bool) { s.lock = b; s.setLoadMode() }),

	"flash_attention": setFlashAttention,

	"lora": setAdapters,
}

func setGPULayers(l *mullama.LoadOptions, n int) {
	l.GPULayers = nil
	if n != -1 { // Ollama's way to say that it is not chosen
		l.GPULayers = &n
	}
}

// setDraftTokens takes 0 for none, as Ollama and llama-server do.
func setDraftTokens(s *settings, name string, value any) error {
	n, err := toInt(name, value)
	if n == 0 {
		n = mullama.NoDraft
	}
	s.load.DraftTokens, s.reload = n, true
	return err
}

// setLoadMode puts together what use_mmap and use_mlock say, in whichever order they come.
func (s *settings) setLoadMode() {
	mapped := s.mmap == nil || *s.mmap
	s.reload = true
	s.load.LoadMode = map[[2]bool]string{
		{true, false}: "mmap", {false, false}: "read",
		{true, true}: "mmap+mlock", {false, true}: "mlock",
	}[[2]bool{mapped, s.lock}]
}

// setFlashAttention takes on, off and auto. What else there is, the load refuses.
func setFlashAttention(s *settings, name string, value any) error {
	text, ok := value.(string)
	if !ok {
		return wrongType(name, value, "on, off or auto")
	}
	s.load.FlashAttention, s.reload = text, true
	return nil
}

// setShift says whether a full context ends an answer or forgets what is oldest.
func setShift(s *settings, shift bool) {
	s.generate.Overflow = mullama.OverflowError
	if shift {
		s.generate.Overflow = mullama.OverflowShift
	}
}

// setThink says whether a model that can think does. A level of effort means yes.
func setThink(s *settings, name string, value any) error {
	on, ok := value.(bool)
	level, isLevel := value.(string)
	if !ok && !isLevel {
		return wrongType(name, value, "true, false or a level")
	}
	s.think = &api.Think{Enabled: on || isLevel, Level: level}
	return nil
}

// setTopK takes less than zero for all tokens, as llama-server does.
func setTopK(s *settings, name string, value any) error {
	n, err := toInt(name, value)
	s.sampling.TopK = max(0, n)
	return err
}

// setMaxTokens takes zero and less for as many as fit.
func setMaxTokens(s *settings, name string, value any) error {
	n, err := toInt(name, value)
	s.generate.MaxTokens = max(0, n)
	return err
}

// setSeed takes -1 for a random seed.
func setSeed(s *settings, name string, value any) error {
	f, ok := value.(float64)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<63 {
		return wrongType(name, value, "a whole number")
	}
	s.sampling.Seed = nil
	if f != -1 {
		seed := uint32(int64(f)) //nolint:gosec // any number makes a seed
		s.sampling.Seed = &seed
	}
	return nil
}

// setOrder takes a list of samplers, or one text with commas or semicolons.
func setOrder(s *settings, name string, value any) error {
	list, ok := toTexts(value)
	if !ok {
		return wrongType(name, value, "a list of samplers")
	}
	s.sampling.Order = nil
	for _, text := range list {
		s.sampling.Order = append(s.sampling.Order, strings.FieldsFunc(text, func(r rune) bool {
			return r == ',' || r == ';' || r == ' '
		})...)
	}
	return nil
}

func setGrammar(s *settings, name string, value any) error {
	text, ok := value.(string)
	if !ok {
		return wrongType(name, value, "a string in GBNF")
	}
	s.generate.Grammar = text
	return nil
}

// setLogitBias takes an object of biases by token id, as OpenAI has it, or a list of pairs, as
// llama-server has it. A text in place of an id stands for its tokens, false in place of a number
// forbids the token.
func setLogitBias(s *settings, name string, value any) error {
	const want = "an object of numbers by token id"
	biases, texts := map[mullama.Token]float32{}, map[string]float32{}
	add := func(id, bias any) bool {
		f, number := bias.(float64)
		if b, is := bias.(bool); is && !b {
			f, number = math.Inf(-1), true
		}
		if token, ok := toToken(id); ok {
			biases[token] = float32(f)
			return number
		}
		text, ok := id.(string)
		texts[text] = float32(f)
		return ok && number
	}
	switch v := value.(type) {
	case map[string]any:
		for id, bias := range v {
			if !add(id, bias) {
				return wrongType(name, value, want)
			}
		}
	case []any:
		for _, item := range v {
			pair, ok := item.([]any)
			if !ok || len(pair) != 2 || !add(pair[0], pair[1]) {
				return wrongType(name, value, "a list of pairs of a token id and a number")
			}
		}
	default:
		return wrongType(name, value, want)
	}
	s.sampling.LogitBias, s.biases = biases, texts
	return nil
}

// setAdapters takes a list of objects with the id of an adapter and its scale, as llama-server
// does.
func setAdapters(s *settings, name string, value any) error {
	list, ok := value.([]any)
	s.generate.Adapters = nil
	for _, item := range list {
		a, _ := item.(map[string]any)
		id, isNumber := a["id"].(float64)
		scale, scaled := a["scale"].(float64)
		if !isNumber || !scaled || id != math.Trunc(id) || math.Abs(id) > math.MaxInt32 {
			ok = false
			break
		}
		s.generate.Adapters = append(s.generate.Adapters,
			mullama.AdapterScale{ID: int(id), Scale: float32(scale)})
	}
	if !ok {
		return wrongType(name, value, `a list of objects such as {"id": 0, "scale": 0.5}`)
	}
	return nil
}

func toToken(id any) (mullama.Token, bool) {
	switch v := id.(type) {
	case string:
		n, err := strconv.ParseInt(v, 10, 32)
		return mullama.Token(n), err == nil
	case float64:
		return mullama.Token(v), v == math.Trunc(v) && math.Abs(v) <= math.MaxInt32
	}
	return 0, false
}
