package mullama_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// adapterFile writes an adapter for a model.
func adapterFile(t testing.TB, model string, o synth.AdapterOptions) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "adapter.gguf")
	o.Scale = 0.5
	if err := synth.AdapterFile(path, model, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func strength(scale float32) *float32 { return &scale }

func tell(t *testing.T, m *mullama.Model, list ...mullama.AdapterScale) string {
	t.Helper()
	return generate(t, m, "once upon a time", mullama.GenerateOptions{
		Sampling: greedy(), MaxTokens: 24, Adapters: list,
	}).Text
}

func TestAdaptersChangeTheTextByTheirScale(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	plain := tell(t, load(t, rt, path, mullama.LoadOptions{}))
	m := load(t, rt, path, mullama.LoadOptions{Adapters: []mullama.Adapter{
		{Path: adapterFile(t, path, synth.AdapterOptions{Seed: 1})},
		{Path: adapterFile(t, path, synth.AdapterOptions{Seed: 2}), Scale: strength(0)},
	}})
	first, second := tell(t, m), tell(t, m, mullama.AdapterScale{ID: 1, Scale: 1})
	if first == plain || second == plain || first == second {
		t.Errorf("plain %q, with the first %q, with the second %q", plain, first, second)
	}
	if got := tell(t, m, mullama.AdapterScale{ID: 0, Scale: 0}); got != plain {
		t.Errorf("with scale 0: %q, want %q", got, plain)
	}
	if err := m.SetAdapters([]mullama.AdapterScale{{ID: 1, Scale: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := tell(t, m); got != second {
		t.Errorf("after a change of the scales: %q, want %q", got, second)
	}
	all := m.Adapters()
	if len(all) != 2 || all[0].Scale != 0 || all[1].Scale != 1 || all[0].Name != "Random adapter" {
		t.Errorf("Adapters() = %+v", all)
	}
}

func TestModelsWithOtherAdaptersAreNotShared(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	adapter := adapterFile(t, path, synth.AdapterOptions{})
	with := func(scale float32) *mullama.Model {
		return load(t, rt, path, mullama.LoadOptions{Adapters: []mullama.Adapter{
			{Path: adapter, Scale: strength(scale)},
		}})
	}
	plain, none, strong := load(t, rt, path, mullama.LoadOptions{}), with(0), with(2)
	if tell(t, plain) != tell(t, none) || tell(t, none) == tell(t, strong) {
		t.Error("models with adapters of other scales answer alike, or without adapters otherwise")
	}
}

func TestScalesAreChecked(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	adapter := adapterFile(t, path, synth.AdapterOptions{})
	m := load(t, rt, path, mullama.LoadOptions{Adapters: []mullama.Adapter{{Path: adapter}}})
	for _, a := range []mullama.AdapterScale{{ID: 1}, {ID: -1}, {Scale: float32(math.Inf(1))}} {
		_, err := m.Generate(t.Context(), "a", &mullama.GenerateOptions{
			Adapters: []mullama.AdapterScale{a},
		})
		wantKind(t, err, mullama.ErrInvalidOption, "adapter")
		wantKind(t, m.SetAdapters([]mullama.AdapterScale{a}), mullama.ErrInvalidOption, "adapter")
	}
	_, err := rt.Load(t.Context(), path, &mullama.LoadOptions{Adapters: []mullama.Adapter{
		{Path: adapter, Scale: strength(float32(math.NaN()))},
	}})
	wantKind(t, err, mullama.ErrInvalidOption, "scale")
}

// TestAdaptersThatDoNotFitAreRefused has what llama.cpp refuses and what it ends the process over.
func TestAdaptersThatDoNotFitAreRefused(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	const q = "blk.0.attn_q.weight.lora_"
	with := func(key string, value any) synth.AdapterOptions {
		return synth.AdapterOptions{Keys: map[string]any{key: value}}
	}
	for name, tt := range map[string]struct {
		o    synth.AdapterOptions
		want string
	}{
		"no adapter":     {with("general.type", "model"), "no adapter"},
		"a number":       {with("general.type", uint32(1)), "no adapter"},
		"another kind":   {with("adapter.type", "x"), `"x"`},
		"alpha a text":   {with("adapter.lora.alpha", "x"), "alpha"},
		"activated":      {with("adapter.alora.invocation_tokens", []uint32{1}), "aLoRA"},
		"half a pair":    {synth.AdapterOptions{Omit: []string{q + "a"}}, "one of the two"},
		"an other model": {with("general.architecture", "gemma3"), "gemma3"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rt.Load(t.Context(), path, &mullama.LoadOptions{Adapters: []mullama.Adapter{
				{Path: adapterFile(t, path, tt.o)},
			}})
			wantKind(t, err, mullama.ErrInvalidOption, tt.want, "adapter.gguf")
		})
	}
}

func TestAnAdapterOfAnotherModelNamesBoth(t *testing.T) {
	rt := openRuntime(t)
	other := tinyFile(t, synth.Options{Arch: "qwen2"})
	adapter := adapterFile(t, other, synth.AdapterOptions{})
	_, err := rt.Load(t.Context(), tinyFile(t, synth.Options{}), &mullama.LoadOptions{
		Adapters: []mullama.Adapter{{Path: adapter}},
	})
	wantKind(t, err, mullama.ErrInvalidOption, "Tiny qwen2", "Tiny llama")

	tied := tinyFile(t, synth.Options{Omit: []string{"output.weight"}})
	_, err = rt.Load(t.Context(), tied, &mullama.LoadOptions{Adapters: []mullama.Adapter{
		{Path: adapterFile(t, tied, synth.AdapterOptions{Tied: true})},
	}})
	wantKind(t, err, mullama.ErrInvalidOption, "table of tokens")
}

func TestAdapterFilesThatAreNone(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	broken := filepath.Join(t.TempDir(), "text.gguf")
	if err := os.WriteFile(broken, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, kind := range map[string]error{
		broken: mullama.ErrNotGGUF, broken + "x": mullama.ErrNotFound,
	} {
		_, err := rt.Load(t.Context(), path, &mullama.LoadOptions{
			Adapters: []mullama.Adapter{{Path: file}},
		})
		wantKind(t, err, kind, file)
		_, err = rt.Load(t.Context(), path, &mullama.LoadOptions{
			ControlVectors: []mullama.ControlVector{{Path: file}},
		})
		wantKind(t, err, kind, file)
	}
}

func TestControlVectors(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{Arch: "gemma3"})
	control := func(width, first, last int) mullama.LoadOptions {
		file := filepath.Join(t.TempDir(), "control.gguf")
		if _, err := synth.ControlFile(file, width, first, last, 1); err != nil {
			t.Fatal(err)
		}
		return mullama.LoadOptions{ControlVectors: []mullama.ControlVector{
			{Path: file, Scale: strength(40)},
		}}
	}
	plain := tell(t, load(t, rt, path, mullama.LoadOptions{}))
	if got := tell(t, load(t, rt, path, control(64, 1, 5))); got == plain {
		t.Error("a control vector changes nothing")
	}
	off := control(64, 1, 5)
	off.ControlVectors[0].Scale = strength(0)
	if got := tell(t, load(t, rt, path, off)); got != plain {
		t.Errorf("with scale 0 the text is %q, want %q", got, plain)
	}
	layers := control(64, 1, 5)
	layers.ControlLayers = [2]int{2, 6}
	orphan := mullama.LoadOptions{ControlLayers: [2]int{1, 2}}
	swapped := control(64, 1, 5)
	swapped.ControlLayers = [2]int{3, 2}
	for _, tt := range []struct {
		o    mullama.LoadOptions
		want string
	}{
		{control(32, 1, 5), "[64]"}, {control(64, 1, 6), "layer 6"}, {layers, "layer"},
		{orphan, "no control vector"}, {swapped, "3 to 2"},
	} {
		_, err := rt.Load(t.Context(), path, &tt.o)
		wantKind(t, err, mullama.ErrInvalidOption, tt.want)
	}
}

// FuzzAdapter changes bytes of an adapter's file. What is not refused must load and answer.
func FuzzAdapter(f *testing.F) {
	rt := openRuntime(f)
	path := tinyFile(f, synth.Options{})
	good, err := os.ReadFile(adapterFile(f, path, synth.AdapterOptions{}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(4), uint64(0))
	f.Add(uint32(40), uint64(9))
	f.Add(uint32(900), uint64(2))
	f.Fuzz(func(t *testing.T, at uint32, value uint64) {
		file := append([]byte(nil), good...)
		at %= 2048 // where the header is
		for i := range 4 {
			file[int(at)+i] ^= byte(value >> (8 * i))
		}
		adapter := filepath.Join(t.TempDir(), "adapter.gguf")
		if err := os.WriteFile(adapter, file, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := rt.Load(t.Context(), path, &mullama.LoadOptions{
			ContextSize: 64, Threads: 1, Adapters: []mullama.Adapter{{Path: adapter}},
		})
		if err != nil {
			if errors.Is(err, mullama.ErrInternal) || strings.Contains(err.Error(), "gave up") {
				t.Error(err)
			}
			return
		}
		defer m.Close()
		stream, err := m.Generate(t.Context(), "a",
			&mullama.GenerateOptions{Sampling: greedy(), MaxTokens: 2})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = stream.Collect() // numbers that are none are an error, which is right
	})
}
