package mullama

import (
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

func TestTheKVLayoutSuitsModelSlotsAndMemory(t *testing.T) {
	const plenty = 1 << 40
	info := &Info{ContextLength: 8192, Layers: 30, EmbeddingLength: 576, Heads: 9, KVHeads: 3}
	plain, window := llama.ModelInfo{}, llama.ModelInfo{SlidingWindow: 512}
	for _, tt := range []struct {
		name      string
		o         LoadOptions
		model     llama.ModelInfo
		most      uint64
		unified   bool
		sequences int
		ctx       int
	}{
		{"many slots", LoadOptions{Slots: 8, ContextSize: 1000}, plain, plenty, false, 8, 8192},
		{"some slots", LoadOptions{Slots: 4, ContextSize: 1000}, plain, plenty, false, 4, 4096},
		{"few slots", LoadOptions{Slots: 3, ContextSize: 1000}, plain, plenty, true, 14, 1000},
		{"one slot", LoadOptions{Slots: 1}, plain, plenty, true, 1, 4096},
		{"little memory", LoadOptions{Slots: 8}, plain, 1 << 27, true, 24, 4096},
		{"a window", LoadOptions{Slots: 8}, window, plenty, true, 12, 4096},
		{"a state", LoadOptions{Slots: 2}, llama.ModelInfo{Recurrent: true}, plenty, true, 4, 4096},
		{"a pool", LoadOptions{Slots: 8, CacheTokens: 5000}, plain, plenty, true, 24, 5000},
		{"split", LoadOptions{Slots: 2, KVLayout: "split"}, window, 0, false, 2, 8192},
		{"split for one", LoadOptions{Slots: 1, KVLayout: "split"}, plain, 0, true, 1, 4096},
		{"unified", LoadOptions{Slots: 8, KVLayout: "unified"}, plain, plenty, true, 24, 4096},
	} {
		p := llama.ContextParams{UnifiedSequences: true}
		tt.o.layout(&p, tt.model, info, tt.most)
		if p.UnifiedSequences != tt.unified || p.Sequences != tt.sequences || p.Ctx != tt.ctx {
			t.Errorf("%s: unified %v, %d sequences, %d cells; want %v, %d, %d", tt.name,
				p.UnifiedSequences, p.Sequences, p.Ctx, tt.unified, tt.sequences, tt.ctx)
		}
	}
}
