package mullama_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/mem"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

func TestLoadRefusesOptionsThatCannotBe(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	type options = mullama.LoadOptions
	tooFew, tooMany := -2, math.MaxInt32+1
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, tt := range []struct {
		name string
		o    options
		says string
	}{
		{"negative context", options{ContextSize: -1}, "context size is -1"},
		{"huge context", options{ContextSize: math.MaxInt32 + 1}, "context size is 2147483648"},
		{"negative slots", options{Slots: -1}, "slots is -1"},
		{"many slots", options{Slots: 257}, "slots is 257; it must be from 0 (the default) to 256"},
		{"negative cache", options{CacheTokens: -1}, "cache tokens is -1"},
		{"small cache", options{ContextSize: 64, CacheTokens: 63},
			"cache tokens 63 are fewer than the context size 64"},
		{"split cache and a pool", options{KVLayout: "split", CacheTokens: 64},
			"a split cache has the context size for each slot"},
		{"layout", options{KVLayout: "shared"},
			`KV layout is "shared"; use one of auto, split, unified`},
		{"negative batch", options{BatchSize: -1}, "batch size is -1"},
		{"huge batch", options{BatchSize: 1<<20 + 1}, "batch size is"},
		{"negative ubatch", options{UBatchSize: -1}, "ubatch size is -1"},
		{"ubatch over batch", options{BatchSize: 8, UBatchSize: 9},
			"ubatch size 9 is larger than batch size 8"},
		{"negative threads", options{Threads: -1}, "threads is -1"},
		{"many threads", options{Threads: 513}, "threads is 513"},
		{"many batch threads", options{BatchThreads: 513}, "batch threads is 513"},
		{"negative GPU", options{MainGPU: -1}, "main GPU is -1"},
		{"negative layers", options{GPULayers: &tooFew}, "GPU layers are -2"},
		{"many layers", options{GPULayers: &tooMany}, "GPU layers are 2147483648"},
		{"RoPE base", options{RoPEFreqBase: -1}, "is -1; it must be 0 or more"},
		{"RoPE scale", options{RoPEFreqScale: nan}, "is NaN"},
		{"tensor split", options{TensorSplit: []float32{1, inf}}, "is +Inf"},
		{"tensor shares", options{TensorSplit: make([]float32, 999)}, "for 999 GPUs"},
		{"load mode", options{LoadMode: "Mmap"},
			`load mode is "Mmap"; use one of auto, direct, mlock, mmap, mmap+mlock, read`},
		{"split mode", options{SplitMode: "x"}, `split mode is "x"; use one of layer, none, row`},
		{"flash attention", options{FlashAttention: "yes"},
			`flash attention is "yes"; use one of auto, off, on`},
		{"K type", options{KVTypeK: "q9_9"}, `K cache type "q9_9" is unknown; use f16, bf16, f32`},
		{"V type", options{KVTypeV: "Q8_0"}, `V cache type "Q8_0" is unknown; use f16, bf16, f32`},
		{"V type without flash attention", options{KVTypeV: "q8_0", FlashAttention: "off"},
			"flash_attn"},
		{"override", options{Overrides: []string{"nonsense"}},
			`override "nonsense" is not key=type:value with type int, float, bool or str`},
		{"override type", options{Overrides: []string{"a.b=int32:5"}}, "a.b=int32:5"},
		{"device", options{Devices: []string{"GPU99"}}, "no device named GPU99; this machine has"},
		{"tensor buffer", options{TensorBuffers: []string{"blk.*=Nowhere"}},
			`tensor placement "blk.*=Nowhere"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := rt.Load(t.Context(), path, &tt.o)
			if m != nil {
				m.Close()
			}
			wantKind(t, err, mullama.ErrInvalidOption, "load "+path, tt.says)
		})
	}
}

func TestLoadTakesEveryKindOfOption(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	type options = mullama.LoadOptions
	all := -1
	cases := map[string]options{
		"check":      {CheckTensors: true},
		"layers":     {GPULayers: &all},
		"split":      {SplitMode: "none"},
		"device":     {Devices: []string{"CPU"}},
		"buffers":    {TensorBuffers: []string{"blk[.]0[.]=CPU"}},
		"override":   {Overrides: []string{"llama.rope.freq_base=float:20000", "a.b=bool:true"}},
		"RoPE":       {RoPEFreqBase: 20000, RoPEFreqScale: 0.5},
		"batch of 1": {BatchSize: 1},
		"batches":    {BatchSize: 64, UBatchSize: 16},
		"big ubatch": {UBatchSize: 4096},
		"threads":    {Threads: 2, BatchThreads: 1},
		"flash on":   {FlashAttention: "on"},
		"flash off":  {FlashAttention: "off"},
	}
	for _, mode := range []string{"auto", "mmap", "read", "mlock", "mmap+mlock", "direct"} {
		cases["load "+mode] = options{LoadMode: mode}
	}
	for _, kv := range []string{"f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0",
		"iq4_nl"} {
		cases["KV "+kv] = options{KVTypeK: kv, KVTypeV: kv}
	}
	for name, o := range cases {
		t.Run(name, func(t *testing.T) {
			m := load(t, rt, path, o)
			got := generate(t, m, "once more", mullama.GenerateOptions{
				MaxTokens: 8, Sampling: greedy()})
			if len(got.Tokens) != 8 || got.FinishReason != mullama.FinishLength {
				t.Errorf("got %d tokens, %s; want 8, length", len(got.Tokens), got.FinishReason)
			}
		})
	}
}

func TestLoadModesGiveTheSameText(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	want := ""
	for _, mode := range []string{"mmap", "read", "direct"} {
		m := load(t, rt, path, mullama.LoadOptions{LoadMode: mode})
		got := generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 20, Sampling: greedy()})
		if want == "" {
			want = got.Text
		}
		if got.Text != want {
			t.Errorf("load mode %s: got %q; want %q as with mmap", mode, got.Text, want)
		}
	}
}

func TestZeroOptionsAreTheDefaults(t *testing.T) {
	rt := openRuntime(t)
	for _, tt := range []struct{ trained, want int }{
		{1024, 1024}, {100000, mullama.DefaultContextSize},
	} {
		path := tinyFile(t, synth.Options{Context: tt.trained})
		none, err := rt.Load(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer none.Close()
		zero, err := rt.Load(t.Context(), path, &mullama.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer zero.Close()
		for _, m := range []*mullama.Model{none, zero} {
			if m.ContextSize() != tt.want || m.Slots() != mullama.DefaultSlots ||
				len(m.Warnings()) != 0 {
				t.Errorf("trained for %d: context %d, %d slots, warnings %q; want %d, %d, none",
					tt.trained, m.ContextSize(), m.Slots(), m.Warnings(), tt.want,
					mullama.DefaultSlots)
			}
		}
	}
}

func TestContextLongerThanTheModelsIsWarnedOf(t *testing.T) {
	var log bytes.Buffer
	openRuntime(t) // skips
	rt, err := mullama.Open(mullama.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, rt, tinyFile(t, synth.Options{Context: 256}),
		mullama.LoadOptions{ContextSize: 300})
	want := "the context of 300 tokens is longer than the 256 that the model was trained for"
	if w := m.Warnings(); len(w) != 1 || !strings.Contains(w[0], want) {
		t.Errorf("Warnings() = %q; want one that says %q", w, want)
	}
	if !strings.Contains(log.String(), want) {
		t.Errorf("the log is %q; want the warning in it", log.String())
	}
	got := generate(t, m, "once", mullama.GenerateOptions{Sampling: greedy()})
	if n := got.Stats.PromptTokens + len(got.Tokens); n != 301 { // the last one is not decoded
		t.Errorf("prompt and answer have %d tokens; want the context of 300 and one", n)
	}
}

func TestVocabularyAloneTokenizesAndRendersButDoesNotGenerate(t *testing.T) {
	rt := openRuntime(t)
	m := load(t, rt, tinyFile(t, synth.Options{}), mullama.LoadOptions{VocabOnly: true})
	if m.ContextSize() != 0 || m.Slots() != 0 {
		t.Errorf("context %d, slots %d; want 0 and 0", m.ContextSize(), m.Slots())
	}
	tokens, err := m.Tokenize("the city", mullama.TokenizeOptions{AddSpecial: true})
	if err != nil || len(tokens) == 0 || tokens[0] != synth.TokenStart {
		t.Errorf("Tokenize = %v, %v; want tokens that start with %d", tokens, err,
			synth.TokenStart)
	}
	prompt, err := m.FormatChat([]mullama.Message{{Role: "user", Content: "hi"}}, nil)
	if err != nil || !slices.Contains(prompt.Tokens, synth.TokenChatStart) {
		t.Errorf("FormatChat = %+v, %v; want a rendered chat", prompt, err)
	}
	_, err = m.Generate(t.Context(), "x", nil)
	wantKind(t, err, mullama.ErrUnsupported, "vocabulary only")
	_, err = m.Chat(t.Context(), []mullama.Message{{Role: "user", Content: "hi"}}, nil)
	wantKind(t, err, mullama.ErrUnsupported, "vocabulary only")
}

func TestContextThatCannotFitInMemoryIsRefusedAtOnce(t *testing.T) {
	rt := openRuntime(t)
	memory, err := mem.VirtualMemory()
	if err != nil {
		t.Skipf("the free memory is not known: %v", err)
	}
	const perToken = 30 * 3 * 64 * 2 * 2 // bytes that SmolLM2 takes in an f16 cache
	twiceTooMuch := int(2 * memory.Available / perToken)
	for _, tt := range []struct {
		name, model string
		tokens      int
	}{
		{"two billion", "", 2_000_000_000},
		{"largest", "", math.MaxInt32},
		{"twice the free memory", "smollm2", twiceTooMuch},
		{"forty million", "smollm2", max(40_000_000, 2*twiceTooMuch)},
		{"two billion of a real model", "smollm2", 2_000_000_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := ""
			if tt.model == "" {
				path = tinyFile(t, synth.Options{})
			} else {
				path = testmodels.Path(t, tt.model)
			}
			for _, o := range []mullama.LoadOptions{
				{ContextSize: tt.tokens}, {ContextSize: 64, CacheTokens: tt.tokens},
			} {
				before, start := peakBytes(t), time.Now()
				m, err := rt.Load(t.Context(), path, &o)
				if m != nil {
					m.Close()
				}
				wantKind(t, err, mullama.ErrOutOfMemory, "tokens takes", "free")
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("it took %v; want it at once", took)
				}
				if grown := peakBytes(t) - before; uint64(grown) > memory.Available/16 {
					t.Errorf("the process took %d MB; want next to nothing", grown>>20)
				}
			}
		})
	}
}

// peakBytes is the most memory that the process ever had, 0 where the system does not say.
func peakBytes(t *testing.T) int64 {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
