package mullama

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

func TestOptionsThatTheDevicesCannotMeetAreRefused(t *testing.T) {
	cpu := llama.Device{Name: "CPU", Kind: llama.DeviceCPU}
	one := []llama.Device{gpu("CUDA0", 24, 24), cpu}
	two := []llama.Device{gpu("CUDA0", 24, 24), gpu("CUDA1", 24, 24), cpu}
	none := []llama.Device{cpu}
	for _, tt := range []struct {
		name    string
		o       LoadOptions
		devices []llama.Device
		says    string // "": it can be
	}{
		{"an unknown name", LoadOptions{Devices: []string{"CUDA2"}}, two,
			"no device named CUDA2; this machine has CUDA0, CUDA1, CPU"},
		{"a name twice", LoadOptions{Devices: []string{"CUDA1", "CUDA1"}}, two,
			"device CUDA1 is named twice"},
		{"a known name", LoadOptions{Devices: []string{"CUDA1"}}, two, ""},
		{"no GPU", LoadOptions{Devices: []string{"CPU"}}, two, ""},
		{"a GPU beyond the last", LoadOptions{MainGPU: 2}, two,
			"main GPU is 2, and the GPUs are 0 to 1"},
		{"a GPU beyond those that are named", LoadOptions{MainGPU: 1,
			Devices: []string{"CUDA1"}}, two, "main GPU is 1, and the GPUs are 0 to 0"},
		{"the last GPU", LoadOptions{MainGPU: 1, SplitMode: "none"}, two, ""},
		{"a main GPU where there is none", LoadOptions{MainGPU: 1}, none, ""},
		{"more shares than GPUs", LoadOptions{TensorSplit: []float32{1, 1, 1}}, two,
			"the tensor split is for 3 GPUs, and this machine has 2 GPUs"},
		{"fewer shares than GPUs", LoadOptions{TensorSplit: []float32{1}}, two,
			"the tensor split is for 1 GPU, and this machine has 2 GPUs"},
		{"shares without a GPU", LoadOptions{TensorSplit: []float32{1, 1}}, none,
			"the tensor split is for 2 GPUs, and this machine has no GPU"},
		{"shares of nothing", LoadOptions{TensorSplit: []float32{0, 0}}, two,
			"tensor split is 0 for every GPU"},
		{"shares", LoadOptions{TensorSplit: []float32{0, 1}}, two, ""},
		{"rows without a GPU", LoadOptions{SplitMode: "row"}, none,
			"split mode row needs a GPU, and none can be used"},
		{"tensors on the CPU alone", LoadOptions{SplitMode: "tensor",
			Devices: []string{"CPU"}}, two, "split mode tensor needs a GPU, and none can be used"},
		{"rows on one GPU", LoadOptions{SplitMode: "row"}, one, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.o.checkDevices("load", tt.devices)
			if tt.says == "" {
				if err != nil {
					t.Errorf("it is refused: %v", err)
				}
				return
			}
			if !errors.Is(err, ErrInvalidOption) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got error %v; want an invalid option that says %q", err, tt.says)
			}
		})
	}
}

