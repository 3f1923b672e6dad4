package mullama_test

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

func TestDefaultAndZeroSamplingAreValid(t *testing.T) {
	for name, s := range map[string]mullama.Sampling{
		"default": mullama.DefaultSampling(), "zero": {}, "one": {Temperature: 1},
		"banned":   {LogitBias: map[mullama.Token]float32{3: float32(math.Inf(-1))}},
		"mirostat": {Temperature: 1, Mirostat: 2, MirostatTau: 5, MirostatEta: 0.1},
		"adaptive": {Temperature: 1, AdaptiveTarget: 0.5, AdaptiveDecay: 0.9},
		"all":      {RepeatLastN: -1, DRYLastN: -1, TopNSigma: -1, AdaptiveTarget: -1},
	} {
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSamplingThatCannotBe(t *testing.T) {
	type sampling = mullama.Sampling
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, tt := range []struct {
		s    sampling
		says string
	}{
		{sampling{Temperature: -1}, "temperature is -1; it must be from 0 to 1e+06"},
		{sampling{Temperature: nan}, "temperature is NaN"},
		{sampling{Temperature: inf}, "temperature is +Inf"},
		{sampling{TopK: -1}, "top_k is -1"},
		{sampling{TopP: 1.01}, "top_p is 1.01"},
		{sampling{TopP: nan}, "top_p is NaN"},
		{sampling{MinP: -0.5}, "min_p is -0.5; it must be from 0 to 1"},
		{sampling{TypicalP: 2}, "typical_p is 2"},
		{sampling{TopNSigma: -2}, "top_n_sigma is -2"},
		{sampling{XTCProbability: 2}, "xtc_probability is 2"},
		{sampling{XTCThreshold: -1}, "xtc_threshold is -1"},
		{sampling{DynamicTemperatureRange: -1}, "dynatemp_range is -1"},
		{sampling{DynamicTemperatureExponent: -1}, "dynatemp_exponent is -1"},
		{sampling{RepeatLastN: -2}, "repeat_last_n is -2"},
		{sampling{RepeatPenalty: -1}, "repeat_penalty is -1; it must be from 0.001 to 1000"},
		{sampling{RepeatPenalty: 1e-9}, "repeat_penalty is"},
		{sampling{FrequencyPenalty: inf}, "frequency_penalty is +Inf"},
		{sampling{PresencePenalty: -2000}, "presence_penalty is -2000"},
		{sampling{DRYMultiplier: -1}, "dry_multiplier is -1"},
		{sampling{DRYBase: -1}, "dry_base is -1"},
		{sampling{DRYAllowedLength: -1}, "dry_allowed_length is -1"},
		{sampling{DRYLastN: -2}, "dry_last_n is -2"},
		{sampling{Mirostat: 3}, "mirostat is 3; it must be from 0 to 2"},
		{sampling{MirostatTau: -1}, "mirostat_tau is -1"},
		{sampling{MirostatEta: -1}, "mirostat_eta is -1"},
		{sampling{AdaptiveTarget: 2}, "adaptive_target is 2"},
		{sampling{AdaptiveDecay: 1}, "adaptive_decay is 1"},
		{sampling{MinKeep: -1}, "min_keep is -1"},
		{sampling{LogitBias: map[mullama.Token]float32{7: nan}}, "logit bias for token 7 is NaN"},
		{sampling{LogitBias: map[mullama.Token]float32{7: inf}}, "or -Inf to ban it"},
		{sampling{Mirostat: 1}, "mirostat needs a temperature above 0"},
		{sampling{Temperature: 1, Mirostat: 1, AdaptiveTarget: 0.5}, "both pick the token"},
		{sampling{Temperature: 1, Mirostat: 1, Order: []string{"top_k"}},
			"mirostat replaces the samplers"},
	} {
		t.Run(tt.says, func(t *testing.T) {
			wantKind(t, tt.s.Validate(), mullama.ErrInvalidOption, "sampling", tt.says)
		})
	}
}

func TestNeutralSettingsDoNotChangeTheText(t *testing.T) {
	m := tinyModel(t)
	seed := uint32(4)
	text := func(s mullama.Sampling) string {
		s.Seed = &seed
		return generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 25, Sampling: &s}).Text
	}
	want := text(mullama.Sampling{Temperature: 1})
	for name, s := range map[string]mullama.Sampling{
		"ones": {Temperature: 1, TopP: 1, TypicalP: 1, RepeatPenalty: 1, RepeatLastN: 64,
			DynamicTemperatureExponent: 1},
		"off": {Temperature: 1, TopNSigma: -1, AdaptiveTarget: -1, DRYLastN: -1, DRYBase: 2},
	} {
		if got := text(s); got != want {
			t.Errorf("%s: got %q; want %q", name, got, want)
		}
	}
}

