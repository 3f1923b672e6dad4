package synth

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/mullama/mullama/internal/gguf"
)

// Options choose what Tiny writes. The zero value is a llama model in F16 that loads and runs.
type Options struct {
	// Arch is the architecture: llama (also if empty), qwen2 or gemma3.
	Arch string
	// FullPrecision writes the matrices in F32 instead of F16.
	FullPrecision bool
	// Seed changes the weights.
	Seed uint64
	// Context is the model's context length; 0 means 2048.
	Context int
	// Template is the chat template; empty means ChatML.
	Template string
	// NoTemplate leaves the chat template out, as in a base model.
	NoTemplate bool
	// Keys are set last, to add to the model's keys or to replace some.
	Keys map[string]any

	// The rest makes files that must be refused.

	// Declare is written as general.architecture in place of Arch.
	Declare string
	// Version is the GGUF version; 0 means 3. Another than 2 and 3 is one no reader knows.
	Version uint32
	// Omit names tensors to leave out.
	Omit []string
}

// TinyFile writes the model that Tiny writes to a file.
func TinyFile(path string, o Options) error {
	return writeFile(path, func(w io.Writer) error { return Tiny(w, o) })
}

// Tiny writes a model of a few hundred kilobytes with about a thousand tokens: all bytes, ASCII,
// some other characters, common English words, and the control tokens of ChatML. The rows of the
// output matrix that belong to control tokens are zero, so that greedy decoding does not end by
// itself.
func Tiny(w io.Writer, o Options) error {
	s, err := tinyShape(o)
	if err != nil {
		return err
	}
	return tiny(w, s, o)
}

// TinyOf writes a model as Tiny does, but of another shape, to a file.
func TinyOf(path string, s Shape, o Options) error {
	return writeFile(path, func(w io.Writer) error { return tiny(w, s, o) })
}

func tiny(w io.Writer, s Shape, o Options) error {
	v := newVocabulary()
	s.Vocab = len(v.tokens)
	g := gguf.Writer{Version: o.Version}
	setTinyKeys(&g, s, o)
	v.setKeys(&g)
	if o.Template != "" {
		g.Set("tokenizer.chat_template", o.Template)
	} else if !o.NoTemplate {
		g.Set("tokenizer.chat_template", ChatML)
	}
	for _, key := range slices.Sorted(maps.Keys(o.Keys)) {
		g.Set(key, o.Keys[key])
	}
	kind := gguf.F16
	if o.FullPrecision {
		kind = gguf.F32
	}
	for i, t := range s.plan(uniform(kind)) {
		if !slices.Contains(o.Omit, t.name) {
			g.Add(t.name, t.kind, t.dims, tinyWeights(s, t, o.Seed, uint64(i), v.kinds))
		}
	}
	_, err := g.WriteTo(w)
	return err
}

func tinyShape(o Options) (Shape, error) {
	s := Shape{
		Name: "tiny", Arch: o.Arch, Layers: 2, Embedding: 64, FeedForward: 128,
		Heads: 2, KVHeads: 1, HeadDim: 32, Context: o.Context, RopeBase: 10000, Epsilon: 1e-5,
	}
	if s.Context == 0 {
		s.Context = 2048
	}
	switch o.Arch {
	case "":
		s.Arch = "llama"
	case "llama", "qwen2":
	case "gemma3":
		s.Layers = 6 // every sixth layer sees the whole context, the others the window
		s.Window = 64
	default:
		return s, fmt.Errorf("tiny models of architecture %q are not known;"+
			" want llama, qwen2 or gemma3", o.Arch)
	}
	return s, nil
}

func setTinyKeys(g *gguf.Writer, s Shape, o Options) {
	declared := s.Arch
	if o.Declare != "" {
		declared = o.Declare
	}
	fileType := gguf.FileF16
	if o.FullPrecision {
		fileType = gguf.FileF32
	}
	g.Set("general.architecture", declared)
	g.Set("general.type", "model")
	g.Set("general.name", "Tiny "+s.Arch)
	g.Set("general.license", "mit")
	g.Set("general.file_type", uint32(fileType))
	s.setKeys(g)
}

// tinyWeights writes a tensor of normally distributed elements.
func tinyWeights(s Shape, t planned, seed, index uint64, kinds []int32) gguf.TensorWriter {
	if len(t.dims) == 1 {
		return vector(s, t, rand.New(rand.NewPCG(seed, index)))
	}
	sigma := 1 / math.Sqrt(float64(t.dims[0]))
	if t.role == output {
		sigma *= 3 // spreads the logits, so that rounding seldom changes which one is largest
	}
	return func(w io.Writer) error {
		rng := rand.New(rand.NewPCG(seed, index))
		var b []byte
		for row := range t.dims[1] {
			scale := sigma
			if t.role == output && kinds[row] == kindControl {
				scale = 0
			}
			for range t.dims[0] {
				x := float32(scale * rng.NormFloat64())
				if t.kind == gguf.F32 {
					b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
				} else {
					b = binary.LittleEndian.AppendUint16(b, gguf.Half(x))
				}
			}
		}
		_, err := w.Write(b)
		return err
	}
}
