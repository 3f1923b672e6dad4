package cli

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

// samples gives every parameter a value that is not its default, and the check that it arrived.
var samples = map[string]struct {
	values []string
	got    func(o mullama.GenerateOptions) any
	want   any
}{
	"num_predict": {
		[]string{"7"},
		func(o mullama.GenerateOptions) any { return o.MaxTokens },
		7,
	},
	"stop": {
		[]string{"a b", "c"},
		func(o mullama.GenerateOptions) any { return o.Stop },
		[]string{"a b", "c"},
	},
	"seed": {
		[]string{"42"},
		func(o mullama.GenerateOptions) any { return *o.Sampling.Seed },
		uint32(42),
	},
	"temperature": {
		[]string{"0.3"},
		func(o mullama.GenerateOptions) any { return o.Sampling.Temperature },
		float32(0.3),
	},
	"top_k": {
		[]string{"11"},
		func(o mullama.GenerateOptions) any { return o.Sampling.TopK },
		11,
	},
	"top_p": {
		[]string{"0.5"},
		func(o mullama.GenerateOptions) any { return o.Sampling.TopP },
		float32(0.5),
	},
	"min_p": {
		[]string{"0.2"},
		func(o mullama.GenerateOptions) any { return o.Sampling.MinP },
		float32(0.2),
	},
	"typical_p": {
		[]string{"0.7"},
		func(o mullama.GenerateOptions) any { return o.Sampling.TypicalP },
		float32(0.7),
	},
	"top_n_sigma": {
		[]string{"1.5"},
		func(o mullama.GenerateOptions) any { return o.Sampling.TopNSigma },
		float32(1.5),
	},
	"xtc_probability": {
		[]string{"0.4"},
		func(o mullama.GenerateOptions) any { return o.Sampling.XTCProbability },
		float32(0.4),
	},
	"xtc_threshold": {
		[]string{"0.3"},
		func(o mullama.GenerateOptions) any { return o.Sampling.XTCThreshold },
		float32(0.3),
	},
	"dynatemp_range": {
		[]string{"0.25"},
		func(o mullama.GenerateOptions) any { return o.Sampling.DynamicTemperatureRange },
		float32(0.25),
	},
	"dynatemp_exponent": {
		[]string{"2"},
		func(o mullama.GenerateOptions) any { return o.Sampling.DynamicTemperatureExponent },
		float32(2),
	},
	"repeat_last_n": {
		[]string{"33"},
		func(o mullama.GenerateOptions) any { return o.Sampling.RepeatLastN },
		33,
	},
	"repeat_penalty": {
		[]string{"1.2"},
		func(o mullama.GenerateOptions) any { return o.Sampling.RepeatPenalty },
		float32(1.2),
	},
	"frequency_penalty": {
		[]string{"0.6"},
		func(o mullama.GenerateOptions) any { return o.Sampling.FrequencyPenalty },
		float32(0.6),
	},
	"presence_penalty": {
		[]string{"0.9"},
		func(o mullama.GenerateOptions) any { return o.Sampling.PresencePenalty },
		float32(0.9),
	},
	"dry_multiplier": {
		[]string{"0.8"},
		func(o mullama.GenerateOptions) any { return o.Sampling.DRYMultiplier },
		float32(0.8),
	},
	"dry_base": {
		[]string{"1.5"},
		func(o mullama.GenerateOptions) any { return o.Sampling.DRYBase },
		float32(1.5),
	},
	"dry_allowed_length": {
		[]string{"3"},
		func(o mullama.GenerateOptions) any { return o.Sampling.DRYAllowedLength },
		3,
	},
	"dry_last_n": {
		[]string{"128"},
		func(o mullama.GenerateOptions) any { return o.Sampling.DRYLastN },
		128,
	},
	"dry_breaker": {
		[]string{"\n", ";"},
		func(o mullama.GenerateOptions) any { return o.Sampling.DRYBreakers },
		[]string{"\n", ";"},
	},
	"mirostat": {
		[]string{"2"},
		func(o mullama.GenerateOptions) any { return o.Sampling.Mirostat },
		2,
	},
	"mirostat_tau": {
		[]string{"4"},
		func(o mullama.GenerateOptions) any { return o.Sampling.MirostatTau },
		float32(4),
	},
	"mirostat_eta": {
		[]string{"0.2"},
		func(o mullama.GenerateOptions) any { return o.Sampling.MirostatEta },
		float32(0.2),
	},
	"adaptive_target": {
		[]string{"0.4"},
		func(o mullama.GenerateOptions) any { return o.Sampling.AdaptiveTarget },
		float32(0.4),
	},
	"adaptive_decay": {
		[]string{"0.5"},
		func(o mullama.GenerateOptions) any { return o.Sampling.AdaptiveDecay },
		float32(0.5),
	},
	"min_keep": {
		[]string{"5"},
		func(o mullama.GenerateOptions) any { return o.Sampling.MinKeep },
		5,
	},
	"samplers": {
		[]string{"top_k,temperature"},
		func(o mullama.GenerateOptions) any { return o.Sampling.Order },
		[]string{"top_k", "temperature"},
	},
	"logit_bias": {
		[]string{"5=-1.5", "6=-inf"},
		func(o mullama.GenerateOptions) any { return o.Sampling.LogitBias },
		map[mullama.Token]float32{5: -1.5, 6: float32(math.Inf(-1))},
	},
	"ignore_eos": {
		[]string{"true"},
		func(o mullama.GenerateOptions) any { return o.Sampling.IgnoreEOS },
		true,
	},
}

