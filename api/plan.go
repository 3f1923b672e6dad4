package api

import (
	"fmt"
	"strings"
)

// Plan says where a model is, or would be, and what it takes there.
type Plan struct {
	// Devices are the GPUs in use and, last, this machine's own memory.
	Devices []PlanDevice `json:"devices"`
	// GPULayers of Layers are on GPUs; the last of them is the output layer. Of CPUExperts of
	// these, the weights of the experts are not.
	GPULayers  int `json:"gpu_layers"`
	Layers     int `json:"layers"`
	CPUExperts int `json:"cpu_experts,omitempty"`

	ContextSize int `json:"context_length"`
	Slots       int `json:"slots"`
	CacheTokens int `json:"cache_tokens"` // cells of the KV cache
	UBatchSize  int `json:"ubatch_size"`  // prompt tokens computed at once

	KVTypeK   string `json:"cache_type_k"`
	KVTypeV   string `json:"cache_type_v"`
	SplitMode string `json:"split_mode"` // none, layer, row or tensor
	FlashAttn string `json:"flash_attn"` // on, off; auto: not known before it is loaded

	// Draft is what of all this a model takes that drafts for this one, in bytes; 0: there is none.
	Draft uint64 `json:"draft,omitempty"`

	// Notes say what is not as one would expect, such as a GPU that cannot be used.
	Notes []string `json:"notes,omitempty"`
}

// PlanDevice is the share of one device, in bytes. Total and Free are 0 when unknown.
type PlanDevice struct {
	Name    string `json:"name"`
	GPU     bool   `json:"gpu"`
	Total   uint64 `json:"memory_total"`
	Free    uint64 `json:"memory_free"`
	Weights uint64 `json:"weights"`
	Cache   uint64 `json:"cache"`
	Compute uint64 `json:"compute"`
}

// Size is what the model takes on the device.
func (d PlanDevice) Size() uint64 { return d.Weights + d.Cache + d.Compute }

// Size is what the model takes on all devices, and the part of it that is on GPUs.
func (p *Plan) Size() (all, gpu uint64) {
	for _, d := range p.Devices {
		all += d.Size()
		if d.GPU {
			gpu += d.Size()
		}
	}
	return all, gpu
}

// String describes the plan in a line.
func (p *Plan) String() string {
	var parts []string
	for _, d := range p.Devices {
		if d.Size() > 0 {
			parts = append(parts, fmt.Sprintf("%.2f GB on %s", float64(d.Size())/1e9, d.Name))
		}
	}
	text := fmt.Sprintf("%d of %d layers on the GPU", p.GPULayers, p.Layers)
	switch gpus := p.gpus(); {
	case gpus == 0:
		text = "all on the CPU"
	case gpus > 1:
		text = fmt.Sprintf("%d of %d layers on %d GPUs", p.GPULayers, p.Layers, gpus)
	}
	if p.CPUExperts > 0 {
		text += fmt.Sprintf(", the experts of %d not", p.CPUExperts)
	}
	text += ": " + strings.Join(parts, ", ")
	if p.Draft > 0 {
		text += fmt.Sprintf(", of which %.2f GB to draft", float64(p.Draft)/1e9)
	}
	return text
}

func (p *Plan) gpus() (n int) {
	for _, d := range p.Devices {
		if d.GPU {
			n++
		}
	}
	return n
}
