package mullama

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/llama"
)

// This file chooses which part of a model goes to which GPU. Whether a choice fits is asked of
// llama.cpp's dry run. The search is ours and not that of llama.cpp's common_fit_params, as that
// asks for the free memory itself and so knows nothing of other loads that are under way, gives up
// when the user has set a split or its mode, and runs on nothing but real devices, so that no test
// could tell what it does with eight of them.
//
// What the user set is never changed. The context is not either: Ollama's users expect what they
// asked for, if slower, rather than a prompt that does not fit.

const (
	// gpuUBatch is how many prompt tokens are computed at once when layers are on a GPU. On an H200
	// it makes 57,800 tokens/s of prompts to a model of 1B parameters, and llama.cpp's 512 make
	// 41,600. CPUs gain nothing by it.
	gpuUBatch = 2048
	// fitMargin is the memory that is left free on each GPU: what the dry run does not count, such
	// as the workspaces of matrix libraries, takes some hundred megabytes. On a small GPU it is an
	// eighth.
	fitMargin      = 1 << 30
	fitMarginShare = 8
	allLayers      = -1
)

// placement is where a model goes. The zero value is one that no GPU is used for.
type placement struct {
	gpu     bool      // layers are on GPUs
	off     bool      // no GPU is used, though there are some
	devices []string  // nil: as LoadOptions say
	layers  int       // on GPUs
	split   []float32 // nil: as LoadOptions say
	experts int       // layers whose experts stay in this machine's memory
	rows    string    // GPU that looks up the embeddings of tokens; "": this machine does
	ubatch  int       // 0: llama.cpp's
	cache   uint64    // most bytes that a KV cache for each slot may take
	fewer   bool      // layers than what was thought to fit
}

// model completes the parameters of a load.
func (p *placement) model(base llama.ModelParams, layers int) llama.ModelParams {
	if p.off {
		// With a main GPU of -1 llama.cpp uses none at all, not even for long prompts.
		base.GPULayers, base.SplitMode, base.MainGPU = 0, llama.SplitNone, -1
		base.Devices, base.TensorSplit = nil, nil
		return base
	}
	if !p.gpu {
		return base
	}
	base.GPULayers = p.layers
	if p.devices != nil {
		base.Devices = p.devices
		base.MainGPU = 0
	}
	if p.split != nil {
		base.TensorSplit = p.split
	}
	if p.rows != "" {
		base.TensorBuffers = append(slices.Clone(base.TensorBuffers),
			`^token_embd\.weight$=`+p.rows)
	}
	if p.experts > 0 {
		base.TensorBuffers = append(slices.Clone(base.TensorBuffers),
			expertPattern(p.experts, layers)+"=CPU")
	}
	return base
}

// expertPattern matches the weights of the experts of n of the layers, spread evenly, so that each
// of several GPUs is relieved alike.
func expertPattern(n, layers int) string {
	var numbers []string
	for i := range layers {
		if (i+1)*n/layers > i*n/layers {
			numbers = append(numbers, strconv.Itoa(i))
		}
	}
	return `blk\.(` + strings.Join(numbers, "|") + `)\.ffn_(up|down|gate_up|gate)_(ch|)exps`
}

// context completes the parameters of a context, but for its layout.
func (p *placement) context(o *LoadOptions, base llama.ContextParams) llama.ContextParams {
	if p.ubatch > 0 && o.UBatchSize == 0 {
		if o.BatchSize == 0 {
			base.Batch = max(base.Batch, p.ubatch)
		}
		base.UBatch = min(p.ubatch, base.Batch)
	}
	return base
}

// mostSplit is how many bytes a KV cache for each slot may take.
func (p *placement) mostSplit() uint64 {
	if p.gpu {
		return p.cache
	}
	return freeMemory() / splitShare
}

// shrink returns the next smaller placement to try when memory did not suffice: fewer tokens at
// once and their embeddings not on the GPU, then three quarters of the layers, then no GPU. The
// number of layers is the user's if they gave one.
func (p *placement) shrink(o *LoadOptions, layers int) (next placement, ok bool) {
	next = *p
	switch {
	case !p.gpu:
		return next, false
	case p.rows != "" || p.ubatch > 0 && o.UBatchSize == 0:
		next.rows, next.ubatch = "", 0
		return next, true
	case o.GPULayers != nil:
		return next, false
	case p.fewer:
		return placement{off: true, fewer: true}, true
	case p.layers == allLayers || p.layers > layers:
		next.layers = layers + 1
	}
	next.layers = next.layers * 3 / 4
	next.fewer, next.cache = true, 0
	return next, true
}

// fitter finds a placement.
type fitter struct {
	o       *LoadOptions
	gpus    []llama.Device // those that may be used, in llama.cpp's order
	layers  int            // of the model, without the output layer
	experts bool           // it has experts
	rows    bool           // GPUs can look up the embeddings of its tokens
	size    uint64         // of its weights
	// outstanding is what loads that are under way will still take of a device.
	outstanding func(device string, free uint64) uint64
	// shape returns the parameters of the context that a placement leads to.
	shape func(*placement) llama.ContextParams
	// measure is the dry run.
	measure func(*placement) ([]llama.Memory, error)
}

