package mullama_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// openRuntime opens the engine, or skips the test where the native library was not built.
func openRuntime(t testing.TB) *mullama.Runtime {
	t.Helper()
	rt, err := mullama.Open(mullama.Options{})
	if errors.Is(err, mullama.ErrLibraryMissing) && os.Getenv(testmodels.RequireEnv) != "1" {
		t.Skipf("needs the native library: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	return rt
}

// tinyFile writes a small model with random weights that never ends by itself.
func tinyFile(t testing.TB, o synth.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := synth.TinyFile(path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

// load loads a model on one thread and closes it at the end of the test.
func load(
	t testing.TB, rt *mullama.Runtime, path string, o mullama.LoadOptions,
) *mullama.Model {
	t.Helper()
	if o.Threads == 0 {
		o.Threads = 1
	}
	if o.ContextSize == 0 && !o.VocabOnly {
		o.ContextSize = 512
	}
	m, err := rt.Load(t.Context(), path, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func tinyModel(t testing.TB) *mullama.Model {
	t.Helper()
	return load(t, openRuntime(t), tinyFile(t, synth.Options{}), mullama.LoadOptions{})
}

func smolModel(t testing.TB) *mullama.Model {
	t.Helper()
	rt := openRuntime(t)
	return load(t, rt, testmodels.Path(t, "smollm2"), mullama.LoadOptions{})
}

func greedy() *mullama.Sampling { return &mullama.Sampling{} }

// random samples from all tokens with a seed.
func random(seed uint32) *mullama.Sampling {
	return &mullama.Sampling{Temperature: 1, Seed: &seed}
}

// generate runs a whole call.
func generate(
	t testing.TB, m *mullama.Model, prompt string, o mullama.GenerateOptions,
) *mullama.Result {
	t.Helper()
	stream, err := m.Generate(t.Context(), prompt, &o)
	if err != nil {
		t.Fatal(err)
	}
	result, err := stream.Collect()
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// endless starts a call on a tiny model that ends only when the context is full.
func endless(ctx context.Context, t testing.TB, m *mullama.Model) *mullama.Stream {
	t.Helper()
	s, err := m.Generate(ctx, "once", &mullama.GenerateOptions{Sampling: greedy()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// longModel is a tiny model whose context takes seconds to fill, for tests that cancel.
func longModel(t testing.TB, o mullama.LoadOptions) *mullama.Model {
	t.Helper()
	path := tinyFile(t, synth.Options{Context: 1 << 17})
	o.ContextSize = 1 << 17
	return load(t, openRuntime(t), path, o)
}

// wantKind checks an error's kind and that its text is one sentence in our style.
func wantKind(t testing.TB, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got error %v; want kind %q", err, kind)
	}
	e := (*mullama.Error)(nil)
	if !errors.As(err, &e) {
		t.Fatalf("error %v is a %T; want *mullama.Error", err, err)
	}
	text := err.Error()
	if strings.ContainsAny(text, "\n\x00") || strings.Contains(text, "failed to") ||
		strings.HasSuffix(text, ".") {
		t.Errorf("error %q is not one sentence in our style", text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("error %q does not contain %q", text, w)
		}
	}
}

// within fails the test when fn takes longer than limit; it does not wait for fn then.
func within(t testing.TB, limit time.Duration, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		stacks := make([]byte, 1<<20)
		t.Fatalf("%s takes longer than %v\n%s", what, limit,
			stacks[:runtime.Stack(stacks, true)])
	}
}

// noLeaks checks at the end of the test that no goroutine of this module is left.
func noLeaks(t testing.TB) {
	t.Helper()
	t.Cleanup(func() {
		var left string
		for range 200 {
			if left = ourGoroutines(); left == "" {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("goroutines are left:\n%s", left)
	})
}

func ourGoroutines() string {
	buf := make([]byte, 1<<20)
	var ours []string
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "mullama/internal/engine.") ||
			strings.Contains(g, "mullama.(*Stream)") ||
			strings.Contains(g, "mullama.(*acquirer)") || strings.Contains(g, "mullama.effects") {
			ours = append(ours, g)
		}
	}
	return strings.Join(ours, "\n\n")
}