func TestEachSettingChangesTheText(t *testing.T) {
	m := tinyModel(t)
	seed := uint32(4)
	text := func(s mullama.Sampling) string {
		s.Seed = &seed
		return generate(t, m, "so so so so", mullama.GenerateOptions{
			MaxTokens: 60, Sampling: &s}).Text
	}
	plain := text(mullama.Sampling{Temperature: 1})
	for name, s := range map[string]mullama.Sampling{
		"temperature": {Temperature: 0.3}, "greedy": {}, "top_k": {Temperature: 1, TopK: 2},
		"top_p": {Temperature: 1, TopP: 0.2}, "min_p": {Temperature: 1, MinP: 0.5},
		"typical_p":   {Temperature: 1, TypicalP: 0.2},
		"top_n_sigma": {Temperature: 1, TopNSigma: 0.5},
		"xtc":         {Temperature: 1, XTCProbability: 1, XTCThreshold: 0.01},
		"dynatemp":    {Temperature: 1, DynamicTemperatureRange: 0.9},
		"repeat":      {Temperature: 1, RepeatPenalty: 1.5, RepeatLastN: 64},
		"frequency":   {Temperature: 1, FrequencyPenalty: 2, RepeatLastN: 64},
		"presence":    {Temperature: 1, PresencePenalty: 2, RepeatLastN: -1},
		"mirostat 1":  {Temperature: 1, Mirostat: 1, MirostatTau: 2, MirostatEta: 0.1},
		"mirostat 2":  {Temperature: 1, Mirostat: 2, MirostatTau: 2, MirostatEta: 0.1},
		"adaptive":    {Temperature: 1, AdaptiveTarget: 0.3, AdaptiveDecay: 0.9},
	} {
		if got := text(s); got == plain {
			t.Errorf("%s: the text is the same as without: %q", name, got)
		}
	}
	if got := text(mullama.Sampling{Temperature: 1, TopK: 1}); got != text(mullama.Sampling{}) {
		t.Errorf("top_k 1 gives %q; want the greedy text", got)
	}
	seen := map[mullama.Token]bool{}
	for _, token := range generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 100,
		Sampling: &mullama.Sampling{PresencePenalty: 1000, RepeatLastN: -1}}).Tokens {
		if seen[token] {
			t.Errorf("token %d came again in spite of the largest presence penalty", token)
		}
		seen[token] = true
	}
}

// TestEngineTakesWhateverIsValid mixes the ends of all ranges with usual values.
func TestEngineTakesWhateverIsValid(t *testing.T) {
	m := load(t, openRuntime(t), tinyFile(t, synth.Options{}), mullama.LoadOptions{
		ContextSize: 64})
	rng := rand.New(rand.NewPCG(1, 2))
	number := func(values ...float32) float32 { return values[rng.IntN(len(values))] }
	whole := func(values ...int) int { return values[rng.IntN(len(values))] }
	valid := 0
	for range 1500 {
		seed := rng.Uint32()
		s := mullama.Sampling{Seed: &seed,
			Temperature: number(0, 1e-45, 1e-6, 1, 1, 1, 1e6), TopK: whole(0, 1, 40, math.MaxInt32),
			TopP: number(0, 1e-45, 0.5, 1), MinP: number(0, 1e-45, 0.1, 1),
			TypicalP: number(0, 1e-45, 0.5, 1), TopNSigma: number(-1, 0, 1e-45, 1, 1e6),
			XTCProbability: number(0, 0.5, 1), XTCThreshold: number(0, 1e-45, 0.1, 1),
			DynamicTemperatureRange:    number(0, 1e-45, 1, 1e6),
			DynamicTemperatureExponent: number(0, 1e-45, 1, 1e6),
			RepeatLastN:                whole(-1, 0, 1, 64, math.MaxInt32),
			RepeatPenalty:              number(0, 1e-3, 1, 1.1, 1e3),
			FrequencyPenalty:           number(-1e3, 0, 1, 1e3),
			PresencePenalty:            number(-1e3, 0, 1, 1e3),
			DRYMultiplier:              number(0, 1e-45, 1, 1e6),
			DRYBase:                    number(0, 1e-45, 1, 1.75, 1e6),
			DRYAllowedLength:           whole(0, 1, 2, math.MaxInt32),
			DRYLastN:                   whole(-1, 0, 1, math.MaxInt32),
			Mirostat:                   whole(0, 0, 0, 1, 2), MirostatTau: number(0, 1e-45, 5, 1e6),
			MirostatEta: number(0, 1e-45, 0.1, 1e6), AdaptiveTarget: number(-1, 0, 0, 0.3, 1),
			AdaptiveDecay: number(0, 0.5, 0.99), MinKeep: whole(0, 1, 5, math.MaxInt32),
			LogitBias: map[mullama.Token]float32{
				5: number(-math.MaxFloat32, 0, 1, math.MaxFloat32, float32(math.Inf(-1)))},
			IgnoreEOS: whole(0, 1) == 1,
		}
		if whole(0, 1) == 1 {
			s.DRYBreakers = []string{"", "\x00", "so", strings.Repeat("long ", 50)}
		}
		if s.Validate() == nil {
			valid++
			sampleWith(t, m, s)
		}
	}
	if valid < 500 {
		t.Errorf("only %d of 1500 settings were valid", valid)
	}
}

