package synth

import (
	"fmt"
	"slices"

	"github.com/mullama/mullama/internal/gguf"
)

// Shape is what decides a model's tensors, memory and speed.
type Shape struct {
	// Name is the shape's name on the command line.
	Name string
	// Arch is the architecture in llama.cpp's terms: llama, qwen2 or gemma3.
	Arch string

	Layers, Embedding, FeedForward int
	Heads, KVHeads, HeadDim        int
	Vocab, Context                 int

	// RopeBase is the base of the rotary position encoding.
	RopeBase float32
	// RopeFactor stretches it by the Llama 3 rule; 0 leaves it.
	RopeFactor float32
	// Epsilon is the one of the RMS norms.
	Epsilon float32
	// Window is the length of the sliding attention window; 0 for none.
	Window int
	// Tied means that the output matrix is the token embedding.
	Tied bool
}

// Shapes are the published models that Exact can imitate.
var Shapes = []Shape{
	{
		Name: "llama3.2-1b", Arch: "llama", Layers: 16, Embedding: 2048, FeedForward: 8192,
		Heads: 32, KVHeads: 8, HeadDim: 64, Vocab: 128256, Context: 131072,
		RopeBase: 500000, RopeFactor: 32, Epsilon: 1e-5, Tied: true,
	},
	{
		Name: "llama3.2-3b", Arch: "llama", Layers: 28, Embedding: 3072, FeedForward: 8192,
		Heads: 24, KVHeads: 8, HeadDim: 128, Vocab: 128256, Context: 131072,
		RopeBase: 500000, RopeFactor: 32, Epsilon: 1e-5, Tied: true,
	},
	{
		Name: "qwen2.5-7b", Arch: "qwen2", Layers: 28, Embedding: 3584, FeedForward: 18944,
		Heads: 28, KVHeads: 4, HeadDim: 128, Vocab: 152064, Context: 32768,
		RopeBase: 1000000, Epsilon: 1e-6,
	},
	{
		Name: "llama2-13b", Arch: "llama", Layers: 40, Embedding: 5120, FeedForward: 13824,
		Heads: 40, KVHeads: 40, HeadDim: 128, Vocab: 32000, Context: 4096,
		RopeBase: 10000, Epsilon: 1e-5,
	},
}

// FindShape returns the shape of that name.
func FindShape(name string) (Shape, bool) {
	i := slices.IndexFunc(Shapes, func(s Shape) bool { return s.Name == name })
	if i < 0 {
		return Shape{}, false
	}
	return Shapes[i], true
}

// role is the part a tensor plays, which decides its type and its values.
type role int

const (
	matrix    role = iota
	embedding      // one row per token
	output         // one row per token
	value          // attention values, which quantisation hurts most
	down           // the matrix that ends the feed-forward block, likewise
	norm           // a vector that multiplies
	bias           // a vector that adds
	ropeScale      // divisors of the rotary frequencies
)

// planned is a tensor to be written.
type planned struct {
	name string
	dims []uint64
	role role
	kind gguf.TensorType
}

// chooser decides the type of a tensor of the given role, layer and row length.
type chooser func(s Shape, r role, layer, row int) gguf.TensorType

// plan lists the tensors of the shape.
func (s Shape) plan(choose chooser) []planned {
	p := planner{shape: s, choose: choose}
	p.add("token_embd.weight", embedding, s.Embedding, s.Vocab)
	p.add("output_norm.weight", norm, s.Embedding)
	if !s.Tied {
		p.add("output.weight", output, s.Embedding, s.Vocab)
	}
	if s.RopeFactor != 0 {
		p.add("rope_freqs.weight", ropeScale, s.HeadDim/2)
	}
	for p.layer = range s.Layers {
		p.prefix = fmt.Sprintf("blk.%d.", p.layer)
		p.attention()
		p.feedForward()
	}
	return p.tensors
}

type planner struct {
	shape   Shape
	choose  chooser
	layer   int
	prefix  string
	tensors []planned
}

func (p *planner) attention() {
	s := p.shape
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	p.add("attn_norm.weight", norm, s.Embedding)
	p.add("attn_q.weight", matrix, s.Embedding, q)
	p.add("attn_k.weight", matrix, s.Embedding, kv)
	p.add("attn_v.weight", value, s.Embedding, kv)
	p.add("attn_output.weight", matrix, q, s.Embedding)
	switch s.Arch {
	case "qwen2":
		p.add("attn_q.bias", bias, q)
		p.add("attn_k.bias", bias, kv)
		p.add("attn_v.bias", bias, kv)
	case "gemma3":
		p.add("attn_q_norm.weight", norm, s.HeadDim)
		p.add("attn_k_norm.weight", norm, s.HeadDim)
		p.add("post_attention_norm.weight", norm, s.Embedding)
	}
}

func (p *planner) feedForward() {
	s := p.shape
	p.add("ffn_norm.weight", norm, s.Embedding)
	p.add("ffn_gate.weight", matrix, s.Embedding, s.FeedForward)
	p.add("ffn_up.weight", matrix, s.Embedding, s.FeedForward)
	p.add("ffn_down.weight", down, s.FeedForward, s.Embedding)
	if s.Arch == "gemma3" {
		p.add("post_ffw_norm.weight", norm, s.Embedding)
	}
}

func (p *planner) add(name string, r role, dims ...int) {
	t := planned{name: p.prefix + name, role: r, kind: p.choose(p.shape, r, p.layer, dims[0])}
	if len(dims) == 1 {
		t.kind = gguf.F32 // llama.cpp keeps vectors in full
	}
	for _, d := range dims {
		t.dims = append(t.dims, uint64(d))
	}
	p.tensors = append(p.tensors, t)
}

// uniform gives every matrix the same type.
func uniform(t gguf.TensorType) chooser {
	return func(Shape, role, int, int) gguf.TensorType { return t }
}

// mixQ4KM follows llama.cpp's Q4_K_M mix: most matrices in Q4_K, the output and about half of the
// value and down matrices in Q6_K.
func mixQ4KM(s Shape, r role, layer, row int) gguf.TensorType {
	fine := false
	switch r {
	case output:
		fine = true
	case embedding:
		fine = s.Tied
	case value, down:
		n := s.Layers
		fine = layer < n/8 || layer >= 7*n/8 || (layer-n/8)%3 == 2
	}
	wholeBlocks := row%256 == 0
	switch {
	case fine && wholeBlocks:
		return gguf.Q6K
	case fine:
		return gguf.Q80
	case wholeBlocks:
		return gguf.Q4K
	}
	return gguf.Q50
}

// setKeys sets the keys that llama.cpp reads the shape from.
func (s Shape) setKeys(w *gguf.Writer) {
	set := func(name string, value any) { w.Set(s.Arch+"."+name, value) }
	set("block_count", uint32(s.Layers))
	set("context_length", uint32(s.Context))
	set("embedding_length", uint32(s.Embedding))
	set("feed_forward_length", uint32(s.FeedForward))
	set("attention.head_count", uint32(s.Heads))
	set("attention.head_count_kv", uint32(s.KVHeads))
	set("attention.key_length", uint32(s.HeadDim))
	set("attention.value_length", uint32(s.HeadDim))
	set("attention.layer_norm_rms_epsilon", s.Epsilon)
	set("rope.freq_base", s.RopeBase)
	set("rope.dimension_count", uint32(s.HeadDim))
	set("vocab_size", uint32(s.Vocab))
	if s.Window > 0 {
		set("attention.sliding_window", uint32(s.Window))
	}
}
