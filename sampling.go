package mullama

import (
	"errors"
	"fmt"
	"math"

	"github.com/mullama/mullama/internal/llama"
)

// Sampling says how tokens are picked. The zero value is greedy; start from [DefaultSampling] to
// change some fields of the usual settings.
type Sampling struct {
	// Temperature divides the logits: below 1 sharper, above 1 flatter, 0 always the likeliest.
	Temperature float32
	TopK        int     // keep the k likeliest tokens; 0: all
	TopP        float32 // keep the likeliest tokens up to this probability together; 1: all
	MinP        float32 // keep tokens at least this likely relative to the likeliest; 0: all
	TypicalP    float32 // keep the most typical tokens up to this probability together; 1: all
	TopNSigma   float32 // keep tokens within n standard deviations of the best logit; 0: all

	// XTC removes all likely tokens but the least likely of them, with XTCProbability; likely means
	// above XTCThreshold. 0: never.
	XTCProbability, XTCThreshold float32

	// The temperature varies by this range with the entropy; 0: constant.
	DynamicTemperatureRange, DynamicTemperatureExponent float32

	// Penalties for tokens among the last RepeatLastN of prompt and answer (-1: all, 0: none).
	RepeatLastN      int
	RepeatPenalty    float32 // divides the logit; 1: off
	FrequencyPenalty float32 // subtracted for each occurrence; 0: off
	PresencePenalty  float32 // subtracted once; 0: off

	// DRY penalises continuing a repetition longer than DRYAllowedLength: the multiplier times base
	// to the power of the excess. DRYMultiplier 0: off. DRYLastN -1: the whole context.
	DRYMultiplier, DRYBase     float32
	DRYAllowedLength, DRYLastN int
	DRYBreakers                []string // strings that end a repetition; nil: line ends and quotes

	// Mirostat 1 or 2 keeps the surprise of the text at tau, with learning rate eta, in place of
	// the filters above. 0: off.
	Mirostat                 int
	MirostatTau, MirostatEta float32

	// AdaptiveTarget is the probability that picked tokens should have on average, AdaptiveDecay
	// how slowly the average follows. Target 0: off.
	AdaptiveTarget, AdaptiveDecay float32

	MinKeep   int      // filters leave at least so many tokens
	Order     []string // names of samplers in order; nil: llama.cpp's order
	LogitBias map[Token]float32
	IgnoreEOS bool // never end by the model's own choice

	// Seed makes a text repeatable. Nil: a random one.
	Seed *uint32
}

// DefaultSampling returns the settings used when none are given: temperature 0.8, top-k 40,
// top-p 0.9, no penalties. They are Ollama's.
func DefaultSampling() Sampling {
	return Sampling{
		Temperature:                0.8,
		TopK:                       40,
		TopP:                       0.9,
		TypicalP:                   1,
		XTCThreshold:               0.1,
		DynamicTemperatureExponent: 1,
		RepeatLastN:                64,
		RepeatPenalty:              1,
		DRYBase:                    1.75,
		DRYAllowedLength:           2,
		DRYLastN:                   -1,
		MirostatTau:                5,
		MirostatEta:                0.1,
		AdaptiveDecay:              0.9,
	}
}

// withNeutral replaces zero by the value that switches a setting off, where zero is not that value,
// so that Sampling{} and Sampling{Temperature: 0.5} mean what they seem to.
func (s Sampling) withNeutral() Sampling {
	for _, f := range []struct {
		field   *float32
		neutral float32
	}{
		{&s.TopP, 1}, {&s.TypicalP, 1}, {&s.RepeatPenalty, 1}, {&s.DynamicTemperatureExponent, 1},
		{&s.TopNSigma, -1}, {&s.AdaptiveTarget, -1},
	} {
		if *f.field == 0 {
			*f.field = f.neutral
		}
	}
	return s
}

