package llama_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/synth"
)

func wantClosed(t *testing.T, calls map[string]func() error) {
	t.Helper()
	for name, call := range calls {
		if err := call(); !errors.Is(err, llama.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
}

func TestModelAfterClose(t *testing.T) {
	m := tinyWith(t, synth.Options{})
	info := m.Info()
	m.Close()
	m.Close()
	wantClosed(t, map[string]func() error{
		"Metadata":   func() error { _, err := m.Metadata(); return err },
		"Tokenize":   func() error { _, err := m.Tokenize("x", true, true); return err },
		"Detokenize": func() error { _, err := m.Detokenize([]llama.Token{5}, true); return err },
		"NewContext": func() error { _, err := m.NewContext(smallContext(t)); return err },
		"NewSampler": func() error { _, err := m.NewSampler(greedy(t)); return err },
		"NewChat":    func() error { _, err := m.NewChat(""); return err },
	})
	if m.Piece(70, true) != nil || m.IsEnd(synth.TokenEnd) {
		t.Error("a closed model still knows its tokens")
	}
	if m.Info() != info {
		t.Error("Info changed with Close")
	}
}

func TestContextAfterClose(t *testing.T) {
	m := tiny(t)
	c := newContext(t, m, smallContext(t))
	s := newSampler(t, m, greedy(t))
	limits := c.Limits()
	c.Close()
	c.Close()
	c.Begin()
	c.Sample(c.Add(5, 0, 0), s, -1)
	c.Abort(true)
	c.Copy(0, 0, 0, -1)
	wantClosed(t, map[string]func() error{
		"Step":            func() error { _, err := c.Step(); return err },
		"SetThreads":      func() error { return c.SetThreads(1, 1) },
		"SaveSequence":    func() error { _, err := c.SaveSequence(0); return err },
		"RestoreSequence": func() error { return c.RestoreSequence(0, nil) },
	})
	first, last := c.Range(0)
	if c.Remove(0, 0, -1) || c.Shift(0, 0, -1, 1) || first != -1 || last != -1 ||
		c.Perf() != (llama.Perf{}) {
		t.Error("a closed context still has sequences")
	}
	if c.Limits() != limits {
		t.Error("Limits changed with Close")
	}
}

func TestSamplerAfterClose(t *testing.T) {
	m := tiny(t)
	s := newSampler(t, m, greedy(t))
	s.Close()
	s.Close()
	s.Prime([]llama.Token{5})
	if s.Seed() != 0 {
		t.Error("a closed sampler has a seed")
	}
	wantClosed(t, map[string]func() error{
		"Describe": func() error { _, err := s.Describe(); return err },
	})
	c := newContext(t, m, smallContext(t))
	c.Begin()
	c.Sample(c.Add(5, 0, 0), s, -1)
	_, err := c.Step()
	wantError(t, err, llama.ErrInvalid, "sampler of row 0 is closed")
}

func TestChatAfterClose(t *testing.T) {
	chat, err := tiny(t).NewChat("")
	if err != nil {
		t.Fatal(err)
	}
	chat.Close()
	chat.Close()
	wantClosed(t, map[string]func() error{
		"Source":       func() error { _, err := chat.Source(); return err },
		"Capabilities": func() error { _, err := chat.Capabilities(); return err },
		"Apply":        func() error { _, err := chat.Apply([]byte(hello)); return err },
	})
}

func TestContextOutlivesItsModel(t *testing.T) {
	m := tinyWith(t, synth.Options{})
	c := newContext(t, m, smallContext(t))
	s := newSampler(t, m, greedy(t))
	prompt := tokenize(t, m, "the time of the day")
	other := newContext(t, m, smallContext(t))
	want := generate(t, other, newSampler(t, m, greedy(t)), 0, prompt, 4)
	m.Close()
	if got := generate(t, c, s, 0, prompt, 4); !slices.Equal(got, want) {
		t.Errorf("after closing the model: %v, want %v", got, want)
	}
}
