package llama_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// library opens the native library, which `make native` builds.
func library(t testing.TB) *llama.Library {
	t.Helper()
	lib, err := llama.Open("")
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// tinyFile writes a tiny model for this test.
func tinyFile(t testing.TB, o synth.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := synth.TinyFile(path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, path string, p llama.ModelParams) *llama.Model {
	t.Helper()
	m, err := library(t).LoadModel(context.Background(), path, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// tinyWith loads a tiny model made to order.
func tinyWith(t testing.TB, o synth.Options) *llama.Model {
	t.Helper()
	return load(t, tinyFile(t, o), library(t).DefaultModelParams())
}

// tiny returns a tiny llama model that all tests share.
func tiny(t testing.TB) *llama.Model {
	t.Helper()
	return shared(t, "tiny", func() string {
		path := filepath.Join(sharedDir(t), "tiny.gguf")
		if err := synth.TinyFile(path, synth.Options{}); err != nil {
			t.Fatal(err)
		}
		return path
	})
}

// smol returns SmolLM2, for what noise cannot show.
func smol(t testing.TB) *llama.Model {
	t.Helper()
	path := testmodels.Path(t, "smollm2")
	return shared(t, path, func() string { return path })
}

var (
	sharedMu     sync.Mutex // guards the two below
	sharedModels = map[string]*llama.Model{}
	sharedFolder string
)

func shared(t testing.TB, name string, path func() string) *llama.Model {
	t.Helper()
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if m := sharedModels[name]; m != nil {
		return m
	}
	lib := library(t)
	m, err := lib.LoadModel(context.Background(), path(), lib.DefaultModelParams())
	if err != nil {
		t.Fatal(err)
	}
	sharedModels[name] = m
	return m
}

func sharedDir(t testing.TB) string {
	t.Helper()
	return sharedFolder
}

// smallContext is enough for most tests: one sequence, one thread.
func smallContext(t testing.TB) llama.ContextParams {
	p := library(t).DefaultContextParams()
	p.Ctx, p.Batch, p.UBatch, p.Sequences = 256, 64, 64, 1
	p.Threads, p.BatchThreads = 1, 1
	return p
}

func newContext(t testing.TB, m *llama.Model, p llama.ContextParams) *llama.Context {
	t.Helper()
	c, err := m.NewContext(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// greedy is temperature 0 with nothing else.
func greedy(t testing.TB) llama.SamplerParams {
	p := library(t).DefaultSamplerParams()
	p.Temperature = 0
	return p
}

func newSampler(t testing.TB, m *llama.Model, p llama.SamplerParams) *llama.Sampler {
	t.Helper()
	s, err := m.NewSampler(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func tokenize(t testing.TB, m *llama.Model, text string) []llama.Token {
	t.Helper()
	tokens, err := m.Tokenize(text, true, false)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// prefill decodes tokens from position pos of a sequence and samples after the last.
func prefill(t testing.TB, c *llama.Context, s *llama.Sampler, seq, pos int32,
	tokens []llama.Token) llama.Row {
	t.Helper()
	for len(tokens) > 0 {
		n := min(len(tokens), c.Limits().Batch)
		c.Begin()
		for i, token := range tokens[:n] {
			last := c.Add(token, pos+int32(i), seq)
			if i == len(tokens)-1 {
				c.Sample(last, s, -1)
			}
		}
		result, err := c.Step()
		if err != nil {
			t.Fatal(err)
		}
		if n == len(tokens) {
			return rowOf(t, result)
		}
		tokens, pos = tokens[n:], pos+int32(n)
	}
	t.Fatal("nothing to prefill")
	return llama.Row{}
}

func rowOf(t testing.TB, result llama.StepResult) llama.Row {
	t.Helper()
	if len(result.Rows) != 1 {
		t.Fatalf("%d rows, want 1", len(result.Rows))
	}
	if result.Rows[0].Err != nil {
		t.Fatal(result.Rows[0].Err)
	}
	return result.Rows[0]
}

// generate prefills tokens at the end of a sequence and returns the n tokens that follow.
func generate(t testing.TB, c *llama.Context, s *llama.Sampler, seq int32, tokens []llama.Token,
	n int) []llama.Token {
	t.Helper()
	_, last := c.Range(seq)
	row := prefill(t, c, s, seq, last+1, tokens)
	out := []llama.Token{row.Token}
	for pos := last + 1 + int32(len(tokens)); len(out) < n; pos++ {
		row = prefill(t, c, s, seq, pos, out[len(out)-1:])
		out = append(out, row.Token)
	}
	return out
}

// wantError checks that err is of a kind and that its sentence has all of the parts.
func wantError(t testing.TB, err, kind error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error %v, want kind %q", err, kind)
	}
	checkSentence(t, err.Error())
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not mention %q", err, part)
		}
	}
}

func checkSentence(t testing.TB, text string) {
	t.Helper()
	if len(text) < 8 || strings.ContainsAny(text, "\n\r\x00") || strings.TrimSpace(text) != text {
		t.Errorf("error %q is not a sentence", text)
	}
	if strings.Contains(text, "std::") || strings.Contains(text, "failed to") {
		t.Errorf("error %q is not written for the reader", text)
	}
}
