package mullama

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// requestOptions are the options of a request under their names on the wire.
func (r *remote) requestOptions(o *GenerateOptions) map[string]any {
	options := map[string]any{"num_predict": o.MaxTokens}
	maps.Copy(options, r.options)
	if o.Sampling != nil {
		maps.Copy(options, o.Sampling.withNeutral().onWire())
	}
	if o.MaxTokens == 0 {
		options["num_predict"] = -1
	}
	if o.Chosen != nil {
		maps.DeleteFunc(options, func(name string, _ any) bool {
			_, loading := r.options[name]
			return !loading && !slices.Contains(o.Chosen, name)
		})
	}
	if o.Keep != 0 {
		options["num_keep"] = o.Keep
	}
	if o.Fresh {
		options["cache_prompt"] = false
	}
	if len(o.Adapters) > 0 {
		options["lora"] = adaptersOnWire(o.Adapters)
	}
	if len(o.Stop) > 0 {
		options["stop"] = o.Stop
	}
	if o.Grammar != "" {
		options["grammar"] = o.Grammar
	}
	return options
}

// onWire names every setting.
func (s Sampling) onWire() map[string]any {
	options := map[string]any{
		"temperature":        s.Temperature,
		"top_k":              s.TopK,
		"top_p":              s.TopP,
		"min_p":              s.MinP,
		"typical_p":          s.TypicalP,
		"top_n_sigma":        s.TopNSigma,
		"xtc_probability":    s.XTCProbability,
		"xtc_threshold":      s.XTCThreshold,
		"dynatemp_range":     s.DynamicTemperatureRange,
		"dynatemp_exponent":  s.DynamicTemperatureExponent,
		"repeat_last_n":      s.RepeatLastN,
		"repeat_penalty":     s.RepeatPenalty,
		"frequency_penalty":  s.FrequencyPenalty,
		"presence_penalty":   s.PresencePenalty,
		"dry_multiplier":     s.DRYMultiplier,
		"dry_base":           s.DRYBase,
		"dry_allowed_length": s.DRYAllowedLength,
		"dry_penalty_last_n": s.DRYLastN,
		"mirostat":           s.Mirostat,
		"mirostat_tau":       s.MirostatTau,
		"mirostat_eta":       s.MirostatEta,
		"adaptive_target":    s.AdaptiveTarget,
		"adaptive_decay":     s.AdaptiveDecay,
		"min_keep":           s.MinKeep,
		"ignore_eos":         s.IgnoreEOS,
		"seed":               -1, // a random one, whatever the model's own is
	}
	if s.Seed != nil {
		options["seed"] = *s.Seed
	}
	if len(s.Order) > 0 {
		options["samplers"] = s.Order
	}
	if s.DRYBreakers != nil {
		options["dry_sequence_breakers"] = s.DRYBreakers
	}
	if len(s.LogitBias) > 0 {
		options["logit_bias"] = biasOnWire(s.LogitBias)
	}
	return options
}

// biasOnWire is the bias as OpenAI's API has it. JSON has no infinity, and -1e30 forbids as surely.
func biasOnWire(bias map[Token]float32) map[string]float32 {
	out := map[string]float32{}
	for token, amount := range bias {
		out[strconv.Itoa(int(token))] = max(amount, -1e30)
	}
	return out
}

// format is the form of the answer as a request says it.
func (o *GenerateOptions) format() json.RawMessage {
	if o.JSONSchema == "" || !json.Valid([]byte(o.JSONSchema)) {
		return nil // what is no JSON is refused by check
	}
	return json.RawMessage(o.JSONSchema)
}