// Validate reports the first setting that is out of range or contradicts another.
func (s Sampling) Validate() error {
	n := s.withNeutral()
	for _, r := range []struct {
		name            string
		value, min, max float64
	}{
		{"temperature", float64(n.Temperature), 0, 1e6},
		{"top_k", float64(n.TopK), 0, math.MaxInt32},
		{"top_p", float64(n.TopP), 0, 1},
		{"min_p", float64(n.MinP), 0, 1},
		{"typical_p", float64(n.TypicalP), 0, 1},
		{"top_n_sigma", float64(n.TopNSigma), -1, 1e6},
		{"xtc_probability", float64(n.XTCProbability), 0, 1},
		{"xtc_threshold", float64(n.XTCThreshold), 0, 1},
		{"dynatemp_range", float64(n.DynamicTemperatureRange), 0, 1e6},
		{"dynatemp_exponent", float64(n.DynamicTemperatureExponent), 0, 1e6},
		{"repeat_last_n", float64(n.RepeatLastN), -1, math.MaxInt32},
		{"repeat_penalty", float64(n.RepeatPenalty), 1e-3, 1e3},
		{"frequency_penalty", float64(n.FrequencyPenalty), -1e3, 1e3},
		{"presence_penalty", float64(n.PresencePenalty), -1e3, 1e3},
		{"dry_multiplier", float64(n.DRYMultiplier), 0, 1e6},
		{"dry_base", float64(n.DRYBase), 0, 1e6},
		{"dry_allowed_length", float64(n.DRYAllowedLength), 0, math.MaxInt32},
		{"dry_last_n", float64(n.DRYLastN), -1, math.MaxInt32},
		{"mirostat", float64(n.Mirostat), 0, 2},
		{"mirostat_tau", float64(n.MirostatTau), 0, 1e6},
		{"mirostat_eta", float64(n.MirostatEta), 0, 1e6},
		{"adaptive_target", float64(n.AdaptiveTarget), -1, 1},
		{"adaptive_decay", float64(n.AdaptiveDecay), 0, 0.99},
		{"min_keep", float64(n.MinKeep), 0, math.MaxInt32},
	} {
		if !(r.value >= r.min && r.value <= r.max) { // also refuses NaN
			return invalid("sampling", fmt.Sprintf("%s is %s; it must be from %g to %g",
				r.name, shortest(r.value), r.min, r.max))
		}
	}
	return n.contradictions()
}

// shortest writes a setting as it was given: 1.01 and not the float64 that is nearest to a float32.
func shortest(value float64) string {
	if float64(float32(value)) == value {
		return fmt.Sprint(float32(value))
	}
	return fmt.Sprint(value)
}

func (s *Sampling) contradictions() error {
	for token, bias := range s.LogitBias {
		if b := float64(bias); math.IsNaN(b) || math.IsInf(b, 1) {
			return invalid("sampling", fmt.Sprintf(
				"logit bias for token %d is %g; it must be finite, or -Inf to ban it", token, bias))
		}
	}
	switch {
	case s.Mirostat > 0 && s.Temperature == 0:
		return invalid("sampling", "mirostat needs a temperature above 0")
	case s.Mirostat > 0 && s.AdaptiveTarget >= 0:
		return invalid("sampling", "mirostat and adaptive_target both pick the token; use one")
	case s.Mirostat > 0 && len(s.Order) > 0:
		return invalid("sampling", "mirostat replaces the samplers, so it cannot have an order")
	}
	return nil
}

// toEngine turns s into the engine's parameters.
func (s Sampling) toEngine(grammar string) (llama.SamplerParams, error) {
	if err := s.Validate(); err != nil {
		return llama.SamplerParams{}, err
	}
	if grammar != "" && s.IgnoreEOS {
		return llama.SamplerParams{}, &Error{Kind: ErrInvalidOption, Op: "sampling",
			Err: errors.New("a grammar ends the text, so the end cannot be ignored")}
	}
	s = s.withNeutral()
	seed := uint32(llama.RandomSeed)
	if s.Seed != nil {
		seed = *s.Seed
	}
	return llama.SamplerParams{
		Seed:             seed,
		Temperature:      s.Temperature,
		TopK:             s.TopK,
		TopP:             s.TopP,
		MinP:             s.MinP,
		TypicalP:         s.TypicalP,
		TopNSigma:        s.TopNSigma,
		XTCProbability:   s.XTCProbability,
		XTCThreshold:     s.XTCThreshold,
		DynatempRange:    s.DynamicTemperatureRange,
		DynatempExponent: s.DynamicTemperatureExponent,
		RepeatLastN:      s.RepeatLastN,
		RepeatPenalty:    s.RepeatPenalty,
		FrequencyPenalty: s.FrequencyPenalty,
		PresencePenalty:  s.PresencePenalty,
		DRYMultiplier:    s.DRYMultiplier,
		DRYBase:          s.DRYBase,
		DRYAllowedLength: s.DRYAllowedLength,
		DRYLastN:         s.DRYLastN,
		DRYBreakers:      s.DRYBreakers,
		Mirostat:         s.Mirostat,
		MirostatTau:      s.MirostatTau,
		MirostatEta:      s.MirostatEta,
		AdaptiveTarget:   s.AdaptiveTarget,
		AdaptiveDecay:    s.AdaptiveDecay,
		MinKeep:          s.MinKeep,
		Order:            s.Order,
		LogitBias:        s.LogitBias,
		IgnoreEOS:        s.IgnoreEOS,
		Grammar:          grammar,
	}, nil
}