// FuzzSamplingValidate checks that Validate takes anything, and that the engine takes what Validate
// lets through: it samples, or says what is wrong.
func FuzzSamplingValidate(f *testing.F) {
	d := mullama.DefaultSampling()
	add := func(s mullama.Sampling, breaker, order string) {
		f.Add(s.Temperature, s.TopK, s.TopP, s.MinP, s.TypicalP, s.TopNSigma, s.XTCProbability,
			s.XTCThreshold, s.DynamicTemperatureRange, s.DynamicTemperatureExponent,
			s.RepeatLastN, s.RepeatPenalty, s.FrequencyPenalty, s.PresencePenalty,
			s.DRYMultiplier, s.DRYBase, s.DRYAllowedLength, s.DRYLastN, s.Mirostat,
			s.MirostatTau, s.MirostatEta, s.AdaptiveTarget, s.AdaptiveDecay, s.MinKeep,
			int32(5), float32(1), breaker, order, true)
	}
	add(mullama.Sampling{}, "", "")
	add(d, "\n", "top_k")
	big := float32(math.MaxFloat32)
	add(mullama.Sampling{Temperature: 1e-45, RepeatLastN: math.MaxInt32, DRYMultiplier: 1e6,
		DRYBase: 1e6, DRYLastN: math.MaxInt32, MinKeep: math.MaxInt32}, "", "dry")
	add(mullama.Sampling{Temperature: 1, Mirostat: 1, MirostatTau: 1e6, MirostatEta: 1e6}, "a", "")
	add(mullama.Sampling{Temperature: big, TopP: float32(math.NaN())}, "\x00", "infill")
	m := fuzzModel(f)
	f.Fuzz(func(t *testing.T, temperature float32, topK int, topP, minP, typicalP, sigma, xtcP,
		xtcT, dynRange, dynExp float32, lastN int, repeat, frequency, presence, dryM,
		dryB float32, dryLen, dryLast, mirostat int, tau, eta, target, decay float32, keep int,
		biased mullama.Token, bias float32, breaker, order string, endless bool,
	) {
		s := mullama.Sampling{Temperature: temperature, TopK: topK, TopP: topP, MinP: minP,
			TypicalP: typicalP, TopNSigma: sigma, XTCProbability: xtcP, XTCThreshold: xtcT,
			DynamicTemperatureRange: dynRange, DynamicTemperatureExponent: dynExp,
			RepeatLastN: lastN, RepeatPenalty: repeat, FrequencyPenalty: frequency,
			PresencePenalty: presence, DRYMultiplier: dryM, DRYBase: dryB,
			DRYAllowedLength: dryLen, DRYLastN: dryLast, Mirostat: mirostat, MirostatTau: tau,
			MirostatEta: eta, AdaptiveTarget: target, AdaptiveDecay: decay, MinKeep: keep,
			LogitBias: map[mullama.Token]float32{biased: bias}, IgnoreEOS: endless}
		if breaker != "" {
			s.DRYBreakers = []string{breaker, ""}
		}
		if order != "" {
			s.Order = []string{order, "temperature"}
		}
		if err := s.Validate(); err != nil {
			wantKind(t, err, mullama.ErrInvalidOption, "sampling")
			return
		}
		sampleWith(t, m, s)
	})
}

// sampleWith generates some tokens with settings that are valid. The engine still refuses what
// depends on the model: a token outside of the vocabulary, an unknown sampler.
func sampleWith(t *testing.T, m *mullama.Model, s mullama.Sampling) {
	stream, err := m.Generate(t.Context(), "so so so so", &mullama.GenerateOptions{
		MaxTokens: 8, Sampling: &s, TopLogprobs: 2})
	if err != nil {
		wantKind(t, err, mullama.ErrInvalidOption)
		return
	}
	got, err := stream.Collect()
	if err != nil {
		t.Fatalf("%+v: %v", s, err)
	}
	for _, token := range got.Tokens {
		if token < 0 || int(token) >= m.Info().Vocab {
			t.Fatalf("%+v: sampled token %d of %d", s, token, m.Info().Vocab)
		}
	}
}

// fuzzModel is one model for all inputs of a fuzz target.
func fuzzModel(f *testing.F) *mullama.Model {
	f.Helper()
	rt := openRuntime(f)
	path := filepath.Join(f.TempDir(), "tiny.gguf")
	if err := synth.TinyFile(path, synth.Options{}); err != nil {
		f.Fatal(err)
	}
	m, err := rt.Load(f.Context(), path, &mullama.LoadOptions{ContextSize: 64, Threads: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		m.Close()
		os.Remove(path)
	})
	return m
}
