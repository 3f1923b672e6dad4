package mullama_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

func TestInspectTiny(t *testing.T) {
	path := tinyFile(t, synth.Options{})
	i, err := mullama.Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	if i.Path != path || i.Name != "Tiny llama" || i.Architecture != "llama" ||
		i.Quantization != "F16" || i.License != "mit" || i.Template != synth.ChatML {
		t.Errorf("texts are %q %q %q %q %q %q", i.Path, i.Name, i.Architecture, i.Quantization,
			i.License, i.Template)
	}
	got := []int{i.ContextLength, i.EmbeddingLength, i.Layers, i.Heads, i.KVHeads}
	if want := []int{2048, 64, 2, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("context, embedding, layers, heads, KV heads are %v; want %v", got, want)
	}
	if i.Vocab < 900 || i.Parameters < 100_000 || i.SizeBytes < 2*i.Parameters {
		t.Errorf("%d tokens, %d parameters, %d bytes", i.Vocab, i.Parameters, i.SizeBytes)
	}
	if want := []string{"completion"}; !slices.Equal(i.Capabilities, want) {
		t.Errorf("capabilities are %q; want %q", i.Capabilities, want)
	}
	if i.Metadata["llama.block_count"] != uint32(2) ||
		!strings.HasSuffix(i.Metadata["tokenizer.ggml.tokens"].(string), "× string") {
		t.Errorf("metadata %v; want numbers, and long arrays by type and length", i.Metadata)
	}
	if _, err := json.Marshal(i); err != nil {
		t.Errorf("it is no JSON: %v", err)
	}
}

func TestInspectSmolLM2(t *testing.T) {
	i, err := mullama.Inspect(testmodels.Path(t, "smollm2"))
	if err != nil {
		t.Fatal(err)
	}
	if i.Architecture != "llama" || i.Quantization != "Q4_1" || i.Parameters != 134_515_008 ||
		i.SizeBytes != 98_362_432 || i.Name == "" || !strings.Contains(i.Template, "im_start") {
		t.Errorf("got %+v", i)
	}
	got := []int{i.ContextLength, i.EmbeddingLength, i.Layers, i.Heads, i.KVHeads, i.Vocab}
	if want := []int{8192, 576, 30, 9, 3, 49152}; !slices.Equal(got, want) {
		t.Errorf("context, embedding, layers, heads, KV heads, vocabulary are %v; want %v", got,
			want)
	}
}

func TestModelInfoIsWhatInspectSays(t *testing.T) {
	for _, arch := range []string{"llama", "qwen2", "gemma3"} {
		t.Run(arch, func(t *testing.T) {
			path := tinyFile(t, synth.Options{Arch: arch})
			m := load(t, openRuntime(t), path, mullama.LoadOptions{})
			alone, err := mullama.Inspect(path)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := json.Marshal(m.Info())
			want, _ := json.Marshal(alone)
			if string(got) != string(want) {
				t.Errorf("Info() is %s; want %s", got, want)
			}
			if generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 3}).Text == "" {
				t.Error("it generates nothing")
			}
		})
	}
}

func TestNameAndKVHeadsWhenTheFileDoesNotSay(t *testing.T) {
	i, err := mullama.Inspect(tinyFile(t, synth.Options{Keys: map[string]any{"general.name": ""}}))
	if err != nil || i.Name != "tiny" {
		t.Errorf("the name is %q, %v; want the file's", i.Name, err)
	}
	i, err = mullama.Inspect(tinyFile(t, synth.Options{Keys: map[string]any{
		"llama.attention.head_count":    []uint32{4, 2},
		"llama.attention.head_count_kv": []uint32{1, 2},
	}}))
	if err != nil || i.Heads != 4 || i.KVHeads != 2 {
		t.Errorf("heads %d and %d, %v; want the largest of the layers, 4 and 2", i.Heads,
			i.KVHeads, err)
	}
}

func TestCapabilities(t *testing.T) {
	type keys = map[string]any
	for _, tt := range []struct {
		name     string
		template string
		keys     keys
		want     []string
	}{
		{"plain", "", nil, []string{"completion"}},
		{"tools", "{% if tools %}{% endif %}", nil, []string{"completion", "tools"}},
		{"tool calls", "{{ message.tool_calls }}", nil, []string{"completion", "tools"}},
		{"thinking", "<think>", nil, []string{"completion", "thinking"}},
		{"switch", "{% if enable_thinking %}", nil, []string{"completion", "thinking"}},
		{"harmony", "<|channel|>analysis", nil, []string{"completion", "thinking"}},
		{"both", "{{ tools }}{{ reasoning_content }}", nil,
			[]string{"completion", "tools", "thinking"}},
		{"vision", "", keys{"llama.vision.block_count": uint32(3)},
			[]string{"completion", "vision"}},
		{"insert by key", "", keys{"tokenizer.ggml.fim_mid_token_id": uint32(9)},
			[]string{"completion", "insert"}},
		{"insert by token", "", keys{"tokenizer.ggml.tokens": []string{"a", "<|fim_middle|>"}},
			[]string{"completion", "insert"}},
		{"pooling", "{{ tools }}", keys{"llama.pooling_type": uint32(1)}, []string{"embedding"}},
		{"bert", "", keys{"general.architecture": "nomic-bert"}, []string{"embedding"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, err := mullama.Inspect(tinyFile(t, synth.Options{
				Template: tt.template, NoTemplate: tt.template == "", Keys: tt.keys}))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(i.Capabilities, tt.want) {
				t.Errorf("got %q; want %q", i.Capabilities, tt.want)
			}
		})
	}
}