func TestEveryParameterHasASample(t *testing.T) {
	if len(samples) != len(parameters) {
		t.Errorf("%d samples for %d parameters", len(samples), len(parameters))
	}
	for _, p := range parameters {
		if _, found := samples[p.name]; !found {
			t.Errorf("no sample for %s", p.name)
		}
	}
}

func TestEveryFlagReachesTheRequest(t *testing.T) {
	for _, p := range parameters {
		t.Run(p.flag(), func(t *testing.T) {
			sample := samples[p.name]
			args := []string{"run", "m.gguf", "Hi"}
			for _, text := range sample.values {
				args = append(args, "--"+p.flag()+"="+text)
			}
			fake := newFake()
			if got := run(fake, "", args...); got.code != 0 {
				t.Fatalf("got %+v", got)
			}
			if got := sample.got(fake.model.requests[0]); !reflect.DeepEqual(got, sample.want) {
				t.Errorf("the request has %v, want %v", got, sample.want)
			}
		})
	}
}

func TestEveryParameterCanBeSetInAChat(t *testing.T) {
	for _, p := range parameters {
		t.Run(p.name, func(t *testing.T) {
			sample, s := samples[p.name], defaultSettings()
			if err := s.change(p, sample.values); err != nil {
				t.Fatal(err)
			}
			if got := sample.got(s.request()); !reflect.DeepEqual(got, sample.want) {
				t.Errorf("the request has %v, want %v", got, sample.want)
			}
		})
	}
}

func TestDefaultsAreThoseOfTheLibrary(t *testing.T) {
	fake := newFake()
	run(fake, "", "run", "m.gguf", "Hi")
	got, want := fake.model.requests[0], mullama.DefaultSampling()
	if !reflect.DeepEqual(*got.Sampling, want) {
		t.Errorf("got %+v, want %+v", *got.Sampling, want)
	}
	if got.MaxTokens != 0 || got.Stop != nil || got.Logprobs {
		t.Errorf("got %+v", got)
	}
}

func TestABadValueLeavesTheSettingsAlone(t *testing.T) {
	s := defaultSettings()
	for name, values := range map[string][]string{
		"temperature": {"hot"}, "top_k": {"1.5"}, "top_p": {"-1"}, "seed": {"4294967296"},
		"mirostat": {"two"}, "logit_bias": {"5"}, "stop": {""}, "num_predict": {"-2"},
		"ignore_eos": {"maybe"}, "min_p": {"1", "2"},
	} {
		p, found := findParameter(name)
		if !found {
			t.Fatalf("no parameter %s", name)
		}
		if err := s.change(p, values); err == nil {
			t.Errorf("%s took %q", name, values)
		}
	}
	if !reflect.DeepEqual(s, defaultSettings()) {
		t.Errorf("the settings became %+v", s)
	}
}

