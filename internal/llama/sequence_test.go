package llama_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/synth"
)

// twoSequences returns a context for two sequences, with a prompt in the first.
func twoSequences(t testing.TB, m *llama.Model, unified bool) (*llama.Context, []llama.Token) {
	t.Helper()
	p := smallContext(t)
	p.Sequences, p.UnifiedSequences = 2, unified
	c := newContext(t, m, p)
	prompt := tokenize(t, m, "the time of the day")
	c.Begin()
	for i, token := range prompt {
		c.Add(token, int32(i), 0)
	}
	if _, err := c.Step(); err != nil {
		t.Fatal(err)
	}
	return c, prompt
}

// follow returns the n greedy tokens that come after what a sequence holds and one token more.
func follow(t testing.TB, c *llama.Context, m *llama.Model, seq int32, n int) []llama.Token {
	t.Helper()
	return generate(t, c, newSampler(t, m, greedy(t)), seq, []llama.Token{75}, n)
}

func wantRange(t testing.TB, c *llama.Context, seq, first, last int32) {
	t.Helper()
	if f, l := c.Range(seq); f != first || l != last {
		t.Errorf("sequence %d is %d to %d, want %d to %d", seq, f, l, first, last)
	}
}

func TestRangeAndRemove(t *testing.T) {
	m := tiny(t)
	c, prompt := twoSequences(t, m, true)
	n := int32(len(prompt))
	wantRange(t, c, 0, 0, n-1)
	wantRange(t, c, 1, -1, -1)
	if !c.Remove(0, 3, -1) {
		t.Error("the end of a sequence cannot be removed")
	}
	wantRange(t, c, 0, 0, 2)
	if !c.Remove(1, -1, -1) || !c.Remove(0, -1, -1) {
		t.Error("a whole sequence cannot be removed")
	}
	wantRange(t, c, 0, -1, -1)
	if c.Remove(2, -1, -1) || c.Remove(-1, -1, -1) {
		t.Error("a sequence that does not exist was removed")
	}
}

func TestRemovedTokensAreForgotten(t *testing.T) {
	m := tiny(t)
	c, prompt := twoSequences(t, m, true)
	want := follow(t, c, m, 0, 4)
	c.Remove(0, int32(len(prompt)), -1)
	if got := follow(t, c, m, 0, 4); !slices.Equal(got, want) {
		t.Errorf("after removing the answer: %v, want %v", got, want)
	}
}

func TestCopyContinuesAlike(t *testing.T) {
	for _, unified := range []bool{true, false} {
		m := tiny(t)
		c, prompt := twoSequences(t, m, unified)
		c.Copy(0, 1, 0, -1)
		wantRange(t, c, 1, 0, int32(len(prompt))-1)
		want, got := follow(t, c, m, 0, 4), follow(t, c, m, 1, 4)
		if !slices.Equal(got, want) {
			t.Errorf("unified %v: the copy continues %v, the original %v", unified, got, want)
		}
	}
}

// With cells of its own for each sequence llama.cpp asserts that a copy is of a whole one.
func TestCopyOfAPart(t *testing.T) {
	for _, unified := range []bool{true, false} {
		m := tiny(t)
		c, _ := twoSequences(t, m, unified)
		c.Copy(0, 1, 0, 3)
		wantRange(t, c, 1, 0, 2)
		c.Remove(1, -1, -1)
		c.Copy(0, 1, -1, 2)
		wantRange(t, c, 1, 0, 1)
	}
}

func TestCopyOfWhatIsNotThere(t *testing.T) {
	c, prompt := twoSequences(t, tiny(t), true)
	c.Copy(0, 0, -1, -1)
	c.Copy(0, 5, -1, -1)
	c.Copy(-1, 1, -1, -1)
	c.Copy(0, 1, 900, 1000)
	wantRange(t, c, 0, 0, int32(len(prompt))-1)
	wantRange(t, c, 1, -1, -1)
}

func TestShiftMovesPositions(t *testing.T) {
	m := tiny(t)
	c, prompt := twoSequences(t, m, true)
	n := int32(len(prompt))
	if !c.Remove(0, 0, 2) || !c.Shift(0, 2, -1, -2) {
		t.Fatal("this cache cannot shift")
	}
	wantRange(t, c, 0, 0, n-3)
	follow(t, c, m, 0, 4)
	if c.Shift(7, 0, -1, 1) {
		t.Error("a sequence that does not exist was shifted")
	}
}

