package llama_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/synth"
)

// sampled returns n tokens after a prompt, by a sampler of these options in a new context.
func sampled(t testing.TB, p llama.SamplerParams, n int) []llama.Token {
	t.Helper()
	m := tiny(t)
	return generate(t, newContext(t, m, smallContext(t)), newSampler(t, m, p), 0,
		tokenize(t, m, "the time of the day"), n)
}

func TestGreedyTakesTheLikeliest(t *testing.T) {
	m := tiny(t)
	c := newContext(t, m, smallContext(t))
	for name, p := range genericGreedy(t) {
		t.Run(name, func(t *testing.T) {
			if got, want := sampled(t, p, 40), sampled(t, greedy(t), 40); !slices.Equal(got, want) {
				t.Errorf("%v, want what the short way gives, %v", got, want)
			}
		})
	}
	tokens := tokenize(t, m, "the day")
	s := newSampler(t, m, greedy(t))
	for pos := int32(0); pos < 20; pos++ {
		c.Begin()
		c.Sample(c.Add(tokens[min(int(pos), len(tokens)-1)], pos, 0), s, 1)
		result, err := c.Step()
		if err != nil {
			t.Fatal(err)
		}
		if row := rowOf(t, result); row.Token != row.Top[0].Token {
			t.Errorf("position %d: token %d, the likeliest is %d", pos, row.Token, row.Top[0].Token)
		}
	}
}

// genericGreedy are options that end in the same choice through llama.cpp's chain of samplers.
func genericGreedy(t testing.TB) map[string]llama.SamplerParams {
	bias, order, top1, grammar := greedy(t), greedy(t), greedy(t), greedy(t)
	bias.LogitBias = map[llama.Token]float32{70: 0}
	order.Order = []string{"top_k", "temperature"}
	top1.Temperature, top1.TopK = 1, 1
	grammar.Grammar = "root ::= [^\\x00]*"
	negative := greedy(t)
	negative.Temperature, negative.Order = -1, []string{"temperature"}
	return map[string]llama.SamplerParams{"bias of 0": bias, "order": order, "top_k 1": top1,
		"below 0": negative}
}

func TestSeedsRepeat(t *testing.T) {
	p := library(t).DefaultSamplerParams()
	p.Temperature, p.TopK, p.TopP, p.MinP, p.Seed = 1.5, 0, 1, 0, 42
	first := sampled(t, p, 20)
	if again := sampled(t, p, 20); !slices.Equal(again, first) {
		t.Errorf("seed 42 gives %v, then %v", first, again)
	}
	p.Seed = 43
	if other := sampled(t, p, 20); slices.Equal(other, first) {
		t.Error("seeds 42 and 43 give the same")
	}
	if s := newSampler(t, tiny(t), p); s.Seed() != 43 {
		t.Errorf("seed is %d, want 43", s.Seed())
	}
	p.Seed = llama.RandomSeed
	one, two := newSampler(t, tiny(t), p).Seed(), newSampler(t, tiny(t), p).Seed()
	if one == llama.RandomSeed || one == two {
		t.Errorf("random seeds became %d and %d", one, two)
	}
}

func TestBansAndBiases(t *testing.T) {
	want := sampled(t, greedy(t), 1)[0]
	p := greedy(t)
	p.LogitBias = map[llama.Token]float32{want: float32(math.Inf(-1))}
	if got := sampled(t, p, 20); slices.Contains(got, want) {
		t.Errorf("the banned token %d is in %v", want, got)
	}
	p.LogitBias = map[llama.Token]float32{300: 1e9}
	for _, got := range sampled(t, p, 5) {
		if got != 300 {
			t.Errorf("token %d, want the favoured 300", got)
		}
	}
	p.LogitBias = map[llama.Token]float32{synth.TokenEnd: 1e9, synth.TokenChatEnd: 1e9}
	if got := sampled(t, p, 1)[0]; got != synth.TokenEnd && got != synth.TokenChatEnd {
		t.Errorf("token %d, want an end", got)
	}
	p.IgnoreEOS = true
	if got := sampled(t, p, 5); slices.ContainsFunc(got, tiny(t).IsEnd) {
		t.Errorf("an end is in %v", got)
	}
}

// distinct counts the different tokens of a long text.
func distinct(t testing.TB, p llama.SamplerParams) int {
	t.Helper()
	tokens := sampled(t, p, 60)
	slices.Sort(tokens)
	return len(slices.Compact(tokens))
}

func TestPenaltiesReduceRepeats(t *testing.T) {
	// Raised to repeat without penalties: the last tokens come again and again.
	base := greedy(t)
	base.LogitBias = map[llama.Token]float32{70: 20, 71: 19.5, 72: 19, 73: 18.5}
	plain := distinct(t, base)
	for name, change := range map[string]func(*llama.SamplerParams){
		"repeat":    func(p *llama.SamplerParams) { p.RepeatPenalty = 1.5 },
		"frequency": func(p *llama.SamplerParams) { p.FrequencyPenalty = 2 },
		"presence":  func(p *llama.SamplerParams) { p.PresencePenalty = 10 },
		"DRY": func(p *llama.SamplerParams) {
			p.DRYMultiplier, p.DRYBase, p.DRYAllowedLength, p.DRYLastN = 10, 2, 1, -1
		},
	} {
		p := base
		change(&p)
		if got := distinct(t, p); got <= plain {
			t.Errorf("%s: %d different tokens, %d without", name, got, plain)
		}
		off := p
		off.RepeatLastN, off.DRYLastN = 0, 0
		if got := distinct(t, off); got != plain {
			t.Errorf("%s over no tokens: %d different tokens, want %d", name, got, plain)
		}
	}
}

