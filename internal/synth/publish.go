package synth

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
)

// published are the names of tensors in Hugging Face's files, back from llama.cpp's.
var published = strings.NewReplacer(
	"token_embd.", "model.embed_tokens.", "output_norm.", "model.norm.", "blk.", "model.layers.",
	"attn_norm.", "input_layernorm.", "attn_q.", "self_attn.q_proj.", "attn_k.",
	"self_attn.k_proj.", "attn_v.", "self_attn.v_proj.", "attn_output.", "self_attn.o_proj.",
	"ffn_norm.", "post_attention_layernorm.", "ffn_gate.", "mlp.gate_proj.", "ffn_up.",
	"mlp.up_proj.", "ffn_down.", "mlp.down_proj.", "output.", "lm_head.",
)

// Publish writes the llama or qwen2 model in a GGUF file into a folder as models are published on
// Hugging Face: the opposite of what package convert does. Quantised tensors are left out.
func Publish(dir, path string) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	tokens, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return err
	}
	config := map[string]any{
		"architectures": []string{map[string]string{
			"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}[f.Architecture()]},
		"vocab_size": len(tokens), "bos_token_id": 1, "eos_token_id": []int{2, 3},
	}
	for name, key := range map[string]string{"num_hidden_layers": "block_count",
		"max_position_embeddings": "context_length", "hidden_size": "embedding_length",
		"intermediate_size":   "feed_forward_length",
		"num_attention_heads": "attention.head_count",
		"num_key_value_heads": "attention.head_count_kv"} {
		config[name], _ = f.Int(f.ArchKey(key))
	}
	for name, key := range map[string]string{"rope_theta": "rope.freq_base",
		"rms_norm_eps": "attention.layer_norm_rms_epsilon"} {
		config[name], _ = f.Float(f.ArchKey(key))
	}
	tokenizer, err := publishedTokens(f, tokens)
	if err != nil {
		return err
	}
	for name, value := range map[string]any{
		"config.json": config, "tokenizer.json": tokenizer,
		"tokenizer_config.json": map[string]any{
			"eos_token":     map[string]any{"content": "<|im_end|>"},
			"chat_template": f.String("tokenizer.chat_template")},
	} {
		text, err := json.Marshal(value)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return publishWeights(dir, path, f)
}

// publishedTokens is the vocabulary as tokenizer.json has it. Words are split as by SmolLM.
func publishedTokens(f *gguf.File, tokens []string) (map[string]any, error) {
	merges, err := f.Strings("tokenizer.ggml.merges")
	if err != nil {
		return nil, err
	}
	kinds, err := f.Ints("tokenizer.ggml.token_type")
	if err != nil {
		return nil, err
	}
	vocab, added := map[string]int{}, []map[string]any{}
	for id, text := range tokens {
		vocab[text] = id
		if kinds[id] == 1 {
			continue
		}
		added = append(added, map[string]any{"id": id, "content": text, "special": true,
			"single_word": false, "lstrip": false, "rstrip": false,
			"normalized": false}) //nolint:misspell // the format's word
	}
	return map[string]any{
		"version": "1.0", "added_tokens": added,
		"pre_tokenizer": map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Digits", "individual_digits": true},
			map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
				"use_regex": true},
		}},
		"decoder": map[string]any{"type": "ByteLevel", "add_prefix_space": true,
			"trim_offsets": true, "use_regex": true},
		"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": merges},
	}, nil
}

// publishWeights writes the tensors into two files.
func publishWeights(dir, path string, f *gguf.File) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	heads, _ := f.Int(f.ArchKey("attention.head_count"))
	kv, _ := f.Int(f.ArchKey("attention.head_count_kv"))
	parts := [2]map[string]publishedTensor{{}, {}}
	for i := range f.Tensors {
		x := &f.Tensors[i]
		if x.Type != gguf.F16 && x.Type != gguf.F32 {
			continue
		}
		data := make([]byte, x.Size)
		if _, err := file.ReadAt(data, f.DataOffset+x.Offset); err != nil {
			return err
		}
		if f.Architecture() == "llama" && strings.Contains(x.Name, "attn_q.") {
			data = apart(data, int(heads), x)
		} else if f.Architecture() == "llama" && strings.Contains(x.Name, "attn_k.") {
			data = apart(data, int(kv), x)
		}
		shape := slices.Clone(x.Dims)
		slices.Reverse(shape)
		parts[i%2][published.Replace(x.Name)] = publishedTensor{x.Type.String(), shape, data}
	}
	for i, part := range parts {
		name := filepath.Join(dir, fmt.Sprintf("model-%d-of-2.safetensors", i+1))
		err := writeFile(name, func(w io.Writer) error { return writeSafetensors(w, part) })
		if err != nil {
			return err
		}
	}
	return nil
}

type publishedTensor struct {
	kind  string
	shape []uint64
	data  []byte
}

// apart gives the rows of each head the order that Hugging Face's Llama has: those of even numbers,
// then the others.
func apart(data []byte, heads int, x *gguf.Tensor) []byte {
	rows := int(x.Dims[len(x.Dims)-1])
	size, headDim := len(data)/rows, rows/heads
	out := make([]byte, len(data))
	for row := range rows {
		head, i := row/headDim, row%headDim
		to := head*headDim + i%2*headDim/2 + i/2
		copy(out[to*size:], data[row*size:(row+1)*size])
	}
	return out
}

func writeSafetensors(w io.Writer, part map[string]publishedTensor) error {
	head, size := map[string]any{}, 0
	names := slices.Sorted(maps.Keys(part))
	for _, name := range names {
		t := part[name]
		head[name] = map[string]any{"dtype": t.kind, "shape": t.shape,
			"data_offsets": []int{size, size + len(t.data)}}
		size += len(t.data)
	}
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	out := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	for _, name := range names {
		out = append(out, part[name].data...)
	}
	_, err = w.Write(out)
	return err
}
