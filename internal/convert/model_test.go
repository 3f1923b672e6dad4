package convert

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/synth"
)

// publish writes a tiny model as Hugging Face has it.
func publish(t *testing.T, arch string) (folder fstest.MapFS, original *gguf.File, raw []byte) {
	t.Helper()
	path, dir := filepath.Join(t.TempDir(), "tiny.gguf"), t.TempDir()
	if err := synth.TinyFile(path, synth.Options{Arch: arch}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err == nil {
		original, err = gguf.Open(path)
	}
	if err == nil {
		err = synth.Publish(dir, path)
	}
	if err != nil {
		t.Fatal(err)
	}
	folder = fstest.MapFS{}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		folder[filepath.Base(name)] = &fstest.MapFile{Data: text}
	}
	return folder, original, raw
}

func TestPublishedModelsBecomeTheSameTensors(t *testing.T) {
	for _, arch := range []string{"llama", "qwen2"} {
		t.Run(arch, func(t *testing.T) {
			folder, want, raw := publish(t, arch)
			var out bytes.Buffer
			if err := Model(&out, folder, "made"); err != nil {
				t.Fatal(err)
			}
			got, err := gguf.Read(bytes.NewReader(out.Bytes()), int64(out.Len()))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Tensors) != len(want.Tensors) {
				t.Errorf("%d tensors, want %d", len(got.Tensors), len(want.Tensors))
			}
			has := map[string]*gguf.Tensor{}
			for i := range got.Tensors {
				has[got.Tensors[i].Name] = &got.Tensors[i]
			}
			for i := range want.Tensors {
				x := &want.Tensors[i]
				y := has[x.Name]
				if y == nil || y.Type != x.Type || !slices.Equal(y.Dims, x.Dims) {
					t.Errorf("tensor %+v became %+v", x, y)
				} else if !bytes.Equal(out.Bytes()[got.DataOffset+y.Offset:][:y.Size],
					raw[want.DataOffset+x.Offset:][:x.Size]) {
					t.Errorf("tensor %s holds other numbers", x.Name)
				}
			}
			compareKeys(t, got, want)
		})
	}
}

func compareKeys(t *testing.T, got, want *gguf.File) {
	t.Helper()
	for _, key := range []string{"tokenizer.ggml.tokens", "tokenizer.ggml.merges"} {
		a, errA := got.Strings(key)
		b, errB := want.Strings(key)
		if errA != nil || errB != nil || !slices.Equal(a, b) {
			t.Errorf("%s differ: %v %v", key, errA, errB)
		}
	}
	for _, key := range []string{"block_count", "context_length", "embedding_length",
		"feed_forward_length", "attention.head_count", "attention.head_count_kv"} {
		a, _ := got.Int(got.ArchKey(key))
		if b, _ := want.Int(want.ArchKey(key)); a != b {
			t.Errorf("%s is %d, want %d", key, a, b)
		}
	}
	a, b := got.String("tokenizer.chat_template"), want.String("tokenizer.chat_template")
	if a != b || got.String("tokenizer.ggml.pre") != "smollm" {
		t.Errorf("the template is %q, and words are split as by %q", a,
			got.String("tokenizer.ggml.pre"))
	}
}

func TestWhatIsNotConvertedIsNamed(t *testing.T) {
	change := func(name, old, by string) fstest.MapFS {
		folder, _, _ := publish(t, "llama")
		text := strings.Replace(string(folder[name].Data), old, by, 1)
		if text == string(folder[name].Data) {
			t.Fatalf("%s has no %s", name, old)
		}
		folder[name] = &fstest.MapFile{Data: []byte(text)}
		return folder
	}
	for want, folder := range map[string]fstest.MapFS{
		"OtherForCausalLM": change("config.json", "LlamaForCausalLM", "OtherForCausalLM"),
		`rope scaling "yarn"`: change("config.json", `"rms_norm_eps"`,
			`"rope_scaling":{"rope_type":"yarn"},"rms_norm_eps"`),
		`"Unigram"`:    change("tokenizer.json", `"BPE"`, `"Unigram"`),
		`"Whitespace`:  change("tokenizer.json", `"Digits"`, `"Whitespace"`),
		"extra_layers": change("model-1-of-2.safetensors", "model.layers.0", "extra_layers.0"),
	} {
		err := Model(&bytes.Buffer{}, folder, "made")
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("for %s the error is %v", want, err)
		}
	}
	for name, folder := range map[string]fstest.MapFS{
		"nothing": {}, "cut": change("config.json", "{", ""),
		"heads": change("config.json", `"num_attention_heads":2`, `"num_attention_heads":4`),
	} {
		if err := Model(&bytes.Buffer{}, folder, "made"); err == nil {
			t.Errorf("%s is converted", name)
		}
	}
}

func TestFrequenciesOfLlama3GoFromOneToTheFactor(t *testing.T) {
	c := textConfig{HeadDim: 128, RopeBase: 500000, Scaling: &scaling{
		Type: "llama3", Factor: 8, Low: 1, High: 4, Original: 8192}}
	all := c.divisors()
	if all[0] != 1 || all[63] != 8 || !slices.IsSorted(all) {
		t.Errorf("the divisors are %v", all)
	}
}