// Frequency penalties count: a token accepted twice would be penalised twice as much.
func TestTokensAreAcceptedOnce(t *testing.T) {
	p := greedy(t)
	p.RepeatLastN, p.FrequencyPenalty = -1, 1000
	p.LogitBias = map[llama.Token]float32{70: 100_000, 71: 98_500}
	// 70 falls by 1000 with each use: 100, 99, 98 thousand, and then 71 is ahead.
	got := sampled(t, p, 5)
	if want := []llama.Token{70, 70, 71, 70, 71}; !slices.Equal(got, want) {
		t.Errorf("tokens %v, want %v", got, want)
	}
	s := newSampler(t, tiny(t), p)
	s.Prime([]llama.Token{70, -5, 1 << 30, 70})
	c := newContext(t, tiny(t), smallContext(t))
	got = generate(t, c, s, 0, []llama.Token{75}, 3)
	if want := []llama.Token{71, 70, 71}; !slices.Equal(got, want) {
		t.Errorf("after priming: %v, want %v", got, want)
	}
}

func TestEveryOptionMatters(t *testing.T) {
	base := library(t).DefaultSamplerParams()
	base.Temperature, base.TopK, base.TopP, base.MinP, base.Seed = 1.5, 0, 1, 0, 7
	plain := sampled(t, base, 30)
	for name, change := range map[string]func(*llama.SamplerParams){
		"temperature": func(p *llama.SamplerParams) { p.Temperature = 0.3 },
		"top_k":       func(p *llama.SamplerParams) { p.TopK = 2 },
		"top_p":       func(p *llama.SamplerParams) { p.TopP = 0.1 },
		"min_p":       func(p *llama.SamplerParams) { p.MinP = 0.8 },
		"typical_p":   func(p *llama.SamplerParams) { p.TypicalP = 0.1 },
		"top_n_sigma": func(p *llama.SamplerParams) { p.TopNSigma = 0.5 },
		"XTC": func(p *llama.SamplerParams) {
			p.XTCProbability, p.XTCThreshold = 1, 0.001
		},
		"dynamic temperature": func(p *llama.SamplerParams) { p.DynatempRange = 1.4 },
		"mirostat 1":          func(p *llama.SamplerParams) { p.Mirostat, p.MirostatTau = 1, 1 },
		"mirostat 2":          func(p *llama.SamplerParams) { p.Mirostat, p.MirostatTau = 2, 1 },
		"adaptive":            func(p *llama.SamplerParams) { p.AdaptiveTarget = 0.5 },
	} {
		p := base
		change(&p)
		got := sampled(t, p, 30)
		if slices.Equal(got, plain) {
			t.Errorf("%s changes nothing", name)
		}
		if again := sampled(t, p, 30); !slices.Equal(again, got) {
			t.Errorf("%s does not repeat with the same seed", name)
		}
	}
}

func TestDescribeNamesTheChain(t *testing.T) {
	m := tiny(t)
	short, err := newSampler(t, m, greedy(t)).Describe()
	if err != nil || short != "logits -> greedy" {
		t.Errorf("greedy is %q, %v", short, err)
	}
	p := library(t).DefaultSamplerParams()
	p.Order = []string{"min_p", "temperature", "top_k"}
	text, err := newSampler(t, m, p).Describe()
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for _, name := range []string{"min-p", "temp", "top-k", "dist"} {
		pos := strings.Index(text, name)
		if pos <= last {
			t.Errorf("%q is not in its place in %q", name, text)
		}
		last = pos
	}
}