// fitted is a placement with what it takes.
type fitted struct {
	placement
	memory []llama.Memory // nil: not known
	whole  bool           // all that should be on GPUs is
}

// fit finds the best placement: all on one GPU if it fits there, as several would only wait for
// each other; then all on all GPUs; then the experts, and at last layers, in this machine's memory.
func (f *fitter) fit() (best fitted, err error) {
	for _, devices := range f.deviceSets() {
		for _, p := range f.shapes(devices) {
			if best, err = f.try(p); err != nil || best.whole {
				return best, err
			}
		}
	}
	best, err = f.balance(best)
	if err != nil || best.whole || f.o.GPULayers != nil || f.o.whole {
		return best, err
	}
	if f.experts && len(f.o.TensorBuffers) == 0 {
		none := best.placement
		none.experts = f.layers
		full := best
		if best, err = f.try(none); err != nil {
			return best, err
		}
		if best.whole {
			part := (1 - f.share(best)) / (f.share(full) - f.share(best))
			return f.search(best, part, f.layers, func(p *placement, n int) {
				p.experts = f.layers - n
			})
		}
	}
	none := fitted{placement: placement{off: true}}
	return f.search(none, 1/f.share(best), f.layers+1, func(p *placement, n int) {
		*p = best.placement
		p.layers = n
	})
}

// search finds the largest n below limit with which the model fits; with 0 it is lowest. A dry run
// reads the whole vocabulary, so it begins where memory in proportion would lead, which is hardly
// ever far off.
func (f *fitter) search(
	lowest fitted, part float64, limit int, set func(p *placement, n int),
) (best fitted, err error) {
	best = lowest
	low, high := 0, limit
	n := int(part * float64(limit))
	for tries := 0; high-low > 1; tries++ {
		if tries > 2 {
			n = (low + high) / 2
		}
		n = min(max(n, low+1), high-1)
		p := lowest.placement
		set(&p, n)
		got, err := f.try(p)
		switch {
		case err != nil:
			return got, err
		case got.whole:
			best, low = got, n
			n++
		default:
			high = n
			n--
		}
	}
	best.whole = false
	return best, nil
}

// share is the part of its budget that the fullest device would need: more than 1 where the model
// does not fit.
func (f *fitter) share(m fitted) (most float64) {
	for _, d := range m.memory[:len(m.memory)-1] {
		need := float64(d.Weights + d.Cache)
		budget := f.budget(d.Device, d.Free, d.Total)
		most = max(most, need/float64(max(1, budget-min(budget, d.Compute))))
	}
	return most
}

// try measures a placement.
func (f *fitter) try(p placement) (fitted, error) {
	memory, err := f.measure(&p)
	return fitted{placement: p, memory: memory, whole: err == nil && f.fits(memory)}, err
}

// fits reports whether every device has room. One that does not tell its memory counts as large.
func (f *fitter) fits(memory []llama.Memory) bool {
	host := memory[len(memory)-1]
	for _, m := range memory[:len(memory)-1] {
		need := m.Weights + m.Cache + m.Compute
		if f.integrated(m.Device) { // its memory is this machine's
			need += host.Weights + host.Cache + host.Compute
		}
		if m.Total > 0 && need > f.budget(m.Device, m.Free, m.Total) {
			return false
		}
	}
	return true
}

// budget is what may be used of a device.
func (f *fitter) budget(device string, free, total uint64) uint64 {
	margin := min(fitMargin, total/fitMarginShare)
	if f.o.FitMargin > 0 {
		margin = f.o.FitMargin
	}
	return free - min(free, margin+f.outstanding(device, free))
}

func (f *fitter) integrated(device string) bool {
	return slices.ContainsFunc(f.gpus, func(d llama.Device) bool {
		return d.Name == device && d.Kind == llama.DeviceIntegratedGPU
	})
}

// deviceSets are the sets of GPUs to try, nil for those that the options name.
func (f *fitter) deviceSets() (sets [][]llama.Device) {
	chosen := f.o.SplitMode != "" || f.o.TensorSplit != nil || len(f.o.Devices) > 0
	if chosen || len(f.gpus) == 1 {
		return [][]llama.Device{nil}
	}
	budget := func(d llama.Device) uint64 { return f.budget(d.Name, d.MemoryFree, d.MemoryTotal) }
	var usable []llama.Device
	best := f.gpus[0]
	for i, d := range f.gpus {
		if budget(d) > 0 || d.MemoryTotal == 0 {
			usable = append(usable, d)
		}
		if !isRemote(d) && (isRemote(best) || budget(d) > budget(best)) {
			best = f.gpus[i]
		}
	}
	if n := f.o.MainGPU; n > 0 && n < len(f.gpus) {
		best = f.gpus[n]
	}
	sets = append(sets, []llama.Device{best})
	if len(usable) > 1 {
		sets = append(sets, usable)
	}
	return sets
}

