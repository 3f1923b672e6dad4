package synth

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
)

// AdapterOptions choose what AdapterFile writes.
type AdapterOptions struct {
	Rank  int     // 0: 4
	Scale float64 // of its numbers in B; 0: 0.05
	Seed  uint64
	Tied  bool // has the table of tokens even of a model whose output has the same
	// Keys are set last, to replace some; Omit names tensors to leave out. They make files that
	// must be refused.
	Keys map[string]any
	Omit []string
}

// AdapterFile writes a LoRA adapter with random numbers for the queries, the values and the table
// of tokens of the model in a GGUF file.
func AdapterFile(path, model string, o AdapterOptions) error {
	base, err := gguf.Open(model)
	if err != nil {
		return err
	}
	if o.Rank == 0 {
		o.Rank = 4
	}
	if o.Scale == 0 {
		o.Scale = 0.05
	}
	w := &gguf.Writer{}
	w.Set("general.type", "adapter")
	w.Set("general.architecture", base.Architecture())
	w.Set("general.name", "Random adapter")
	w.Set("general.base_model.0.name", base.String("general.name"))
	w.Set("adapter.type", "lora")
	w.Set("adapter.lora.alpha", float32(o.Rank))
	for key, value := range o.Keys {
		w.Set(key, value)
	}
	add := func(name string, dims []uint64, sigma float64) {
		if !slices.Contains(o.Omit, name) {
			w.Add(name, gguf.F32, dims, normal(o.Seed, name, dims, sigma))
		}
	}
	rank := uint64(o.Rank)
	for i := range base.Tensors {
		t := &base.Tensors[i]
		switch {
		case strings.HasSuffix(t.Name, "attn_q.weight"), strings.HasSuffix(t.Name, "attn_v.weight"):
			add(t.Name+".lora_a", []uint64{t.Dims[0], rank}, 1/math.Sqrt(float64(t.Dims[0])))
			add(t.Name+".lora_b", []uint64{rank, t.Dims[1]}, o.Scale)
		case t.Name == "token_embd.weight" && (o.Tied || hasOutput(base)):
			add(t.Name+".lora_a", []uint64{rank, t.Dims[1]}, o.Scale)
			add(t.Name+".lora_b", []uint64{rank, t.Dims[0]}, o.Scale/10)
		}
	}
	return writeFile(path, func(out io.Writer) error {
		_, err := w.WriteTo(out)
		return err
	})
}

func hasOutput(f *gguf.File) bool {
	return slices.ContainsFunc(f.Tensors, func(t gguf.Tensor) bool {
		return t.Name == "output.weight"
	})
}

// ControlFile writes a control vector with random numbers for the layers from first to last of a
// model whose embeddings have so many numbers. It returns them, layer by layer from the second on.
func ControlFile(path string, width, first, last int, seed uint64) ([]float32, error) {
	w := &gguf.Writer{}
	w.Set("general.architecture", "controlvector")
	w.Set("controlvector.model_hint", "llama")
	all := make([]float32, width*last)
	for layer := first; layer <= last; layer++ {
		rng := rand.New(rand.NewPCG(seed, uint64(layer)))
		part := all[(layer-1)*width : layer*width]
		for i := range part {
			part[i] = float32(rng.NormFloat64() / 20)
		}
		w.Add(fmt.Sprintf("direction.%d", layer), gguf.F32, []uint64{uint64(width)},
			func(out io.Writer) error { return binary.Write(out, binary.LittleEndian, part) })
	}
	return all, writeFile(path, func(out io.Writer) error {
		_, err := w.WriteTo(out)
		return err
	})
}

// normal writes normally distributed numbers that depend on the seed and the tensor's name.
func normal(seed uint64, name string, dims []uint64, sigma float64) gguf.TensorWriter {
	sum := uint64(0)
	for _, c := range name {
		sum = sum*131 + uint64(c)
	}
	return func(w io.Writer) error {
		rng := rand.New(rand.NewPCG(seed, sum))
		var b []byte
		for range dims[0] * dims[1] {
			x := float32(sigma * rng.NormFloat64())
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		_, err := w.Write(b)
		return err
	}
}
