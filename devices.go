package mullama

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/llama"
)

// kvTypes are the types of the KV cache, with the length of a block of numbers that share a scale.
var kvTypes = map[string]uint64{
	"": 1, "f16": 1, "bf16": 1, "f32": 1,
	"q8_0": 32, "q5_1": 32, "q5_0": 32, "q4_1": 32, "q4_0": 32, "iq4_nl": 32,
}

// checkNames refuses names of devices that are not among these.
func (o *LoadOptions) checkNames(op string, devices []llama.Device) error {
	for i, name := range o.Devices {
		has := func(d llama.Device) bool { return d.Name == name }
		if !slices.ContainsFunc(devices, has) {
			return invalid(op, fmt.Sprintf("no device named %s; this machine has %s", name,
				deviceNames(devices)))
		}
		if slices.Contains(o.Devices[:i], name) {
			return invalid(op, fmt.Sprintf("device %s is named twice", name))
		}
	}
	return nil
}

// checkDevices refuses what asks for devices that this machine does not have.
func (o *LoadOptions) checkDevices(op string, devices []llama.Device) error {
	if err := o.checkNames(op, devices); err != nil {
		return err
	}
	all := *o
	all.SplitMode = ""
	gpus := usableGPUs(&all, devices)
	if (o.SplitMode == "row" || o.SplitMode == "tensor") && len(gpus) == 0 {
		return invalid(op, fmt.Sprintf("split mode %s needs a GPU, and none can be used",
			o.SplitMode))
	}
	if n := o.MainGPU; n > 0 && len(gpus) > 0 && n >= len(gpus) {
		return invalid(op, fmt.Sprintf("main GPU is %d, and the GPUs are 0 to %d", n, len(gpus)-1))
	}
	return o.checkSplit(op, len(gpus))
}

// checkSplit looks at the shares of GPUs.
func (o *LoadOptions) checkSplit(op string, gpus int) error {
	n := len(o.TensorSplit)
	if n == 0 {
		return nil
	}
	if n != gpus {
		return invalid(op, fmt.Sprintf("the tensor split is for %s, and this machine has %s",
			countGPUs(n), countGPUs(gpus)))
	}
	if !slices.ContainsFunc(o.TensorSplit, func(share float32) bool { return share > 0 }) {
		return invalid(op, "tensor split is 0 for every GPU")
	}
	return nil
}

func countGPUs(n int) string {
	switch n {
	case 0:
		return "no GPU"
	case 1:
		return "1 GPU"
	}
	return fmt.Sprintf("%d GPUs", n)
}

func deviceNames(devices []llama.Device) string {
	var names []string
	for _, d := range devices {
		names = append(names, d.Name)
	}
	return strings.Join(names, ", ")
}

// checkCache refuses types of the KV cache that this model or its attention cannot have. llama.cpp
// would say so only after the weights were loaded.
func (o *LoadOptions) checkCache(op string, info *Info) error {
	if o.FlashAttention == "on" && info.Architecture == "grok" {
		return unsupported(op, "flash attention is on, and models of architecture grok cannot use "+
			"it; use auto or off")
	}
	if o.FlashAttention == "off" && kvTypes[o.KVTypeV] > 1 {
		return invalid(op, fmt.Sprintf("V cache type %s needs flash attention, and flash_attn is "+
			"off; use auto or on, or f16, bf16 or f32", o.KVTypeV))
	}
	for _, c := range []struct {
		what, kind string
		length     uint64
	}{
		{"K", o.KVTypeK, info.keyLength()}, {"V", o.KVTypeV, info.valueLength()},
	} {
		if block := kvTypes[c.kind]; block > 1 && c.length%block != 0 {
			return invalid(op, fmt.Sprintf("%s cache type %s has blocks of %d numbers, and "+
				"heads of this model have %d; use f16, bf16 or f32", c.what, c.kind, block,
				c.length))
		}
	}
	return nil
}

// keyLength and valueLength are the numbers of a head's keys and values, 0 when not known.
func (i *Info) keyLength() uint64 {
	if i.headLength > 0 || i.Heads == 0 {
		return i.headLength
	}
	return uint64(i.EmbeddingLength / i.Heads)
}

func (i *Info) valueLength() uint64 {
	if i.valueSize > 0 || i.Heads == 0 {
		return i.valueSize
	}
	return uint64(i.EmbeddingLength / i.Heads)
}
