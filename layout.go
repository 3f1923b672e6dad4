package mullama

import (
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/mullama/mullama/internal/llama"
)

// Layouts of the KV cache, as LoadOptions.KVLayout names them.
const (
	layoutAuto    = "auto"
	layoutUnified = "unified"
	layoutSplit   = "split"
)

var kvLayouts = map[string]string{
	"": layoutAuto, layoutAuto: layoutAuto, layoutUnified: layoutUnified, layoutSplit: layoutSplit,
}

const (
	// splitLeast is how many slots a context has at least for the automatic layout to give each a
	// cache of its own. In one pool every token looks at the cells of all, those of idle prefixes
	// too: on two cores 4 requests at once make 127 tokens/s of SmolLM2 instead of 277, 8 make 185
	// instead of 330, and 32 make 113 instead of 421
	// (bench/results/streams-smollm2-unified.json beside streams-smollm2-split.json).
	splitLeast = 4
	// splitShare is the part of this machine's free memory that a split cache may take, one part of
	// so many, and gpuSplitShare that of a GPU's, which nothing else is waiting for.
	splitShare, gpuSplitShare = 8, 2
	// cacheUnit is what llama.cpp rounds the cells of a sequence up to.
	cacheUnit = 256
)

// layout decides how the KV cache of a model is divided, and fills in p, which has the rest. A
// split cache is not taken by itself if it would take more bytes than most.
func (o *LoadOptions) layout(
	p *llama.ContextParams, model llama.ModelInfo, info *Info, most uint64,
) {
	cells := o.contextSize(info.ContextLength)
	switch kvLayouts[o.KVLayout] {
	case layoutSplit:
		o.split(p, cells)
		return
	case layoutAuto:
		bytes := uint64(o.slots()) * uint64(cells) * info.cacheBytesPerToken()
		if p.TypeK != "f32" && p.TypeV != "f32" {
			bytes /= 2 // the bound is that of f32
		}
		plain := model.SlidingWindow == 0 && !model.Recurrent && !model.Hybrid
		if plain && o.slots() >= splitLeast && o.CacheTokens == 0 && bytes <= most {
			o.split(p, cells)
			return
		}
	}
	p.Ctx = max(cells, o.CacheTokens)
	p.Sequences = o.sequences(model)
}

// traits are what can be told of a model's cache before it is loaded.
func (i *Info) traits() llama.ModelInfo {
	return llama.ModelInfo{SlidingWindow: i.window, Recurrent: i.recurrent}
}

// split gives each slot as many cells of its own.
func (o *LoadOptions) split(p *llama.ContextParams, cells int) {
	p.Sequences = o.slots()
	p.UnifiedSequences = p.Sequences == 1
	p.Ctx = (cells + cacheUnit - 1) / cacheUnit * cacheUnit * p.Sequences
}

// sequences is how many sequences the pool of a unified cache has: one for each slot, and more for
// the prefixes of finished requests. These cost nothing but for layers with a sliding window, which
// have cells for each sequence, and for recurrent models, which have a state for each.
func (o *LoadOptions) sequences(model llama.ModelInfo) int {
	const most = 256 // llama.cpp's limit
	slots := o.slots()
	if slots == 1 {
		return 1 // which keeps the last prefix; others would only slow it down
	}
	if model.SlidingWindow > 0 || model.Recurrent || model.Hybrid {
		return min(most, slots+min(slots, 4))
	}
	return min(most, 2*slots+8)
}

// freeMemory is the free memory of this machine, 0 where it is not known.
func freeMemory() uint64 {
	if memory, err := mem.VirtualMemory(); err == nil {
		return memory.Available
	}
	return 0
}
