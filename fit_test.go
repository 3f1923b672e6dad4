package mullama

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

const gb = 1 << 30

func gpu(name string, total, free uint64) llama.Device {
	return llama.Device{Name: name, Kind: llama.DeviceGPU, MemoryTotal: total * gb,
		MemoryFree: free * gb}
}

// madeUp is a model and a machine whose dry run is a sum.
type madeUp struct {
	layers     int    // without the output layer, which is as large as another
	layerBytes uint64 // weights and cache of one
	experts    uint64 // the part of it that experts are
	compute    uint64 // buffers of each GPU with 2048 tokens at once; a quarter with 512
	embeddings uint64 // of the tokens, where a GPU looks them up
	gpus       []llama.Device
	promised   map[string]uint64
	err        error
	runs       int
}

func (m *madeUp) fitter(o *LoadOptions) *fitter {
	base := llama.ContextParams{Batch: 2048, UBatch: 512}
	return &fitter{
		o: o, gpus: usableGPUs(o, m.gpus), layers: m.layers, experts: m.experts > 0,
		size:        uint64(m.layers+1) * m.layerBytes,
		outstanding: func(device string, _ uint64) uint64 { return m.promised[device] },
		shape: func(p *placement) llama.ContextParams {
			return p.context(o, base)
		},
		measure: func(p *placement) ([]llama.Memory, error) { return m.measure(o, p) },
	}
}

func (m *madeUp) measure(o *LoadOptions, p *placement) ([]llama.Memory, error) {
	m.runs++
	if m.err != nil {
		return nil, m.err
	}
	total := m.layers + 1
	layers := p.layers
	if layers < 0 || layers > total {
		layers = total
	}
	var used []llama.Device
	for _, d := range usableGPUs(o, m.gpus) {
		if p.devices == nil || slices.Contains(p.devices, d.Name) {
			used = append(used, d)
		}
	}
	shares := p.split
	if shares == nil {
		for _, d := range used {
			shares = append(shares, float32(d.MemoryFree))
		}
	}
	var sum float32
	for _, s := range shares {
		sum += s
	}
	compute := m.compute
	if p.context(o, llama.ContextParams{Batch: 2048, UBatch: 512}).UBatch < 2048 {
		compute /= 4
	}
	if p.rows != "" {
		compute += m.embeddings
	}
	kept := m.experts * uint64(p.experts) / uint64(m.layers) // of each layer
	var memory []llama.Memory
	var end float32
	for i, d := range used {
		begin := end
		end += shares[i] / sum
		n := uint64(0)
		for layer := range layers { // as llama.cpp assigns them
			at := float32(layer) / float32(layers)
			if at >= begin && (at < end || i == len(used)-1) {
				n++
			}
		}
		memory = append(memory, llama.Memory{Device: d.Name, Total: d.MemoryTotal,
			Free: d.MemoryFree, Weights: n * (m.layerBytes - kept), Compute: compute})
	}
	return append(memory, llama.Memory{Device: "host", Total: 64 * gb, Free: 32 * gb,
		Weights: uint64(total-layers) * m.layerBytes}), nil
}

func layers(n int) *int { return &n }

