package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mullama/mullama"
)

// parameters is the one list of what can be chosen about an answer. Flags, /set parameter,
// /show parameters and the help are made from it.
var parameters = []*parameter{
	withShort(
		"n",
		integer("num_predict", "most tokens to answer with; 0 or -1: until the context is full",
			func(s *settings) *int { return &s.maxTokens }),
	),
	texts("stop", "stop before this text (repeatable)",
		func(s *settings) *[]string { return &s.stop }),
	seedParameter(),
	number("temperature", "randomness; 0 always takes the likeliest token",
		func(s *settings) *float32 { return &s.sampling.Temperature }),
	integer("top_k", "keep the k likeliest tokens; 0: all",
		func(s *settings) *int { return &s.sampling.TopK }),
	number("top_p", "keep the likeliest tokens that together reach this probability; 1: all",
		func(s *settings) *float32 { return &s.sampling.TopP }),
	number("min_p", "drop tokens below this share of the likeliest one's probability; 0: none",
		func(s *settings) *float32 { return &s.sampling.MinP }),
	number("typical_p", "locally typical sampling; 1: off",
		func(s *settings) *float32 { return &s.sampling.TypicalP }),
	number(
		"top_n_sigma",
		"keep tokens within n standard deviations of the best logit; 0: off",
		func(s *settings) *float32 { return &s.sampling.TopNSigma },
	),
	number("xtc_probability", "chance to leave out the likeliest tokens; 0: off",
		func(s *settings) *float32 { return &s.sampling.XTCProbability }),
	number("xtc_threshold", "probability a token needs to be left out by XTC",
		func(s *settings) *float32 { return &s.sampling.XTCThreshold }),
	number("dynatemp_range", "vary the temperature by this much with the model's certainty; 0: off",
		func(s *settings) *float32 { return &s.sampling.DynamicTemperatureRange }),
	number("dynatemp_exponent", "how certainty maps to the varied temperature",
		func(s *settings) *float32 { return &s.sampling.DynamicTemperatureExponent }),
	integer("repeat_last_n", "tokens that the penalties look back on; 0: off, -1: the context",
		func(s *settings) *int { return &s.sampling.RepeatLastN }),
	number("repeat_penalty", "divide the logit of repeated tokens by this; 1: off",
		func(s *settings) *float32 { return &s.sampling.RepeatPenalty }),
	number("frequency_penalty", "subtract this for each time a token was used; 0: off",
		func(s *settings) *float32 { return &s.sampling.FrequencyPenalty }),
	number("presence_penalty", "subtract this once from tokens that were used; 0: off",
		func(s *settings) *float32 { return &s.sampling.PresencePenalty }),
	number("dry_multiplier", "strength of the penalty on repeated phrases (DRY); 0: off",
		func(s *settings) *float32 { return &s.sampling.DRYMultiplier }),
	number("dry_base", "growth of the DRY penalty with the length of the phrase",
		func(s *settings) *float32 { return &s.sampling.DRYBase }),
	integer("dry_allowed_length", "length of phrase that DRY lets pass",
		func(s *settings) *int { return &s.sampling.DRYAllowedLength }),
	integer("dry_last_n", "tokens that DRY looks back on; 0: off, -1: the context",
		func(s *settings) *int { return &s.sampling.DRYLastN }),
	texts("dry_breaker", "text that ends a phrase for DRY (repeatable, replaces the usual ones)",
		func(s *settings) *[]string { return &s.sampling.DRYBreakers }),
	integer(
		"mirostat",
		"steer to a constant surprise instead of top-k, top-p and so on: 0 off, 1, 2",
		func(s *settings) *int { return &s.sampling.Mirostat },
	),
	number("mirostat_tau", "surprise that mirostat aims at",
		func(s *settings) *float32 { return &s.sampling.MirostatTau }),
	number("mirostat_eta", "learning rate of mirostat",
		func(s *settings) *float32 { return &s.sampling.MirostatEta }),
	number("adaptive_target", "prefer tokens near this probability; 0: off",
		func(s *settings) *float32 { return &s.sampling.AdaptiveTarget }),
	number("adaptive_decay", "how slowly the adaptive target forgets; 0 to 0.99",
		func(s *settings) *float32 { return &s.sampling.AdaptiveDecay }),
	integer("min_keep", "tokens that every filter leaves at least; 0: one",
		func(s *settings) *int { return &s.sampling.MinKeep }),
	orderParameter(),
	biasParameter(),
	ignoreEOSParameter(),
}

// withShort gives p a one-letter flag.
func withShort(short string, p *parameter) *parameter {
	p.short = short
	return p
}

// seedParameter is the seed, where no value means a random one.
func seedParameter() *parameter {
	return &parameter{
		name: "seed", kind: "int", help: "same seed, same answer; -1: a random one",
		get: func(s *settings) string {
			if s.sampling.Seed == nil {
				return "-1"
			}
			return fmt.Sprint(*s.sampling.Seed)
		},
		set: func(s *settings, values []string) (err error) {
			s.sampling.Seed, err = parseInto(s.sampling.Seed, values, parseSeed)
			return err
		},
	}
}

// orderParameter is the order of the samplers, separated by commas.
func orderParameter() *parameter {
	return &parameter{
		name: "samplers", kind: "list", help: "samplers in the order they act, separated by commas",
		get: func(s *settings) string { return strings.Join(s.sampling.Order, ",") },
		set: func(s *settings, values []string) error {
			s.sampling.Order = splitList(strings.Join(values, ","))
			return nil
		},
	}
}

// biasParameter is the set of tokens made likelier or less likely.
func biasParameter() *parameter {
	return &parameter{
		name: "logit_bias", kind: "TOKEN=VALUE", list: true,
		help: "add VALUE to the logit of token id TOKEN, -inf forbids it (repeatable)",
		get: func(s *settings) string {
			var all []string
			for token, bias := range s.sampling.LogitBias {
				all = append(all, fmt.Sprintf("%d=%s", token, formatNumber(bias)))
			}
			slices.Sort(all)
			return strings.Join(all, " ")
		},
		set: func(s *settings, values []string) error {
			biases := make(map[mullama.Token]float32, len(values))
			for _, text := range values {
				token, bias, err := parseBias(text)
				if err != nil {
					return err
				}
				biases[token] = bias
			}
			s.sampling.LogitBias = biases
			return nil
		},
	}
}

// ignoreEOSParameter makes the answer go on past the model's end token.
func ignoreEOSParameter() *parameter {
	return &parameter{
		name:  "ignore_eos",
		kind:  "bool",
		alone: "true",
		help:  "go on after the model says it is done",
		get:   func(s *settings) string { return fmt.Sprint(s.sampling.IgnoreEOS) },
		set: func(s *settings, values []string) (err error) {
			s.sampling.IgnoreEOS, err = parseInto(s.sampling.IgnoreEOS, values, parseSwitch)
			return err
		},
	}
}
