package server

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/mullama/mullama"
)

// tokenBias is a bias as llama-server tells it. JSON has no infinity: a token that is forbidden has
// the bias null.
type tokenBias struct {
	Token mullama.Token `json:"token"`
	Bias  *float32      `json:"bias"`
}

// generationSettings are the options of a generation under the names that llama-server has for
// them.
func generationSettings(g *mullama.GenerateOptions) map[string]any {
	p := g.Sampling
	limit := g.MaxTokens
	if limit == 0 {
		limit = -1
	}
	seed := int64(math.MaxUint32) // a random one
	if p.Seed != nil {
		seed = int64(*p.Seed)
	}
	return map[string]any{
		"n_predict": limit, "max_tokens": limit, "n_keep": g.Keep, "seed": seed,
		"temperature": p.Temperature, "dynatemp_range": p.DynamicTemperatureRange,
		"dynatemp_exponent": p.DynamicTemperatureExponent,
		"top_k":             p.TopK, "top_p": p.TopP, "min_p": p.MinP, "typical_p": p.TypicalP,
		"top_n_sigma": p.TopNSigma, "min_keep": p.MinKeep,
		"xtc_probability": p.XTCProbability, "xtc_threshold": p.XTCThreshold,
		"repeat_last_n": p.RepeatLastN, "repeat_penalty": p.RepeatPenalty,
		"presence_penalty": p.PresencePenalty, "frequency_penalty": p.FrequencyPenalty,
		"dry_multiplier": p.DRYMultiplier, "dry_base": p.DRYBase,
		"dry_allowed_length": p.DRYAllowedLength, "dry_penalty_last_n": p.DRYLastN,
		"dry_sequence_breakers": notNil(p.DRYBreakers),
		"mirostat":              p.Mirostat, "mirostat_tau": p.MirostatTau,
		"mirostat_eta":    p.MirostatEta,
		"adaptive_target": p.AdaptiveTarget, "adaptive_decay": p.AdaptiveDecay,
		"samplers": notNil(p.Order), "stop": notNil(g.Stop), "grammar": g.Grammar,
		"ignore_eos": p.IgnoreEOS, "logit_bias": toBiases(p.LogitBias),
		"n_probs": g.TopLogprobs, "cache_prompt": !g.Fresh,
	}
}

// notNil makes an empty list of no list, which JSON would show as null.
func notNil(list []string) []string { return append([]string{}, list...) }

func toBiases(biases map[mullama.Token]float32) []tokenBias {
	list := []tokenBias{}
	for token, bias := range biases {
		b := tokenBias{Token: token}
		if !math.IsInf(float64(bias), 0) {
			b.Bias = &bias
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b tokenBias) int { return int(a.Token) - int(b.Token) })
	return list
}

// fieldAt finds a field by its path.
func fieldAt(object map[string]json.RawMessage, path string) (json.RawMessage, bool) {
	outer, inner, nested := strings.Cut(path, "/")
	value, ok := object[outer]
	if !ok || !nested {
		return value, ok
	}
	var within map[string]json.RawMessage
	if json.Unmarshal(value, &within) != nil {
		return nil, false
	}
	return fieldAt(within, inner)
}

// pickFields keeps of an answer what a request asks for. A field within another one is named
// outer/inner, and has that name in what is returned.
func pickFields(answer []byte, paths []string) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(answer, &all); err != nil {
		return nil, err
	}
	picked := map[string]json.RawMessage{}
	for _, path := range paths {
		if value, ok := fieldAt(all, path); ok {
			picked[path] = value
		}
	}
	return json.Marshal(picked)
}
