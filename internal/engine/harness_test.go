package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

// tick is how long a step takes in tests with synctest's clock.
const tick = 10 * time.Millisecond

// limits are those of a model with a shared cache.
func limits(sequences, ubatch, ctx int) engine.Limits {
	return engine.Limits{
		Ctx: ctx, CtxPerSeq: ctx, Batch: ubatch, UBatch: ubatch, Sequences: sequences,
	}
}

func slow(*scripted.Plan) scripted.Fault { return scripted.Fault{Delay: tick} }

// start runs an engine and checks at the end of the test that it left the model clean.
func start(t *testing.T, cfg scripted.Config) (*engine.Engine, *scripted.Model) {
	t.Helper()
	if cfg.Script == nil {
		cfg.Script = scripted.Echo
	}
	model := scripted.New(cfg)
	e := engine.New(model, engine.Config{})
	t.Cleanup(func() {
		e.Close()
		for _, v := range model.Violations() {
			t.Errorf("violation: %s", v)
		}
		if n := model.Samplers(); n != 0 {
			t.Errorf("%d samplers are not closed", n)
		}
		if n := model.Cached(); n != 0 {
			t.Errorf("%d cells are not free", n)
		}
	})
	return e, model
}

// ask is a request to an echo model.
func ask(text string, stop ...string) engine.Request {
	return engine.Request{Prompt: scripted.Prompt(text), Stop: stop}
}

// askFor is a request for at most n tokens.
func askFor(n int, text string) engine.Request {
	return engine.Request{Prompt: scripted.Prompt(text), MaxTokens: n}
}

func submit(t *testing.T, e *engine.Engine, req engine.Request) *engine.Stream {
	t.Helper()
	s, err := e.Submit(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// result is all that a stream gave.
type result struct {
	text   string
	tokens []engine.Token
	probs  []engine.TokenLogprob
	events int
	last   engine.Event // the one that is Done
	err    error        // but for io.EOF
}

func (r *result) String() string {
	if r.err != nil {
		return fmt.Sprintf("%q %v", r.text, r.err)
	}
	return fmt.Sprintf("%q %s", r.text, r.last.Finish)
}

func read(t *testing.T, s *engine.Stream) (r result) {
	t.Helper()
	var text strings.Builder
	defer func() { r.text = text.String() }()
	for {
		event, err := s.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				r.err = err
			} else if !r.last.Done {
				t.Error("the end came without an event that is done")
			}
			return r
		}
		if !utf8.ValidString(event.Text) {
			t.Errorf("an event has the text %q", event.Text)
		}
		text.WriteString(event.Text)
		r.tokens = append(r.tokens, event.Tokens...)
		r.probs = append(r.probs, event.Logprobs...)
		r.events++
		if event.Done {
			r.last = event
		}
	}
}

// shape writes plans as "seq:tokens" with a star where a row is sampled.
func shape(plans []scripted.Plan) string {
	var lines []string
	for _, p := range plans {
		sampled := map[int]bool{}
		for _, r := range p.Rows {
			sampled[r.Index] = true
		}
		var parts []string
		for i := 0; i < len(p.Tokens); {
			seq, n := p.Tokens[i].Seq, 0
			for i < len(p.Tokens) && p.Tokens[i].Seq == seq {
				i, n = i+1, n+1
			}
			part := fmt.Sprintf("%d:%d", seq, n)
			if sampled[i-1] {
				part += "*"
			}
			parts = append(parts, part)
		}
		lines = append(lines, strings.Join(parts, " "))
	}
	return strings.Join(lines, "\n")
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