func TestFitChoosesTheGPUsAndTheLayers(t *testing.T) {
	small := madeUp{layers: 31, layerBytes: gb / 8, compute: gb} // 4 GB and buffers
	large := madeUp{layers: 79, layerBytes: gb / 2, compute: gb} // 40 GB
	experts := madeUp{layers: 47, layerBytes: gb / 2, experts: gb * 3 / 8, compute: gb}
	two := []llama.Device{gpu("CUDA0", 24, 23), gpu("CUDA1", 24, 24)}
	for _, tt := range []struct {
		name  string
		model madeUp
		gpus  []llama.Device
		o     LoadOptions
		want  placement
		whole bool
	}{
		{name: "all of a small model on one GPU", model: small, gpus: two[:1],
			want:  placement{gpu: true, layers: allLayers, ubatch: gpuUBatch},
			whole: true},
		{name: "all on the emptier of two", model: small, gpus: two, whole: true,
			want: placement{gpu: true, layers: allLayers, ubatch: gpuUBatch,
				devices: []string{"CUDA1"}}},
		{name: "all on the main GPU that was chosen", model: small, whole: true,
			gpus: append(two, gpu("CUDA2", 24, 20)), o: LoadOptions{MainGPU: 2},
			want: placement{gpu: true, layers: allLayers, ubatch: gpuUBatch,
				devices: []string{"CUDA2"}}},
		{name: "spread where that is asked for", model: small, gpus: two, whole: true,
			o:    LoadOptions{SplitMode: "layer"},
			want: placement{gpu: true, layers: allLayers, ubatch: gpuUBatch}},
		{name: "on both where one is too small", model: large, whole: true,
			gpus: []llama.Device{gpu("CUDA0", 24, 24), gpu("CUDA1", 24, 24)},
			want: placement{gpu: true, layers: allLayers, ubatch: gpuUBatch,
				devices: []string{"CUDA0", "CUDA1"}}},
		{name: "without one that is full", model: small, whole: true,
			gpus: []llama.Device{gpu("CUDA0", 24, 0), gpu("CUDA1", 24, 8)},
			want: placement{gpu: true, layers: allLayers, ubatch: gpuUBatch,
				devices: []string{"CUDA1"}}},
		{name: "fewer prompt tokens at once where only that lacks", model: madeUp{layers: 31,
			layerBytes: gb / 8, compute: 4 * gb}, gpus: []llama.Device{gpu("CUDA0", 8, 7)},
			want: placement{gpu: true, layers: allLayers}, whole: true},
		{name: "as many layers as fit", model: large, gpus: two[:1],
			want: placement{gpu: true, layers: 43}},
		{name: "no GPU where no layer fits", model: large,
			gpus: []llama.Device{gpu("CUDA0", 24, 1)}, want: placement{off: true}},
		{name: "experts in RAM before layers", model: experts, gpus: two[:1],
			want: placement{gpu: true, layers: allLayers, experts: 6}},
		{name: "layers as the user says though they do not fit", model: large, gpus: two[:1],
			o: LoadOptions{GPULayers: layers(70)}, want: placement{gpu: true, layers: 70}},
		{name: "tokens at once as the user says", model: small, gpus: two[:1], whole: true,
			o:    LoadOptions{UBatchSize: 256},
			want: placement{gpu: true, layers: allLayers, ubatch: gpuUBatch}},
		{name: "a GPU of the processor with the usual number of tokens at once", model: small,
			gpus: []llama.Device{{Name: "Vulkan0", Kind: llama.DeviceIntegratedGPU,
				MemoryTotal: 16 * gb, MemoryFree: 12 * gb}}, whole: true,
			want: placement{gpu: true, layers: allLayers}},
		{name: "a GPU that does not tell its memory", model: small, whole: true,
			gpus: []llama.Device{{Name: "GPU0", Kind: llama.DeviceGPU}},
			want: placement{gpu: true, layers: allLayers, ubatch: gpuUBatch}},
		{name: "this machine's GPU rather than a larger one of another", model: small, whole: true,
			gpus: []llama.Device{gpu("RPC0", 80, 80), two[0]},
			want: placement{gpu: true, layers: allLayers, ubatch: gpuUBatch,
				devices: []string{"CUDA0"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.model
			m.gpus = tt.gpus
			got, err := m.fitter(&tt.o).fit()
			if err != nil {
				t.Fatal(err)
			}
			tt.want.cache, got.placement.cache = 0, 0
			if !equalPlacements(got.placement, tt.want) || got.whole != tt.whole {
				t.Errorf("fit() = %+v, whole %v; want %+v, whole %v", got.placement, got.whole,
					tt.want, tt.whole)
			}
		})
	}
}

func equalPlacements(a, b placement) bool {
	return a.gpu == b.gpu && a.off == b.off && slices.Equal(a.devices, b.devices) &&
		a.layers == b.layers && slices.Equal(a.split, b.split) && a.experts == b.experts &&
		a.ubatch == b.ubatch && a.fewer == b.fewer && a.rows == b.rows
}

func TestFitLeavesRoomOnEveryGPU(t *testing.T) {
	gpus := []llama.Device{gpu("CUDA0", 24, 24), gpu("CUDA1", 48, 30), gpu("CUDA2", 12, 3)}
	for _, layerBytes := range []uint64{gb / 4, gb / 2, gb, 2 * gb} {
		for _, o := range []LoadOptions{{}, {SplitMode: "layer"}, {FitMargin: 4 * gb}} {
			m := madeUp{layers: 63, layerBytes: layerBytes, compute: gb, gpus: gpus}
			f := m.fitter(&o)
			got, err := f.fit()
			if err != nil {
				t.Fatal(err)
			}
			if got.off {
				t.Errorf("layers of %d bytes, %+v: no GPU is used", layerBytes, o)
				continue
			}
			if !f.fits(got.memory) {
				t.Errorf("layers of %d bytes, %+v: %+v does not fit", layerBytes, o, got.memory)
			}
			if more := got.placement; !got.whole && more.experts == 0 {
				more.layers++
				if next, _ := f.try(more); next.whole {
					t.Errorf("layers of %d bytes, %+v: one more than %d fits, too", layerBytes, o,
						got.layers)
				}
			}
		}
	}
}

func TestFitTakesOneDryRunWhereAllFits(t *testing.T) {
	m := madeUp{layers: 31, layerBytes: gb / 8, compute: gb, gpus: []llama.Device{gpu("A", 24, 20)}}
	if _, err := m.fitter(&LoadOptions{}).fit(); err != nil || m.runs != 1 {
		t.Errorf("%d dry runs, error %v; want 1 and none", m.runs, err)
	}
	m = madeUp{layers: 79, layerBytes: gb, compute: gb, gpus: []llama.Device{gpu("A", 24, 20)}}
	if _, err := m.fitter(&LoadOptions{}).fit(); err != nil || m.runs > 5 {
		t.Errorf("%d dry runs where a part fits, error %v; want at most 5 and none", m.runs, err)
	}
	m.runs = 0
	got, err := m.fitter(&LoadOptions{whole: true}).fit()
	if err != nil || got.whole || m.runs > 2 {
		t.Errorf("%d dry runs where nothing less than all will do, error %v; want 2", m.runs, err)
	}
}

func TestFitGivesUpWhenTheDryRunFails(t *testing.T) {
	bad := errors.New("bad")
	m := madeUp{layers: 31, layerBytes: gb, err: bad, gpus: []llama.Device{gpu("A", 24, 20)}}
	if _, err := m.fitter(&LoadOptions{}).fit(); !errors.Is(err, bad) {
		t.Errorf("fit() gives %v; want the error of the dry run", err)
	}
}

func TestIntegratedGPUSharesItsMemoryWithTheHost(t *testing.T) {
	f := fitter{o: &LoadOptions{}, outstanding: func(string, uint64) uint64 { return 0 },
		gpus: []llama.Device{{Name: "iGPU", Kind: llama.DeviceIntegratedGPU}}}
	memory := []llama.Memory{{Device: "iGPU", Total: 16 * gb, Free: 10 * gb, Weights: 8 * gb},
		{Device: "host", Weights: gb / 2}}
	if !f.fits(memory) {
		t.Error("8.5 of 10 GB do not fit with a margin of 1")
	}
	memory[1].Cache = gb
	if f.fits(memory) {
		t.Error("9.5 of 10 GB fit with a margin of 1")
	}
}

func TestASplitCacheMayTakeHalfOfWhatAGPUHasLeft(t *testing.T) {
	integrated := gpu("iGPU", 24, 24)
	integrated.Kind = llama.DeviceIntegratedGPU
	for _, tt := range []struct {
		gpu  llama.Device
		want uint64
	}{{gpu("CUDA0", 25, 25), 10 * gb}, {integrated, 19 * gb / 8}} {
		m := madeUp{layers: 7, layerBytes: gb / 2, compute: gb / 4, gpus: []llama.Device{tt.gpu}}
		got, err := m.fitter(&LoadOptions{}).fit()
		if err != nil || got.cache != tt.want {
			t.Errorf("%s: %d bytes, %v; want %d", tt.gpu.Name, got.cache, err, tt.want)
		}
	}
}

func TestShrinkGoesFromTokensToLayersToNoGPU(t *testing.T) {
	p := placement{gpu: true, layers: allLayers, ubatch: gpuUBatch, devices: []string{"CUDA0"},
		rows: "CUDA0"}
	o := &LoadOptions{}
	var got []placement
	for next, ok := p.shrink(o, 31); ok; next, ok = next.shrink(o, 31) {
		got = append(got, next)
	}
	want := []placement{
		{gpu: true, layers: allLayers, devices: p.devices},
		{gpu: true, layers: 24, devices: p.devices, fewer: true},
		{off: true, fewer: true},
	}
	if !slices.EqualFunc(got, want, equalPlacements) {
		t.Errorf("got %+v; want %+v", got, want)
	}
	o.GPULayers = layers(20)
	p.layers = 20
	next, ok := p.shrink(o, 31)
	if !ok || next.layers != 20 || next.ubatch != 0 {
		t.Errorf("chosen layers became %+v, %v; want 20 with fewer tokens at once", next, ok)
	}
	if next, ok = next.shrink(o, 31); ok {
		t.Errorf("chosen layers became %+v; want an error", next)
	}
}

func TestEmbeddingsAreLookedUpOnTheGPUThatHasAllLayers(t *testing.T) {
	one := []llama.Device{gpu("CUDA0", 24, 23)}
	two := append(one, gpu("CUDA1", 24, 23))
	for _, tt := range []struct {
		name       string
		layers     int // of half a gigabyte
		gpus       []llama.Device
		o          LoadOptions
		cannot     bool
		embeddings uint64
		want       string
	}{
		{name: "one GPU", layers: 31, gpus: one, want: "CUDA0"},
		{name: "one of two", layers: 31, gpus: two, want: "CUDA0"},
		{name: "all layers as the user says", layers: 31, gpus: one,
			o: LoadOptions{GPULayers: layers(99)}, want: "CUDA0"},
		{name: "fewer layers", layers: 31, gpus: one, o: LoadOptions{GPULayers: layers(30)}},
		{name: "layers that do not fit", layers: 79, gpus: one},
		{name: "no room for them beside the layers", layers: 31, gpus: one, embeddings: 8 * gb},
		{name: "two GPUs", layers: 79, gpus: two},
		{name: "a type of which rows cannot be looked up", layers: 31, gpus: one, cannot: true},
		{name: "another kind of GPU", layers: 31, gpus: []llama.Device{gpu("Vulkan0", 24, 23)}},
	} {
		m := madeUp{layers: tt.layers, layerBytes: gb / 2, compute: gb / 4, gpus: tt.gpus,
			embeddings: tt.embeddings}
		f := m.fitter(&tt.o)
		f.rows = !tt.cannot
		got, err := f.fit()
		if err != nil || got.rows != tt.want {
			t.Errorf("%s: looked up on %q, %v; want %q", tt.name, got.rows, err, tt.want)
		}
		placed := strings.Join(got.model(llama.ModelParams{}, tt.layers).TensorBuffers, " ")
		if on := strings.Contains(placed, "token_embd"); on != (tt.want != "") {
			t.Errorf("%s: tensors placed are %q", tt.name, placed)
		}
	}
}

func TestExpertsAreKeptOfLayersSpreadEvenly(t *testing.T) {
	got := expertPattern(3, 9)
	if !strings.HasPrefix(got, `blk\.(2|5|8)\.ffn_`) {
		t.Errorf("expertPattern(3, 9) = %q", got)
	}
	if got := expertPattern(2, 2); !strings.HasPrefix(got, `blk\.(0|1)\.`) {
		t.Errorf("expertPattern(2, 2) = %q", got)
	}
}

func TestTokensAtOnceAreLargeOnlyOnGPUs(t *testing.T) {
	base := llama.ContextParams{Batch: 2048, UBatch: 512}
	for _, tt := range []struct {
		p             placement
		o             LoadOptions
		batch, ubatch int
	}{
		{placement{}, LoadOptions{}, 2048, 512},
		{placement{gpu: true, ubatch: gpuUBatch}, LoadOptions{}, 2048, 2048},
		{placement{gpu: true, ubatch: gpuUBatch}, LoadOptions{UBatchSize: 512}, 2048, 512},
		{placement{gpu: true}, LoadOptions{}, 2048, 512},
	} {
		got := tt.p.context(&tt.o, base)
		if got.Batch != tt.batch || got.UBatch != tt.ubatch {
			t.Errorf("%+v, %+v: batch %d, ubatch %d; want %d, %d", tt.p, tt.o, got.Batch,
				got.UBatch, tt.batch, tt.ubatch)
		}
	}
	small := llama.ContextParams{Batch: 1024, UBatch: 512}
	p := placement{gpu: true, ubatch: gpuUBatch}
	if got := p.context(&LoadOptions{BatchSize: 1024}, small); got.UBatch != 1024 {
		t.Errorf("ubatch %d with a batch of 1024; want no more than that", got.UBatch)
	}
}

func TestLoadsAtOnceDoNotCountTheSameMemory(t *testing.T) {
	var l ledger
	memory := func(free, need uint64) []llama.Memory {
		return []llama.Memory{{Device: "A", Free: free, Weights: need}, {Device: "host", Free: 9}}
	}
	check := func(what string, free, want uint64) {
		t.Helper()
		if got := l.outstanding("A", free); got != want {
			t.Errorf("%s: %d outstanding; want %d", what, got, want)
		}
	}
	check("nothing", 100, 0)
	first := l.reserve(memory(100, 40))
	check("one load that has taken nothing", 100, 40)
	check("one load that has taken 30", 70, 10)
	check("one load that has taken more than it said", 50, 0)
	second := l.reserve(memory(70, 20))
	check("two loads that have taken 30", 70, 30)
	first()
	first()
	check("the second alone, which has taken nothing", 60, 20)
	check("the second alone, which has taken 5", 55, 15)
	second()
	check("none", 40, 0)
	l.reserve(nil)()
	check("none after one that no GPU is used for", 40, 0)
}
