package convert

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"regexp"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
)

// textConfig is what is read of the config.json of a model that generates text.
type textConfig struct {
	Layers      int       `json:"num_hidden_layers"`
	Context     int       `json:"max_position_embeddings"`
	Width       int       `json:"hidden_size"`
	FeedForward int       `json:"intermediate_size"`
	Heads       int       `json:"num_attention_heads"`
	KVHeads     int       `json:"num_key_value_heads"`
	HeadDim     int       `json:"head_dim"`
	Vocab       int       `json:"vocab_size"`
	Epsilon     float64   `json:"rms_norm_eps"`
	RopeBase    float64   `json:"rope_theta"`
	Scaling     *scaling  `json:"rope_scaling"`
	Rope        *scaling  `json:"rope_parameters"` // newer files have both in one
	Tied        bool      `json:"tie_word_embeddings"`
	Window      bool      `json:"use_sliding_window"`
	BOS         tokenList `json:"bos_token_id"`
	EOS         tokenList `json:"eos_token_id"`
}

// scaling is how rotary positions are stretched.
type scaling struct {
	Type     string  `json:"rope_type"`
	OldType  string  `json:"type"`
	Base     float64 `json:"rope_theta"`
	Factor   float64 `json:"factor"`
	Low      float64 `json:"low_freq_factor"`
	High     float64 `json:"high_freq_factor"`
	Original float64 `json:"original_max_position_embeddings"`
}

func (s *scaling) kind() string {
	if s == nil || s.Type+s.OldType == "" {
		return "default"
	}
	if s.Type != "" {
		return s.Type
	}
	return s.OldType
}

// complete fills in what a config may leave out, and refuses what is not converted.
func (c *textConfig) complete() error {
	if c.Rope != nil {
		if c.RopeBase == 0 {
			c.RopeBase = c.Rope.Base
		}
		if c.Scaling == nil {
			c.Scaling = c.Rope
		}
	}
	if c.RopeBase == 0 {
		c.RopeBase = 10000
	}
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.Layers < 1 || c.Width < 1 || c.Heads < 1 || c.KVHeads < 1 || c.FeedForward < 1 ||
		c.Heads%c.KVHeads != 0 {
		return fmt.Errorf("config.json has %d layers, width %d and %d heads of %d", c.Layers,
			c.Width, c.Heads, c.KVHeads)
	}
	if c.HeadDim == 0 {
		c.HeadDim = c.Width / c.Heads
	}
	if c.HeadDim < 2 || c.HeadDim%2 != 0 {
		return fmt.Errorf("config.json has heads of %d numbers", c.HeadDim)
	}
	switch kind := c.Scaling.kind(); {
	case kind != "default" && kind != "llama3" && kind != "linear":
		return fmt.Errorf("%w: rope scaling %q; those that are converted are linear and llama3",
			ErrUnsupported, kind)
	case kind == "llama3" && (c.Scaling.Factor < 1 || c.Scaling.Original < 1 ||
		c.Scaling.Low <= 0 || c.Scaling.High <= c.Scaling.Low):
		return fmt.Errorf("config.json has the rope scaling %+v", *c.Scaling)
	case kind == "linear" && c.Scaling.Factor <= 0:
		return fmt.Errorf("config.json has the rope scaling factor %g", c.Scaling.Factor)
	}
	if c.Window {
		return fmt.Errorf("%w: a sliding window", ErrUnsupported)
	}
	return nil
}

// text writes a model of the families of Llama and Qwen2.
func text(out io.Writer, folder fs.FS, arch, name string) error {
	var c textConfig
	if err := readJSON(folder, "config.json", &c); err != nil {
		return err
	}
	if err := c.complete(); err != nil {
		return err
	}
	weights, err := openWeights(folder)
	if err != nil {
		return err
	}
	defer weights.Close()
	w := &gguf.Writer{}
	c.describe(w, arch, name)
	if err := setBytePairs(w, folder, &c); err != nil {
		return err
	}
	if c.Scaling.kind() == "llama3" {
		data, err := encode(c.divisors(), gguf.F32)
		if err != nil {
			return err
		}
		add(w, "rope_freqs.weight", gguf.F32, []uint64{uint64(c.HeadDim / 2)}, data)
	}
	for _, name := range weights.names() {
		if err := c.addTensor(w, arch, weights.tensors[name]); err != nil {
			return err
		}
	}
	_, err = w.WriteTo(out)
	return err
}