func TestSavedSequenceContinuesAlike(t *testing.T) {
	for _, arch := range []string{"llama", "gemma3"} {
		t.Run(arch, func(t *testing.T) {
			m := tinyWith(t, synth.Options{Arch: arch})
			c, prompt := twoSequences(t, m, true)
			state, err := c.SaveSequence(0)
			if err != nil {
				t.Fatal(err)
			}
			want := follow(t, c, m, 0, 6)
			other := newContext(t, m, smallContext(t))
			for _, to := range []struct {
				c   *llama.Context
				seq int32
			}{{c, 1}, {c, 0}, {other, 0}} {
				if err := to.c.RestoreSequence(to.seq, state); err != nil {
					t.Fatal(err)
				}
				wantRange(t, to.c, to.seq, 0, int32(len(prompt))-1)
				if got := follow(t, to.c, m, to.seq, 6); !slices.Equal(got, want) {
					t.Errorf("restored: %v, want %v", got, want)
				}
			}
		})
	}
}

func TestSaveOfNothing(t *testing.T) {
	c, _ := twoSequences(t, tiny(t), true)
	state, err := c.SaveSequence(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RestoreSequence(0, state); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []int32{-1, 2} {
		_, err := c.SaveSequence(seq)
		wantError(t, err, llama.ErrInvalid, "sequence id")
		wantError(t, c.RestoreSequence(seq, state), llama.ErrInvalid, "sequence id")
	}
}

func TestDamagedStateIsRefused(t *testing.T) {
	m := tiny(t)
	c, prompt := twoSequences(t, m, true)
	state, err := c.SaveSequence(0)
	if err != nil {
		t.Fatal(err)
	}
	want := follow(t, c, m, 0, 4)
	refuse := func(data []byte) {
		t.Helper()
		wantError(t, c.RestoreSequence(1, data), llama.ErrInvalid)
	}
	refuse(nil)
	refuse([]byte("garbage"))
	refuse(make([]byte, len(state)))
	refuse(append(slices.Clone(state), 0))
	for n := 0; n < len(state); n += 1 + n/50 {
		refuse(state[:n])
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		damaged := slices.Clone(state)
		damaged[rng.IntN(len(damaged))] ^= 1 << rng.IntN(8)
		refuse(damaged)
	}
	wantRange(t, c, 1, -1, -1)
	c.Remove(0, int32(len(prompt)), -1)
	if got := follow(t, c, m, 0, 4); !slices.Equal(got, want) {
		t.Errorf("the other sequence continues %v, want %v", got, want)
	}
}

func TestStateOfAnotherKindIsRefused(t *testing.T) {
	m := tiny(t)
	c, _ := twoSequences(t, m, true)
	state, err := c.SaveSequence(0)
	if err != nil {
		t.Fatal(err)
	}
	other := newContext(t, tinyWith(t, synth.Options{Arch: "qwen2"}), smallContext(t))
	wantError(t, other.RestoreSequence(0, state), llama.ErrInvalid, "another model")
	p := smallContext(t)
	p.TypeK = "f32"
	wantError(t, newContext(t, m, p).RestoreSequence(0, state), llama.ErrInvalid, "does not fit")
	p = smallContext(t)
	p.Sequences, p.UnifiedSequences = 3, false
	wantError(t, newContext(t, m, p).RestoreSequence(0, state), llama.ErrInvalid, "does not fit")

	long := newContext(t, m, smallContext(t))
	prefill(t, long, newSampler(t, m, greedy(t)), 0, 0, slices.Repeat([]llama.Token{70}, 250))
	if state, err = long.SaveSequence(0); err != nil {
		t.Fatal(err)
	}
	follow(t, c, m, 0, 10) // and now the two do not fit together
	wantError(t, c.RestoreSequence(1, state), llama.ErrInvalid, "does not fit")
	wantRange(t, c, 1, -1, -1)
}

func TestMemoryPlanIsNearTheTruth(t *testing.T) {
	lib := library(t)
	path := tinyFile(t, synth.Options{})
	p := smallContext(t)
	p.Ctx = 1024
	plan, err := lib.MemoryPlan(path, lib.DefaultModelParams(), p)
	if err != nil {
		t.Fatal(err)
	}
	var weights, cache, compute uint64
	for _, m := range plan {
		if m.Device == "" {
			t.Errorf("a device without a name: %+v", m)
		}
		weights, cache, compute = weights+m.Weights, cache+m.Cache, compute+m.Compute
	}
	size := load(t, path, lib.DefaultModelParams()).Info().Size
	if weights < size || weights > size+size/2 {
		t.Errorf("weights take %d, want about %d", weights, size)
	}
	// 2 layers, K and V, 1 head of 32 elements of 2 bytes
	if want := uint64(1024 * 2 * 2 * 32 * 2); cache < want || cache > want+want/8 {
		t.Errorf("the cache takes %d, want %d", cache, want)
	}
	if compute == 0 {
		t.Error("no compute buffers in the plan")
	}
	if _, err := lib.LoadModel(context.Background(), path, lib.DefaultModelParams()); err != nil {
		t.Errorf("loading after a plan: %v", err)
	}
}