func TestGPUsAreChosenAsLlamaCppDoes(t *testing.T) {
	integrated := llama.Device{Name: "Vulkan1", Kind: llama.DeviceIntegratedGPU}
	accelerator := llama.Device{Name: "BLAS", Kind: llama.DeviceAccelerator}
	cpu := llama.Device{Name: "CPU", Kind: llama.DeviceCPU}
	a, b, rpc := gpu("CUDA0", 24, 24), gpu("CUDA1", 24, 24), gpu("RPC0", 24, 24)
	for _, tt := range []struct {
		name    string
		o       LoadOptions
		devices []llama.Device
		want    string
	}{
		{"all GPUs, and not the processor's", LoadOptions{},
			[]llama.Device{a, integrated, b, accelerator, cpu}, "CUDA0 CUDA1"},
		{"the processor's where there is no other", LoadOptions{},
			[]llama.Device{integrated, accelerator, cpu}, "Vulkan1"},
		{"the processor's beside another machine's", LoadOptions{},
			[]llama.Device{integrated, rpc, cpu}, "RPC0 Vulkan1"},
		{"another machine's first", LoadOptions{}, []llama.Device{a, rpc, cpu}, "RPC0 CUDA0"},
		{"in the order in which they are named", LoadOptions{Devices: []string{"CUDA1", "RPC0"}},
			[]llama.Device{a, b, rpc}, "CUDA1 RPC0"},
		{"one alone", LoadOptions{SplitMode: "none", MainGPU: 1}, []llama.Device{a, b}, "CUDA1"},
		{"none", LoadOptions{}, []llama.Device{accelerator, cpu}, ""},
	} {
		var names []string
		for _, d := range usableGPUs(&tt.o, tt.devices) {
			names = append(names, d.Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s: got %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestFlashAttentionIsRefusedWhereTheModelCannot(t *testing.T) {
	o := LoadOptions{FlashAttention: "on"}
	if err := o.checkCache("load", &Info{Architecture: "grok"}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got error %v; want %v", err, ErrUnsupported)
	}
	if err := o.checkCache("load", &Info{Architecture: "llama"}); err != nil {
		t.Errorf("flash attention is refused for a llama: %v", err)
	}
}

func TestProblemsOfPluginsAreSaidInWords(t *testing.T) {
	for _, tt := range []struct {
		p    llama.Plugin
		want string
	}{
		{llama.Plugin{Name: "cuda", Reason: "libcuda.so.1: cannot open shared object file"},
			"the CUDA plug-in was found but no NVIDIA driver answers: " +
				"libcuda.so.1: cannot open shared object file"},
		{llama.Plugin{Name: "cuda", Reason: "CUDA driver version is insufficient for CUDA " +
			"runtime version"}, "the CUDA plug-in was found but the driver of the GPU is too old " +
			"for it, so update that, or build for an older CUDA: CUDA driver version is " +
			"insufficient for CUDA runtime version"},
		{llama.Plugin{Name: "cuda", Reason: "libggml-cuda.so: file too short"},
			"the CUDA plug-in was found but sees no device: libggml-cuda.so: file too short"},
		{llama.Plugin{Name: "vulkan"}, "the Vulkan plug-in was found but sees no device"},
		{llama.Plugin{Name: "cuda", Reason: "no CUDA-capable device is detected"},
			"the CUDA plug-in was found but sees no device: no CUDA-capable device is detected"},
		{llama.Plugin{Name: "cuda", Devices: 2}, ""},
		{llama.Plugin{Name: "rpc"}, ""},
	} {
		if got := pluginProblem(tt.p); got != tt.want {
			t.Errorf("pluginProblem(%+v) = %q; want %q", tt.p, got, tt.want)
		}
	}
}

func TestAPlanIsDescribedInALine(t *testing.T) {
	host := PlanDevice{Name: "host", Weights: 500e6}
	cuda := PlanDevice{Name: "CUDA0", GPU: true, Weights: 4e9, Cache: 1e9, Compute: 250e6}
	other := PlanDevice{Name: "CUDA1", GPU: true, Weights: 2e9}
	for _, tt := range []struct {
		plan Plan
		want string
	}{
		{Plan{Devices: []PlanDevice{host}}, "all on the CPU: 0.50 GB on host"},
		{Plan{Devices: []PlanDevice{cuda, host}, Layers: 33, GPULayers: 33},
			"33 of 33 layers on the GPU: 5.25 GB on CUDA0, 0.50 GB on host"},
		{Plan{Devices: []PlanDevice{cuda, other, host}, Layers: 33, GPULayers: 33, CPUExperts: 4},
			"33 of 33 layers on 2 GPUs, the experts of 4 not: 5.25 GB on CUDA0, 2.00 GB on " +
				"CUDA1, 0.50 GB on host"},
	} {
		if got := tt.plan.String(); got != tt.want {
			t.Errorf("got %q; want %q", got, tt.want)
		}
	}
	plan := Plan{Devices: []PlanDevice{cuda, other, host}}
	if all, gpu := plan.Size(); all != 7_750_000_000 || gpu != 7_250_000_000 {
		t.Errorf("Size() = %d, %d; want 7.75 and 7.25 GB", all, gpu)
	}
	if !slices.Equal(plan.Devices, []PlanDevice{cuda, other, host}) {
		t.Error("describing a plan changes it")
	}
}