// isRemote reports whether a device is another machine's: using it costs time on the network.
func isRemote(d llama.Device) bool { return strings.HasPrefix(d.Name, "RPC") }

// shapes are the placements of all layers on devices, the best first.
func (f *fitter) shapes(devices []llama.Device) (all []placement) {
	p := placement{gpu: true, layers: allLayers}
	if f.o.GPULayers != nil {
		p.layers = *f.o.GPULayers
	}
	used := f.gpus
	if devices != nil {
		used = devices
		for _, d := range devices {
			p.devices = append(p.devices, d.Name)
		}
	}
	var free uint64
	discrete := true
	for _, d := range used {
		free += f.budget(d.Name, d.MemoryFree, d.MemoryTotal)
		discrete = discrete && d.Kind == llama.DeviceGPU
	}
	free -= min(free, f.size)
	share := uint64(gpuSplitShare)
	if !discrete {
		share = splitShare
	}
	large := p
	large.cache, large.ubatch = free/share, gpuUBatch
	small := p
	small.cache = free / share
	if discrete {
		large.rows = f.embeddingsOn(used, p.layers)
		all = append(all, large)
		if large.rows != "" {
			large.rows = ""
			all = append(all, large)
		}
	}
	for _, next := range []placement{small, p} {
		if len(all) == 0 || f.shape(&next) != f.shape(&all[len(all)-1]) {
			all = append(all, next)
		}
	}
	return all
}

// looksUp are types of tensors whose single rows CUDA can look up, as llama.cpp spells them.
var looksUp = []string{"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0",
	"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"}

// gpuLooksUp reports whether a GPU can look up the embeddings of a model's tokens.
func gpuLooksUp(f *gguf.File) bool {
	return slices.ContainsFunc(f.Tensors, func(t gguf.Tensor) bool {
		return t.Name == "token_embd.weight" && slices.Contains(looksUp, t.Type.String())
	})
}

// embeddingsOn returns the GPU on which the embeddings of tokens are looked up, "" if this machine
// does it, as llama.cpp would have it. One thread of an H200's machine takes 260 microseconds for
// 64 tokens and 5.8 milliseconds for 2,048, in which the GPU waits. Only CUDA was measured.
func (f *fitter) embeddingsOn(used []llama.Device, layers int) string {
	all := layers < 0 || layers > f.layers
	split := f.o.SplitMode == "row" || f.o.SplitMode == "tensor"
	if !f.rows || !all || split || len(used) != 1 || !strings.HasPrefix(used[0].Name, "CUDA") {
		return ""
	}
	return used[0].Name
}

// balance divides the layers among several GPUs by what each has left beside its buffers, which
// llama.cpp's own division by free memory does not know of.
func (f *fitter) balance(last fitted) (fitted, error) {
	n := len(last.memory) - 1
	if n < 2 || f.o.TensorSplit != nil || f.o.SplitMode != "" && f.o.SplitMode != "layer" {
		return last, nil
	}
	p := last.placement
	p.split = make([]float32, n)
	var sum float32
	layer := f.size / uint64(f.layers+1)
	for i, m := range last.memory[:n] {
		left := f.budget(m.Device, m.Free, m.Total)
		if left -= min(left, m.Compute); left >= layer {
			p.split[i] = float32(left)
		}
		sum += p.split[i]
	}
	if sum == 0 {
		return last, nil
	}
	return f.try(p)
}

// usableGPUs are the devices that layers can go to, as llama.cpp chooses them: those that are
// named, or all GPUs, or else those of the processor.
func usableGPUs(o *LoadOptions, devices []llama.Device) (gpus []llama.Device) {
	for _, name := range o.Devices {
		for _, d := range devices {
			if d.Name == name && d.Kind != llama.DeviceCPU {
				gpus = append(gpus, d)
			}
		}
	}
	for _, kind := range []llama.DeviceKind{llama.DeviceGPU, llama.DeviceIntegratedGPU} {
		for _, d := range devices {
			if d.Kind == kind && len(o.Devices) == 0 {
				gpus = append(gpus, d)
			}
		}
		if slices.ContainsFunc(gpus, func(d llama.Device) bool { return !isRemote(d) }) {
			break
		}
	}
	// llama.cpp puts those of other machines first.
	slices.SortStableFunc(gpus, func(a, b llama.Device) int {
		return remoteFirst(a, o) - remoteFirst(b, o)
	})
	if o.SplitMode == "none" && o.MainGPU < len(gpus) {
		gpus = gpus[o.MainGPU : o.MainGPU+1]
	}
	return gpus
}

func remoteFirst(d llama.Device, o *LoadOptions) int {
	if len(o.Devices) == 0 && isRemote(d) {
		return 0
	}
	return 1
}

// notWhole is what a load gets that was to fit as a whole or not at all.
func notWhole(path string, f *fitted) error {
	var need uint64
	for _, m := range f.memory[:max(0, len(f.memory)-1)] {
		need += m.Weights + m.Cache + m.Compute
	}
	return outOfMemory(path, fmt.Errorf("it takes %s of GPU memory, and less is free",
		gigabytes(need)))
}