func TestWrongSamplerOptions(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, tt := range []struct {
		change func(*llama.SamplerParams)
		want   string
	}{
		{func(p *llama.SamplerParams) { p.Temperature = nan }, "temperature"},
		{func(p *llama.SamplerParams) { p.TopP = nan }, "top_p"},
		{func(p *llama.SamplerParams) { p.MinP = inf }, "min_p"},
		{func(p *llama.SamplerParams) { p.TypicalP = nan }, "typical_p"},
		{func(p *llama.SamplerParams) { p.TopNSigma = nan }, "top_n_sigma"},
		{func(p *llama.SamplerParams) { p.XTCThreshold = nan }, "xtc_threshold"},
		{func(p *llama.SamplerParams) { p.XTCProbability = nan }, "xtc_probability"},
		{func(p *llama.SamplerParams) { p.DynatempExponent = nan }, "dynatemp_exponent"},
		{func(p *llama.SamplerParams) { p.RepeatPenalty = 0 }, "penalty_repeat"},
		{func(p *llama.SamplerParams) { p.RepeatPenalty = nan }, "penalty_repeat"},
		{func(p *llama.SamplerParams) { p.FrequencyPenalty = inf }, "penalty_freq"},
		{func(p *llama.SamplerParams) { p.PresencePenalty = nan }, "penalty_present"},
		{func(p *llama.SamplerParams) { p.DRYMultiplier = nan }, "dry_multiplier"},
		{func(p *llama.SamplerParams) { p.DRYAllowedLength = -1 }, "dry_allowed_length"},
		{func(p *llama.SamplerParams) { p.Mirostat = 3 }, "mirostat"},
		{func(p *llama.SamplerParams) { p.MirostatTau = nan }, "mirostat_tau"},
		{func(p *llama.SamplerParams) { p.AdaptiveTarget = nan }, "adaptive_target"},
		{func(p *llama.SamplerParams) { p.AdaptiveDecay = nan }, "adaptive_decay"},
		{func(p *llama.SamplerParams) { p.MinKeep = -1 }, "min_keep"},
		{func(p *llama.SamplerParams) { p.Order = []string{"top_k", "luck"} }, "luck"},
		{func(p *llama.SamplerParams) { p.Order = []string{""} }, "sampler"},
		{func(p *llama.SamplerParams) { p.LogitBias = map[llama.Token]float32{-1: 1} }, "-1"},
		{func(p *llama.SamplerParams) { p.LogitBias = map[llama.Token]float32{1 << 30: 1} },
			"1073741824"},
		{func(p *llama.SamplerParams) { p.LogitBias = map[llama.Token]float32{70: nan} }, "70"},
		{func(p *llama.SamplerParams) { p.LogitBias = map[llama.Token]float32{70: inf} }, "70"},
	} {
		for _, temperature := range []float32{0, 1} {
			p := library(t).DefaultSamplerParams()
			p.Temperature = temperature
			tt.change(&p)
			s, err := tiny(t).NewSampler(p)
			if err == nil {
				s.Close()
				t.Errorf("%s: no error at temperature %g", tt.want, temperature)
				continue
			}
			wantError(t, err, llama.ErrInvalid, tt.want)
		}
	}
}

func TestExtremeSamplerOptionsSample(t *testing.T) {
	for name, change := range map[string]func(*llama.SamplerParams){
		"zeros": func(p *llama.SamplerParams) {
			p.TopP, p.TypicalP, p.TopNSigma = 0, 0, 0
		},
		"negative": func(p *llama.SamplerParams) {
			p.TopP, p.MinP, p.TypicalP, p.TopK = -1, -1, -1, -9
		},
		"large": func(p *llama.SamplerParams) {
			p.TopP, p.MinP, p.TopK = 99, 99, math.MaxInt32
		},
		"hot":  func(p *llama.SamplerParams) { p.Temperature = math.MaxFloat32 },
		"cold": func(p *llama.SamplerParams) { p.Temperature = 1e-30 },
		"history": func(p *llama.SamplerParams) {
			p.RepeatLastN, p.RepeatPenalty = math.MaxInt32, 1.1
		},
		"DRY history": func(p *llama.SamplerParams) {
			p.DRYMultiplier, p.DRYLastN = 1, math.MaxInt32
		},
		"DRY base": func(p *llama.SamplerParams) {
			p.DRYMultiplier, p.DRYBase = 1, math.MaxFloat32
		},
		"DRY breakers": func(p *llama.SamplerParams) {
			p.DRYMultiplier, p.DRYBreakers = 1, []string{"", "\xff"}
		},
		"XTC": func(p *llama.SamplerParams) {
			p.XTCProbability, p.XTCThreshold = 99, -1
		},
		"keep": func(p *llama.SamplerParams) { p.MinKeep, p.TopP = math.MaxInt32, 0.1 },
		"dynamic": func(p *llama.SamplerParams) {
			p.DynatempRange, p.DynatempExponent = -9, -9
		},
		"mirostat": func(p *llama.SamplerParams) {
			p.Mirostat, p.MirostatTau, p.MirostatEta = 2, -99, 99
		},
		"mirostat 1": func(p *llama.SamplerParams) {
			p.Mirostat, p.MirostatTau, p.MirostatEta = 1, 0, 0
		},
		"adaptive": func(p *llama.SamplerParams) {
			p.AdaptiveTarget, p.AdaptiveDecay = 99, 99
		},
		"penalty":         func(p *llama.SamplerParams) { p.RepeatPenalty = math.MaxFloat32 },
		"everything once": func(p *llama.SamplerParams) { p.Order = everySampler },
		"no samplers":     func(p *llama.SamplerParams) { p.Order = []string{} },
		"one many times": func(p *llama.SamplerParams) {
			p.Order = slices.Repeat([]string{"top_k"}, 500)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := library(t).DefaultSamplerParams()
			change(&p)
			sampled(t, p, 5)
		})
	}
}

var everySampler = []string{"penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p",
	"xtc", "temperature", "infill", "adaptive_p"}