func (c *textConfig) describe(w *gguf.Writer, arch, name string) {
	w.Set("general.architecture", arch)
	w.Set("general.type", "model")
	w.Set("general.name", name)
	w.Set("general.file_type", uint32(gguf.FileF16))
	w.Set("general.quantization_version", uint32(2))
	set := func(key string, value any) { w.Set(arch+"."+key, value) }
	set("block_count", uint32(c.Layers))
	set("context_length", uint32(c.Context))
	set("embedding_length", uint32(c.Width))
	set("feed_forward_length", uint32(c.FeedForward))
	set("attention.head_count", uint32(c.Heads))
	set("attention.head_count_kv", uint32(c.KVHeads))
	set("attention.key_length", uint32(c.HeadDim))
	set("attention.value_length", uint32(c.HeadDim))
	set("attention.layer_norm_rms_epsilon", float32(c.Epsilon))
	set("rope.dimension_count", uint32(c.HeadDim))
	set("rope.freq_base", float32(c.RopeBase))
	set("vocab_size", uint32(c.Vocab))
	if c.Scaling.kind() == "linear" {
		set("rope.scaling.type", "linear")
		set("rope.scaling.factor", float32(c.Scaling.Factor))
	}
}

// divisors are those of the rotary frequencies of Llama 3: 1 for short waves, the factor for long
// ones, and something in between for those in between.
func (c *textConfig) divisors() []float32 {
	s, all := c.Scaling, make([]float32, c.HeadDim/2)
	for i := range all {
		wave := 2 * math.Pi * math.Pow(c.RopeBase, 2*float64(i)/float64(c.HeadDim))
		switch {
		case wave < s.Original/s.High:
			all[i] = 1
		case wave > s.Original/s.Low:
			all[i] = float32(s.Factor)
		default:
			smooth := (s.Original/wave - s.Low) / (s.High - s.Low)
			all[i] = float32(1 / ((1-smooth)/s.Factor + smooth))
		}
	}
	return all
}

// textNames are those of the tensors outside of layers, and of parts of a layer.
var textNames = strings.NewReplacer(
	"model.embed_tokens.", "token_embd.",
	"model.norm.", "output_norm.",
	"lm_head.", "output.",
	"model.layers.", "blk.",
	"input_layernorm.", "attn_norm.",
	"self_attn.q_proj.", "attn_q.",
	"self_attn.k_proj.", "attn_k.",
	"self_attn.v_proj.", "attn_v.",
	"self_attn.o_proj.", "attn_output.",
	"post_attention_layernorm.", "ffn_norm.",
	"mlp.gate_proj.", "ffn_gate.",
	"mlp.up_proj.", "ffn_up.",
	"mlp.down_proj.", "ffn_down.",
)

// textTensor matches the names of the tensors that llama.cpp has for these models.
var textTensor = regexp.MustCompile(`^(token_embd|output_norm|output|blk\.\d+\.(attn_(norm|q|k|v|` +
	`output)|ffn_(norm|gate|up|down)))\.(weight|bias)$`)

// addTensor adds a tensor, which is read when it is written.
func (c *textConfig) addTensor(w *gguf.Writer, arch string, t found) error {
	name := textNames.Replace(t.tensor.Name)
	switch {
	case strings.HasSuffix(name, "rotary_emb.inv_freq"), name == "output.weight" && c.Tied:
		return nil
	case !textTensor.MatchString(name):
		return fmt.Errorf("%w: a model with the tensor %q", ErrUnsupported, t.tensor.Name)
	}
	kind := gguf.F32
	if len(t.tensor.Shape) == 2 {
		kind = gguf.F16
	}
	heads := 0
	if arch == "llama" && strings.Contains(name, ".attn_q.") {
		heads = c.Heads
	} else if arch == "llama" && strings.Contains(name, ".attn_k.") {
		heads = c.KVHeads
	}
	if rows := t.tensor.Shape; heads > 0 && (len(rows) == 0 || rows[0] != uint64(heads*c.HeadDim)) {
		return fmt.Errorf("tensor %q has the shape %v, and config.json %d heads of %d",
			t.tensor.Name, rows, heads, c.HeadDim)
	}
	w.Add(name, kind, innerFirst(t.tensor.Shape), func(out io.Writer) error {
		numbers, err := t.file.Floats(t.tensor)
		if err != nil {
			return err
		}
		if heads > 0 {
			numbers = interleave(numbers, heads, c.HeadDim)
		}
		data, err := encode(numbers, kind)
		if err == nil {
			_, err = out.Write(data)
		}
		return err
	})
	return nil
}

// interleave puts the rows of each head into llama.cpp's order: Hugging Face's Llama rotates a row
// of the first half of a head with one of the second, llama.cpp's one with the next.
func interleave(numbers []float32, heads, headDim int) []float32 {
	width := len(numbers) / (heads * headDim)
	out := make([]float32, 0, len(numbers))
	for head := range heads {
		for i := range headDim / 2 {
			for half := range 2 {
				row := head*headDim + half*headDim/2 + i
				out = append(out, numbers[row*width:(row+1)*width]...)
			}
		}
	}
	return out
}
