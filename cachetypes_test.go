package mullama_test

import (
	"errors"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

var cacheTypes = []string{"f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"}

// wantWorkOrReason tries a pair of cache types: it either generates, or the load says why not.
func wantWorkOrReason(
	t *testing.T, rt *mullama.Runtime, path string, o mullama.LoadOptions,
) (works bool) {
	t.Helper()
	o.Threads, o.ContextSize, o.Slots = 1, 256, 1
	m, err := rt.Load(t.Context(), path, &o)
	if err != nil {
		if !errors.Is(err, mullama.ErrInvalidOption) {
			t.Errorf("K %s, V %s, flash attention %s: %v", o.KVTypeK, o.KVTypeV, o.FlashAttention,
				err)
		}
		wantKind(t, err, mullama.ErrInvalidOption, "cache type")
		return false
	}
	defer m.Close()
	got := generate(t, m, "The capital of France is", mullama.GenerateOptions{
		MaxTokens: 3, Sampling: greedy()})
	if got.Stats.GeneratedTokens != 3 {
		t.Errorf("K %s, V %s, flash attention %s: %d tokens; want 3", o.KVTypeK, o.KVTypeV,
			o.FlashAttention, got.Stats.GeneratedTokens)
	}
	return true
}

func TestEveryPairOfCacheTypesWorksOrSaysWhyNot(t *testing.T) {
	rt := openRuntime(t)
	for _, flash := range []string{"auto", "on", "off"} {
		path := tinyFile(t, synth.Options{})
		if flash == "auto" {
			path = tinyFile(t, synth.Options{Arch: "gemma3"}) // has a sliding window
		}
		for _, k := range cacheTypes {
			for _, v := range cacheTypes {
				works := wantWorkOrReason(t, rt, path, mullama.LoadOptions{
					KVTypeK: k, KVTypeV: v, FlashAttention: flash})
				if quantised := v[0] == 'q' || v[0] == 'i'; works == (quantised && flash == "off") {
					t.Errorf("K %s, V %s, flash attention %s: works is %v", k, v, flash, works)
				}
			}
		}
	}
}

// Heads of 16 numbers cannot have scales for 32. Without flash attention llama.cpp does not look.
func TestCacheTypesThatDoNotSuitTheHeadsAreRefused(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{Keys: map[string]any{
		"llama.attention.head_count": uint32(4), "llama.attention.head_count_kv": uint32(2),
		"llama.attention.key_length": uint32(16), "llama.attention.value_length": uint32(16),
		"llama.rope.dimension_count": uint32(16),
	}})
	for _, flash := range []string{"auto", "off"} {
		for _, kind := range cacheTypes {
			o := mullama.LoadOptions{KVTypeK: kind, FlashAttention: flash}
			plain := kind == "f16" || kind == "bf16" || kind == "f32"
			if works := wantWorkOrReason(t, rt, path, o); works != plain {
				t.Errorf("K %s, flash attention %s: works is %v", kind, flash, works)
			}
		}
	}
}

func TestSmolLM2WorksWithEveryTypeOfCache(t *testing.T) {
	rt := openRuntime(t)
	path := testmodels.Path(t, "smollm2")
	for i, k := range cacheTypes {
		v := cacheTypes[(i*4+3)%len(cacheTypes)]
		for _, o := range []mullama.LoadOptions{
			{KVTypeK: k, KVTypeV: k}, {KVTypeK: k, KVTypeV: v},
		} {
			if !wantWorkOrReason(t, rt, path, o) {
				t.Errorf("K %s and V %s are refused", o.KVTypeK, o.KVTypeV)
			}
		}
	}
}
