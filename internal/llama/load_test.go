package llama_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/synth"
)

func TestModelInfo(t *testing.T) {
	got := tiny(t).Info()
	want := llama.ModelInfo{
		Architecture: "llama", Description: got.Description, FileType: "F16",
		Parameters: got.Parameters, Size: got.Size,
		ContextLength: 2048, EmbeddingLength: 64, Layers: 2, Heads: 2, KVHeads: 1,
		Vocab: got.Vocab, BOS: synth.TokenStart, EOS: synth.TokenEnd, EOT: got.EOT, NL: got.NL,
		Pad: got.Pad, FIMPrefix: -1, FIMSuffix: -1, FIMMiddle: -1,
		SEP: -1, AddBOS: got.AddBOS, HasDecoder: true, Generates: true, Causal: true,
		Pooling: llama.PoolingModel, EmbeddingWidth: 64,
	}
	if got != want {
		t.Errorf("info is\n%+v, want\n%+v", got, want)
	}
	if got.Description == "" || got.Vocab < synth.TokenChatEnd || got.Size < got.Parameters*2 {
		t.Errorf("description, vocabulary or size is wrong in %+v", got)
	}
}

func TestModelInfoOfOtherArchitectures(t *testing.T) {
	gemma := tinyWith(t, synth.Options{Arch: "gemma3", Context: 512}).Info()
	if gemma.Architecture != "gemma3" || gemma.Layers != 6 || gemma.SlidingWindow != 64 ||
		gemma.ContextLength != 512 {
		t.Errorf("info of gemma3 is %+v", gemma)
	}
	qwen := tinyWith(t, synth.Options{Arch: "qwen2", FullPrecision: true}).Info()
	if qwen.Architecture != "qwen2" || qwen.FileType != "all F32" {
		t.Errorf("info of qwen2 is %+v", qwen)
	}
}

func TestMetadata(t *testing.T) {
	meta, err := tinyWith(t, synth.Options{Keys: map[string]any{
		"test.text": "long " + string(make([]byte, 2000)) + "ünd", "test.number": uint64(1) << 60,
	}}).Metadata()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"general.architecture": "llama", "general.name": "Tiny llama", "llama.block_count": "2",
		"test.number": "1152921504606846976", "tokenizer.chat_template": synth.ChatML,
	} {
		if meta[key] != want {
			t.Errorf("%s is %q, want %q", key, meta[key], want)
		}
	}
}

func TestEveryLoadModeGivesTheSameModel(t *testing.T) {
	path := tinyFile(t, synth.Options{})
	var want []llama.Token
	for mode := llama.LoadAuto; mode <= llama.LoadDirectIO; mode++ {
		p := library(t).DefaultModelParams()
		p.LoadMode = mode
		m := load(t, path, p)
		got := generate(t, newContext(t, m, smallContext(t)), newSampler(t, m, greedy(t)), 0,
			tokenize(t, m, "the day"), 8)
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("load mode %d: %v, want %v", mode, got, want)
		}
	}
}

func TestVocabularyOnly(t *testing.T) {
	p := library(t).DefaultModelParams()
	p.VocabOnly = true
	m := load(t, tinyFile(t, synth.Options{}), p)
	if got, want := tokenize(t, m, "the day"), tokenize(t, tiny(t), "the day"); !slices.Equal(
		got, want) {
		t.Errorf("tokens %v, want %v", got, want)
	}
	if m.Info().Vocab != tiny(t).Info().Vocab {
		t.Errorf("vocabulary of %d, want %d", m.Info().Vocab, tiny(t).Info().Vocab)
	}
	_, err := m.NewContext(smallContext(t))
	wantError(t, err, llama.ErrUnsupported, "only the vocabulary")
}

func TestProgressRisesToOne(t *testing.T) {
	p := library(t).DefaultModelParams()
	var seen []float32
	p.Progress = func(fraction float32) { seen = append(seen, fraction) }
	load(t, tinyFile(t, synth.Options{}), p)
	if len(seen) == 0 || seen[len(seen)-1] != 1 || !slices.IsSorted(seen) {
		t.Errorf("progress is %v, want it to rise to 1", seen)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	lib, path := library(t), tinyFile(t, synth.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	p := lib.DefaultModelParams()
	p.LoadMode = llama.LoadRead
	p.Progress = func(fraction float32) {
		if fraction > 0.1 {
			cancel()
		}
	}
	_, err := lib.LoadModel(ctx, path, p)
	wantError(t, err, llama.ErrCancelled, "cancelled")
	_, err = lib.LoadModel(ctx, path, lib.DefaultModelParams())
	wantError(t, err, llama.ErrCancelled, "cancelled")
}

func TestCheckTensorsFindsDamage(t *testing.T) {
	path := tinyFile(t, synth.Options{FullPrecision: true})
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	nan := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(math.NaN())))
	if _, err := file.WriteAt(nan, info.Size()-4096); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []llama.LoadMode{llama.LoadRead, llama.LoadMmap} {
		p := library(t).DefaultModelParams()
		p.LoadMode = mode
		load(t, path, p)
		p.CheckTensors = true
		_, err = library(t).LoadModel(context.Background(), path, p)
		wantError(t, err, llama.ErrLoad, "invalid data")
	}
}

func TestOverrides(t *testing.T) {
	p := library(t).DefaultModelParams()
	p.Overrides = []string{"llama.context_length=int:777",
		"tokenizer.ggml.add_bos_token=bool:false", "llama.rope.freq_base=float:500000",
		"general.name=str:Other"}
	m := load(t, tinyFile(t, synth.Options{}), p)
	if n := m.Info().ContextLength; n != 777 {
		t.Errorf("context length %d, want 777", n)
	}
	if m.Info().AddBOS || slices.Contains(tokenize(t, m, "x"), synth.TokenStart) {
		t.Error("BOS is still added")
	}
}

