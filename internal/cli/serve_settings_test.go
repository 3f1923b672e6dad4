package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// fromOllama reads variables of the daemon as serve does.
func fromOllama(t *testing.T, variables map[string]string) (*serveFlags, error) {
	t.Helper()
	env := readEnvironment(func(name string) string { return variables[name] })
	f := &serveFlags{}
	cmd := &cobra.Command{}
	f.define(cmd)
	return f, f.fromVariables(cmd, env)
}

func TestServeReadsOllamasVariablesAboutDevices(t *testing.T) {
	f, err := fromOllama(t, map[string]string{
		"OLLAMA_FLASH_ATTENTION": "1", "OLLAMA_KV_CACHE_TYPE": "q8_0",
		"OLLAMA_GPU_OVERHEAD": "536870912", "OLLAMA_SCHED_SPREAD": "true",
	})
	if err != nil {
		t.Fatal(err)
	}
	o := f.load.options
	if o.FlashAttention != "on" || o.KVTypeK != "q8_0" || o.KVTypeV != "q8_0" ||
		o.FitMargin != 512<<20 || o.SplitMode != "layer" {
		t.Errorf("got %+v", o)
	}
	f, err = fromOllama(t, map[string]string{
		"OLLAMA_FLASH_ATTENTION": "false", "OLLAMA_SCHED_SPREAD": "0", "OLLAMA_GPU_OVERHEAD": "0"})
	if err != nil {
		t.Fatal(err)
	}
	if o = f.load.options; o.FlashAttention != "off" || o.SplitMode != "" || o.FitMargin != 0 {
		t.Errorf("switched off: got %+v", o)
	}
}

func TestServeRefusesVariablesThatSayNothing(t *testing.T) {
	for name, value := range map[string]string{
		"OLLAMA_KV_CACHE_TYPE": "q9", "MULLAMA_GPU_OVERHEAD": "much",
	} {
		_, err := fromOllama(t, map[string]string{name: value})
		if err == nil || !strings.Contains(err.Error(), name+" is \""+value) {
			t.Errorf("%s=%s gives error %v; want one that names both", name, value, err)
		}
	}
}

func TestFlagsAboutDevicesAreRefusedBeforeAnythingIsLoaded(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{"--cache-type-k q9_9", `"q9_9" is not one of f16, bf16`},
		{"--cache-type-v F16", `"F16" is not one of f16, bf16`},
		{"--split-mode columns", "is not one of none, layer, row, tensor"},
		{"--gpu-layers some", "neither a whole number nor 'all' or 'auto'"},
		{"--fit-margin 1XB", "no amount of memory"},
		{"--flash-attn yes", "is not one of auto, on, off"},
	} {
		fake := newFake()
		args := slices.Concat([]string{"run", "m.gguf", "x"}, strings.Fields(tt.args))
		got := run(fake, "", args...)
		if got.code != exitUsage || !strings.Contains(got.err, tt.says) || fake.path != "" {
			t.Errorf("%s: got %+v, loaded %q; want %q", tt.args, got, fake.path, tt.says)
		}
	}
}

func TestGPULayersAreANumberAllOrAuto(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "20": 20, "all": -1} {
		fake := newFake()
		run(fake, "", "run", "m.gguf", "x", "--gpu-layers", text)
		if got := fake.load.GPULayers; got == nil || *got != want {
			t.Errorf("--gpu-layers %s: got %v; want %d", text, got, want)
		}
	}
	fake := newFake()
	run(fake, "", "run", "m.gguf", "x", "--gpu-layers", "auto", "--fit-margin", "2GiB")
	if fake.load.GPULayers != nil || fake.load.FitMargin != 2<<30 {
		t.Errorf("got layers %v, margin %d", fake.load.GPULayers, fake.load.FitMargin)
	}
}
