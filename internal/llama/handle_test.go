package llama

import (
	"context"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/synth"
)

// These tests look inside the handles: who uses them cannot be seen from outside.

func loadTiny(t *testing.T) *Model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := synth.TinyFile(path, synth.Options{}); err != nil {
		t.Fatal(err)
	}
	lib, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	m, err := lib.LoadModel(context.Background(), path, lib.DefaultModelParams())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func tinyContext(t *testing.T, m *Model) *Context {
	t.Helper()
	p := m.lib.DefaultContextParams()
	p.Ctx, p.Batch, p.UBatch, p.Threads, p.BatchThreads = 64, 32, 32, 1, 1
	c, err := m.NewContext(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantUsers(t *testing.T, h *handle, want int64) {
	t.Helper()
	if got := h.users.Load(); got != want {
		t.Fatalf("the handle has %d users, want %d", got, want)
	}
}

func TestCloseFreesOnce(t *testing.T) {
	m := loadTiny(t)
	h := m.modelHandle
	frees := 0
	free := h.free
	h.free = func() { frees++; free() }
	m.Close()
	m.Close()
	if frees != 1 {
		t.Errorf("closing twice frees %d times", frees)
	}
}

func TestWhatIsMadeFromAModelKeepsIt(t *testing.T) {
	m := loadTiny(t)
	c := tinyContext(t, m)
	s, err := m.NewSampler(m.lib.DefaultSamplerParams())
	if err != nil {
		t.Fatal(err)
	}
	chat, err := m.NewChat("")
	if err != nil {
		t.Fatal(err)
	}
	wantUsers(t, &m.handle, 4)
	m.Close()
	wantUsers(t, &m.handle, 3)
	chat.Close()
	s.Close()
	wantUsers(t, &m.handle, 1)
	c.Close()
	wantUsers(t, &m.handle, 0)
}

func TestFailuresKeepNothing(t *testing.T) {
	m := loadTiny(t)
	defer m.Close()
	if _, err := m.NewContext(ContextParams{}); err == nil {
		t.Error("a context of nothing was made")
	}
	if _, err := m.NewSampler(SamplerParams{Grammar: "?"}); err == nil {
		t.Error("a sampler with a broken grammar was made")
	}
	if _, err := m.NewChat("{% if %}"); err == nil {
		t.Error("a broken chat template was taken")
	}
	wantUsers(t, &m.handle, 1)
}

func TestStepKeepsASamplerThatIsClosed(t *testing.T) {
	m := loadTiny(t)
	defer m.Close()
	c := tinyContext(t, m)
	defer c.Close()
	s, err := m.NewSampler(m.lib.DefaultSamplerParams())
	if err != nil {
		t.Fatal(err)
	}
	c.Begin()
	c.Sample(c.Add(1, 0, 0), s, -1)
	s.Close()
	wantUsers(t, &s.handle, 1)
	if result, err := c.Step(); err != nil || result.Rows[0].Err != nil {
		t.Errorf("step with a sampler closed after Sample: %v", err)
	}
	c.Begin()
	wantUsers(t, &s.handle, 0)
}

func TestDroppedHandlesAreFreed(t *testing.T) {
	m := loadTiny(t)
	model := m.modelHandle
	c := tinyContext(t, m)
	s, err := m.NewSampler(m.lib.DefaultSamplerParams())
	if err != nil {
		t.Fatal(err)
	}
	chat, err := m.NewChat("")
	if err != nil {
		t.Fatal(err)
	}
	c.Begin()
	c.Sample(c.Add(1, 0, 0), s, -1)
	handles := map[string]*handle{"context": &c.handle, "sampler": &s.handle,
		"chat template": &chat.handle, "model": &model.handle}
	runtime.KeepAlive(chat)
	m, c, s, chat = nil, nil, nil, nil
	for deadline := time.Now().Add(20 * time.Second); model.users.Load() > 0; {
		if time.Now().After(deadline) {
			break
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	for name, h := range handles {
		if n := h.users.Load(); n != 0 {
			t.Errorf("a dropped %s still has %d users", name, n)
		}
	}
}

func TestCloseWhileOthersTokenize(t *testing.T) {
	for range 8 {
		m := loadTiny(t)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for {
					tokens, err := m.Tokenize("the same words", true, false)
					if err != nil {
						return
					}
					if _, err := m.Detokenize(tokens, true); err != nil {
						return
					}
					m.IsEnd(tokens[0])
				}
			})
		}
		time.Sleep(time.Millisecond)
		m.Close()
		group.Wait()
		wantUsers(t, &m.handle, 0)
	}
}