func TestWrongLoadOptions(t *testing.T) {
	for _, tt := range []struct {
		change func(*llama.ModelParams)
		want   string
	}{
		{func(p *llama.ModelParams) { p.LoadMode = 9 }, "load mode 9"},
		{func(p *llama.ModelParams) { p.LoadMode = -2 }, "load mode -2"},
		{func(p *llama.ModelParams) { p.SplitMode = 7 }, "split mode 7"},
		{func(p *llama.ModelParams) { p.Devices = []string{"GPU99"} }, "GPU99"},
		{func(p *llama.ModelParams) { p.Overrides = []string{"nonsense"} }, "nonsense"},
		{func(p *llama.ModelParams) { p.Overrides = []string{"k=int"} }, "k=int"},
		{func(p *llama.ModelParams) { p.Overrides = []string{"k=colour:red"} }, "colour"},
		{func(p *llama.ModelParams) { p.Overrides = []string{"k=bool:perhaps"} }, "perhaps"},
		{func(p *llama.ModelParams) { p.Overrides = []string{""} }, "key=type:value"},
		{func(p *llama.ModelParams) { p.TensorBuffers = []string{"x"} }, "pattern=buffer"},
		{func(p *llama.ModelParams) { p.TensorBuffers = []string{"x=VRAM"} }, "VRAM"},
		{func(p *llama.ModelParams) { p.TensorBuffers = []string{"(=CPU"} }, "("},
		{func(p *llama.ModelParams) { p.TensorSplit = make([]float32, 1000) }, "1000"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			lib := library(t)
			p := lib.DefaultModelParams()
			tt.change(&p)
			_, err := lib.LoadModel(context.Background(), tinyFile(t, synth.Options{}), p)
			wantError(t, err, llama.ErrInvalid, tt.want)
		})
	}
}

func TestTensorBuffersAndSplitAreTaken(t *testing.T) {
	p := library(t).DefaultModelParams()
	p.TensorBuffers = []string{`blk\.0\..*=CPU`}
	p.TensorSplit = []float32{1}
	load(t, tinyFile(t, synth.Options{}), p)
}

func TestPathsThatAreNoModels(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.gguf")
	writeFile(t, text, "not a model\n")
	cut := tinyFile(t, synth.Options{})
	if err := synth.Truncate(cut, 100_000); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		kind       error
	}{
		{"empty", "", llama.ErrInvalid},
		{"zero byte", tinyFile(t, synth.Options{}) + "\x00", llama.ErrInvalid},
		{"missing", filepath.Join(t.TempDir(), "missing.gguf"), llama.ErrLoad},
		{"folder", t.TempDir(), llama.ErrLoad},
		{"text", text, llama.ErrLoad},
		{"cut", cut, llama.ErrLoad},
		{"another version", tinyFile(t, synth.Options{Version: 9}), llama.ErrLoad},
		{"unknown architecture", tinyFile(t, synth.Options{Declare: "abacus"}), llama.ErrLoad},
		{"tensor left out", tinyFile(t, synth.Options{Omit: []string{"output_norm.weight"}}),
			llama.ErrLoad},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lib := library(t)
			_, err := lib.LoadModel(context.Background(), tt.path, lib.DefaultModelParams())
			wantError(t, err, tt.kind)
			_, err = lib.MemoryPlan(tt.path, lib.DefaultModelParams(), smallContext(t))
			if err == nil {
				t.Error("there is a memory plan for it")
			}
		})
	}
}

// Each of these ended the process, by an assertion of llama.cpp, before the facade caught it.
func TestHostileMetadata(t *testing.T) {
	for _, tt := range []struct {
		key   string
		value any
	}{
		{"llama.block_count", uint32(0)},
		{"llama.block_count", uint32(math.MaxUint32)},
		{"llama.expert_count", uint32(1)},
		{"llama.expert_count", uint32(math.MaxUint32)},
		{"llama.expert_used_count", uint32(1000)},
		{"llama.nextn_predict_layers", uint32(3)},
		{"llama.attention.layer_norm_rms_epsilon", float32(-1)},
		{"llama.attention.layer_norm_rms_epsilon", float32(math.NaN())},
		{"tokenizer.ggml.tokens", []string{"a", "a", "a"}},
		{"tokenizer.ggml.model", "bert"},
		{"general.alignment", uint32(7)},
		{"llama.embedding_length", uint32(0)},
		{"llama.attention.head_count", uint32(0)},
		{"llama.vocab_size", uint32(0)},
	} {
		t.Run(fmt.Sprintf("%s=%v", tt.key, tt.value), func(t *testing.T) {
			lib := library(t)
			path := tinyFile(t, synth.Options{Keys: map[string]any{tt.key: tt.value}})
			m, err := lib.LoadModel(context.Background(), path, lib.DefaultModelParams())
			if err != nil {
				wantError(t, err, llama.ErrLoad)
				return
			}
			m.Close()
		})
	}
}

func TestModelWithoutVocabulary(t *testing.T) {
	m := tinyWith(t, synth.Options{Keys: map[string]any{"tokenizer.ggml.model": "none"}})
	if _, err := m.Tokenize("x", true, true); !errors.Is(err, llama.ErrInvalid) {
		t.Errorf("tokenize without a vocabulary: %v", err)
	}
	if text, err := m.Detokenize([]llama.Token{1, 2, 3}, true); err != nil || len(text) > 0 {
		t.Errorf("detokenize without a vocabulary: %q, %v", text, err)
	}
	if m.Piece(1, true) != nil || m.IsEnd(1) {
		t.Error("a model without a vocabulary knows a token")
	}
}
