package engine_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/testmodels"
)

// real is an engine on SmolLM2 with greedy sampling.
type real struct {
	*engine.Engine
	model   *llama.Model
	context *llama.Context
	greedy  engine.Sampling
}

func startReal(t *testing.T, ctx, sequences int) *real {
	t.Helper()
	path := testmodels.Path(t, "smollm2")
	lib, err := llama.Open("")
	if errors.Is(err, llama.ErrLibrary) && os.Getenv(testmodels.RequireEnv) != "1" {
		t.Skip(err)
	}
	r := &real{}
	if err == nil {
		r.greedy = lib.DefaultSamplerParams()
		r.greedy.Temperature = 0
		r.model, err = lib.LoadModel(t.Context(), path, lib.DefaultModelParams())
	}
	if err == nil {
		p := lib.DefaultContextParams()
		p.Ctx, p.Batch, p.UBatch, p.Sequences, p.UnifiedSequences = ctx, 64, 64, sequences, true
		p.Threads, p.BatchThreads = 1, 1 // threads that wait for each other crawl on a busy machine
		r.context, err = r.model.NewContext(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.Engine = engine.New(engine.NewNative(r.model, r.context), engine.Config{})
	t.Cleanup(func() {
		r.Close()
		r.context.Close()
		r.model.Close()
	})
	return r
}

func (r *real) ask(t *testing.T, text string, most int) engine.Request {
	t.Helper()
	prompt, err := r.model.Tokenize(text, true, false)
	if err != nil {
		t.Fatal(err)
	}
	return engine.Request{Prompt: prompt, Sampling: r.greedy, MaxTokens: most}
}

// direct generates without the engine: one token after the other, the plainest way.
func (r *real) direct(t *testing.T, req engine.Request) string {
	t.Helper()
	s, err := r.model.NewSampler(req.Sampling)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Prime(req.Prompt)
	var text []byte
	next, pos := req.Prompt, int32(0)
	for range req.MaxTokens {
		r.context.Begin()
		last := 0
		for _, token := range next {
			last = r.context.Add(token, pos, 0)
			pos++
		}
		r.context.Sample(last, s, -1)
		result, err := r.context.Step()
		if err != nil {
			t.Fatal(err)
		}
		if result.Rows[0].End {
			break
		}
		text = append(text, result.Rows[0].Piece...)
		next = []engine.Token{result.Rows[0].Token}
	}
	r.context.Remove(0, 0, -1)
	return string(text)
}

var realPrompts = []string{
	"The capital of France is", "Water boils at", "Once upon a time there was",
	"def fibonacci(n):", "The three primary colours are", "In the year 1969",
}

func TestRealModelSaysTheSameWithTheEngine(t *testing.T) {
	r := startReal(t, 512, 1)
	var want []string
	for _, p := range realPrompts { // the engine is idle, so the context may be used here
		want = append(want, r.direct(t, r.ask(t, p, 24)))
	}
	for i, p := range realPrompts {
		got := read(t, submit(t, r.Engine, r.ask(t, p, 24)))
		expect(t, p, got.text, want[i])
	}
	// A long prompt is cancelled while it is prefilled, and leaves nothing behind.
	s := submit(t, r.Engine, r.ask(t, strings.Repeat("all work and no play ", 80), 24))
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	s.Close()
	cancelled(t, read(t, s))
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("the cancel took %v", d)
	}
	again := read(t, submit(t, r.Engine, r.ask(t, realPrompts[0], 24)))
	expect(t, "after a cancel", again.text, want[0])
}

func TestRealModelServesManyWithASmallCache(t *testing.T) {
	r := startReal(t, 256, 4)
	var streams []*engine.Stream
	for i := range 8 {
		req := r.ask(t, strings.Repeat(realPrompts[i%len(realPrompts)]+" ", 4), 60)
		req.Sampling.IgnoreEOS = true
		streams = append(streams, submit(t, r.Engine, req))
	}
	for i, s := range streams {
		got := read(t, s)
		if got.err != nil || got.last.Finish != engine.FinishLength || len(got.tokens) != 60 {
			t.Errorf("request %d: %d tokens, %v", i, len(got.tokens), &got)
		}
	}
	t.Logf("%+v", r.Stats())
}
