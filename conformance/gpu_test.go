package conformance

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

const (
	gpuPrompts = 8
	gpuTokens  = 128
	gpuAgree   = 6 // of the prompts have equal answers
	// gpuNearTie is how far, in log probability, the CPU's token leads the GPU's at most where
	// their answers part. Weights in f16 leave the last bits of sums to differ: 0.012 at most was
	// seen on an H200.
	gpuNearTie = 0.05
)

// A GPU adds in another order than a CPU, so the likeliest token changes where two are nearly as
// likely, and there alone. The weights are in f16: for quantized ones both round the activations to
// 8 bits, which moves logits much more, and each does so in its own way.
func TestGreedyTextOnAGPUAgreesWithTheCPU(t *testing.T) {
	runtime, err := mullama.Open(mullama.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = runtime.Close() }()
	isGPU := func(d mullama.Device) bool { return d.Kind == mullama.DeviceGPU }
	if !slices.ContainsFunc(runtime.Devices(), isGPU) {
		t.Skip("there is no GPU here")
	}
	file := filepath.Join(t.TempDir(), "f16.gguf")
	findOracle(t).run(t, "quantize", testmodels.Path(t, "smollm2"), file, "f16")
	prompts := readPrompts(t)[:gpuPrompts]
	cpu := greedyOn(t, runtime, file, 0, prompts)
	gpu := greedyOn(t, runtime, file, -1, prompts)
	equal := 0
	for i := range prompts {
		n := firstDifference(cpu[i].Tokens, gpu[i].Tokens)
		if n == len(cpu[i].Tokens) && n == len(gpu[i].Tokens) {
			equal++
			continue
		}
		lead, err := leadOver(cpu[i], gpu[i], n)
		if err != nil || lead > gpuNearTie {
			t.Errorf("prompt %d, token %d: the CPU's leads by %.3f (%v)", i, n, lead, err)
		}
		t.Logf("prompt %d parts at token %d, where the CPU's leads by %.4f", i, n, lead)
	}
	if equal < gpuAgree {
		t.Errorf("%d of %d answers are equal, want %d", equal, gpuPrompts, gpuAgree)
	}
}

// greedyOn answers each prompt alone, with so many layers on the GPU.
func greedyOn(t *testing.T, runtime *mullama.Runtime, file string, layers int, prompts []string) (
	answers []*mullama.Result) {
	t.Helper()
	model, err := runtime.Load(t.Context(), file, &mullama.LoadOptions{
		GPULayers: &layers, NoRepack: true, Slots: 1, ContextSize: 1024,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = model.Close() }()
	sampling := mullama.DefaultSampling()
	sampling.Temperature = 0
	for _, prompt := range prompts {
		stream, err := model.Generate(t.Context(), prompt, &mullama.GenerateOptions{
			Sampling: &sampling, MaxTokens: gpuTokens, TopLogprobs: 8,
		})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Collect()
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer)
	}
	return answers
}

// leadOver is how much likelier a's token at n is than b's, as a sees it.
func leadOver(a, b *mullama.Result, n int) (float32, error) {
	if n >= len(a.Tokens) || n >= len(b.Tokens) {
		return 0, fmt.Errorf("one answer ends after %d tokens", n)
	}
	here := a.Logprobs[n]
	for _, top := range here.Top {
		if top.Token == b.Tokens[n] {
			return here.Logprob - top.Logprob, nil
		}
	}
	return 0, fmt.Errorf("token %d is not among the %d likeliest", b.Tokens[n], len(here.Top))
}