func TestLoadFlagsReachTheLoader(t *testing.T) {
	fake := newFake()
	got := run(
		fake,
		"",
		"run",
		"dir/m.gguf",
		"Hi",
		"--ctx-size=512",
		"--threads=3",
		"--threads-batch=4",
		"--batch-size=64",
		"--ubatch-size=32",
		"--gpu-layers=12",
		"--main-gpu=1",
		"--split-mode=row",
		"--tensor-split=3,1",
		"--device=CUDA0,CUDA1",
		"--no-mmap",
		"--mlock",
		"--no-repack", "--check-tensors",
		"--cache-type-k=q8_0",
		"--cache-type-v=q4_0",
		"--flash-attn=on",
		"--rope-freq-base=10000",
		"--rope-freq-scale=0.5",
		"--override-tensor=exps=CPU",
		"--override-kv=a=int:1",
		"--override-kv=b=str:x,y",
	)
	if got.code != 0 || fake.path != "dir/m.gguf" {
		t.Fatalf("loaded %q: %+v", fake.path, got)
	}
	layers, load := 12, fake.load
	load.Progress = nil
	want := mullama.LoadOptions{
		ContextSize:    512,
		Threads:        3,
		BatchThreads:   4,
		BatchSize:      64,
		UBatchSize:     32,
		GPULayers:      &layers,
		MainGPU:        1,
		SplitMode:      "row",
		TensorSplit:    []float32{3, 1},
		Devices:        []string{"CUDA0", "CUDA1"},
		LoadMode:       "mlock",
		NoRepack:       true,
		CheckTensors:   true,
		KVTypeK:        "q8_0",
		KVTypeV:        "q4_0",
		FlashAttention: "on",
		RoPEFreqBase:   10000,
		RoPEFreqScale:  0.5,
		TensorBuffers:  []string{"exps=CPU"},
		Slots:          1,
		Overrides:      []string{"a=int:1", "b=str:x,y"},
	}
	if !reflect.DeepEqual(load, want) {
		t.Errorf("got %+v\nwant %+v", load, want)
	}
}

func TestLoadModes(t *testing.T) {
	for flags, want := range map[string]string{
		"": "", "--mlock": "mmap+mlock", "--no-mmap": "read", "--load-mode=direct": "direct",
	} {
		fake := newFake()
		run(fake, "", append([]string{"run", "m.gguf", "Hi"}, strings.Fields(flags)...)...)
		if fake.load.LoadMode != want {
			t.Errorf("%q gives mode %q, want %q", flags, fake.load.LoadMode, want)
		}
	}
	fake := newFake()
	run(fake, "", "run", "m.gguf", "Hi", "--gpu-layers=all")
	if fake.load.GPULayers == nil || *fake.load.GPULayers != -1 {
		t.Errorf("all layers are %v", fake.load.GPULayers)
	}
}

func TestShapeFlagsReachTheRequest(t *testing.T) {
	for flag, want := range map[string]string{
		"json": anyObject, `{"type":"array"}`: `{"type":"array"}`,
	} {
		fake := newFake()
		run(fake, "", "run", "m.gguf", "Hi", "--format", flag)
		if got := fake.model.requests[0].JSONSchema; got != want {
			t.Errorf("--format %s: schema %q, want %q", flag, got, want)
		}
	}
}

func TestSplitWords(t *testing.T) {
	for text, want := range map[string][]string{
		`a b`: {"a", "b"}, ` "a b"  c `: {"a b", "c"}, `"\n"`: {"\n"}, ``: nil, `"é"`: {"é"},
	} {
		got, err := splitWords(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("splitWords(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := splitWords(`"open`); err == nil {
		t.Error("a quote that does not end was taken")
	}
}

func FuzzSplitWords(f *testing.F) {
	for _, seed := range []string{`a "b c" d`, `"`, `"\u00e9"`, "\x00 \xff", `""`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := splitWords(text)
		if err != nil {
			return
		}
		again, err := splitWords(quoteAll(words))
		if err != nil || len(again) != len(words) {
			t.Errorf("%q gives %q, which gives %q, %v", text, words, again, err)
		}
	})
}

func FuzzParameterValues(f *testing.F) {
	for _, p := range parameters {
		f.Add(p.name, samples[p.name].values[0])
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		p, found := findParameter(name)
		if !found {
			return
		}
		s := defaultSettings()
		if s.change(p, []string{text}) != nil && !reflect.DeepEqual(s, defaultSettings()) {
			t.Errorf("%s %q was refused but changed the settings", name, text)
		}
	})
}
