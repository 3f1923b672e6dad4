package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

func TestGeneratingSlotsComeBeforePrompts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, model := start(t, scripted.Config{Limits: limits(3, 8, 100), Fault: slow, Record: true})
		a := submit(t, e, askFor(5, "abcdef"))
		synctest.Wait() // the first step runs
		b := submit(t, e, askFor(2, strings.Repeat("b", 20)))
		c := submit(t, e, askFor(1, "cc"))
		for _, s := range []*engine.Stream{a, b, c} {
			if r := read(t, s); r.err != nil || r.last.Finish != engine.FinishLength {
				t.Errorf("got %v", &r)
			}
		}
		want := strings.Join([]string{
			"0:6*",
			"0:1* 2:2* 1:5", // the short prompt first
			"0:1* 1:7",
			"0:1* 1:7",
			"0:1* 1:1*",
			"1:1*",
		}, "\n")
		if got := shape(model.Plans()); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestSlotsAreGivenInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: limits(1, 8, 100), Fault: slow})
		var streams []*engine.Stream
		for i := range 5 {
			streams = append(streams, submit(t, e, ask(strings.Repeat("x", 5-i))))
		}
		var before time.Duration
		for i, s := range streams {
			r := read(t, s)
			if q := r.last.Counters.Queue; i > 0 && q <= before {
				t.Errorf("request %d waited %v, the one before %v", i, q, before)
			}
			before = r.last.Counters.Queue
		}
	})
}

func TestManyRequestsAtOnceKeepTheirOwnOptions(t *testing.T) {
	script := func(prompt []engine.Token, s engine.Sampling) []scripted.Piece {
		var all []string
		for i := range 30 {
			all = append(all, fmt.Sprintf("[%d.%d.%d]", prompt[0], s.Seed, i))
		}
		return scripted.Text(all...)
	}
	e, _ := start(t, scripted.Config{Limits: limits(4, 16, 200), Script: script})
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			req := engine.Request{
				Prompt:    []engine.Token{engine.Token(i), 1, 2, 3},
				Sampling:  engine.Sampling{Seed: uint32(7 * i)},
				MaxTokens: 1 + i%9,
			}
			var want strings.Builder
			for n := range req.MaxTokens {
				fmt.Fprintf(&want, "[%d.%d.%d]", i, 7*i, n)
			}
			text, finish := want.String(), engine.FinishLength
			if i%3 == 0 && req.MaxTokens > 2 {
				req.Stop = []string{"no such thing", fmt.Sprintf(".%d.1]", 7*i)}
				text, _, _ = strings.Cut(text, req.Stop[1])
				finish = engine.FinishStop
			}
			r := read(t, submit(t, e, req))
			if r.text != text || r.last.Finish != finish {
				t.Errorf("request %d: got %v, want %q %s", i, &r, text, finish)
			}
		})
	}
	group.Wait()
}

func TestFinishReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: limits(2, 8, 20)})
		for _, tt := range []struct {
			name   string
			req    engine.Request
			text   string
			finish engine.FinishReason
			stop   string
			tokens int
		}{
			{"end token", ask("hello"), "hello", engine.FinishStop, "", 6},
			{"stop string", ask("one two", "tw", " t"), "one", engine.FinishStop, " t", 5},
			{"max tokens", askFor(3, "hello"), "hel", engine.FinishLength, "", 3},
			{"end token is the last", askFor(3, "hi"), "hi", engine.FinishStop, "", 3},
			{"context full", ask("12345678901234"), "1234567", engine.FinishLength, "", 7},
			{"full prompt", ask("abcdefghijklmnopqrst"), "a", engine.FinishLength, "", 1},
			{"broken at the end", askFor(1, "\u00e9"), "\uFFFD", engine.FinishLength, "", 1},
		} {
			r := read(t, submit(t, e, tt.req))
			expect(t, tt.name+": text", r.text, tt.text)
			expect(t, tt.name+": finish", r.last.Finish, tt.finish)
			expect(t, tt.name+": stop string", r.last.StopString, tt.stop)
			expect(t, tt.name+": tokens", r.last.Counters.GeneratedTokens, tt.tokens)
			expect(t, tt.name+": prompt", r.last.Counters.PromptTokens, len(tt.req.Prompt))
		}
	})
}

func TestRequestsThatCannotSucceedAreRefusedAtOnce(t *testing.T) {
	l := limits(2, 8, 20)
	l.Vocab = 200
	refused := errors.New("the grammar has no root")
	e, model := start(t, scripted.Config{
		Limits: l,
		Record: true,
		Refuse: func(s engine.Sampling) error {
			if s.Seed == 13 {
				return refused
			}
			return nil
		},
	})
	prompt := func(tokens ...engine.Token) engine.Request { return engine.Request{Prompt: tokens} }
	bad := prompt(5)
	bad.Sampling.Seed = 13
	logprobs := prompt(5)
	logprobs.Logprobs, logprobs.TopLogprobs = true, -1
	for _, tt := range []struct {
		name string
		req  engine.Request
		want error
		text string
	}{
		{"empty prompt", engine.Request{}, engine.ErrInvalid, "no tokens"},
		{"long prompt", prompt(make([]engine.Token, 21)...), engine.ErrContextFull,
			"21 tokens, which exceeds the available context size of 20"},
		{"unknown token", prompt(5, 200), engine.ErrInvalid, "token 1 is 200"},
		{"negative token", prompt(-1), engine.ErrInvalid, "token 0 is -1"},
		{"negative logprobs", logprobs, engine.ErrInvalid, "top logprobs is -1"},
		{"sampling", bad, refused, "no root"},
	} {
		_, err := e.Submit(context.Background(), tt.req)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %v, want %v with %q", tt.name, err, tt.want, tt.text)
		}
	}
	ended, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("the client is gone")
	cancel(cause)
	_, err := e.Submit(ended, ask("x"))
	if !errors.Is(err, engine.ErrCancelled) || !errors.Is(err, cause) {
		t.Errorf("ended context: got %v", err)
	}
	if n := len(model.Plans()); n != 0 {
		t.Errorf("the model saw %d steps", n)
	}
}

func TestCountersMeasureEachPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: limits(1, 4, 100), Fault: slow})
		submit(t, e, askFor(3, "abcd"))           // three steps
		r := read(t, submit(t, e, ask("abcdef"))) // two of prefill
		want := engine.Counters{
			PromptTokens:    6,
			GeneratedTokens: 7,
			Queue:           3 * tick,
			Prefill:         2 * tick,
			FirstToken:      5 * tick,
			Decode:          6 * tick,
			Total:           11 * tick,
			Steps:           8,
			StepOverhead:    0, // the clock stands still outside the model
		}
		if got := r.last.Counters; got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		synctest.Wait()
		stats := e.Stats()
		if stats.Steps != 11 || stats.SampledTokens != 10 || stats.DecodedTokens != 4+2+6+6 ||
			stats.Active+stats.Waiting+stats.CellsUsed != 0 || stats.Slots != 1 {
			t.Errorf("got %+v", stats)
		}
	})
}

func TestLogprobsComeOnePerToken(t *testing.T) {
	top := []engine.TopToken{
		{Token: 4, Logprob: -0.5, Piece: []byte("\xC3")},
		{Token: 5, Logprob: -2, Piece: []byte("b")},
	}
	script := func([]engine.Token, engine.Sampling) []scripted.Piece {
		return []scripted.Piece{
			{Token: 4, Bytes: []byte("\xC3"), Logprob: -0.5, Top: top},
			{Token: 6, Bytes: []byte("\xA9 "), Logprob: -1, Top: top},
			{Token: 7, Bytes: []byte("<"), Logprob: -3, Top: top},
			{Token: 8, Bytes: []byte("end>"), Logprob: -4, Top: top},
		}
	}
	e, _ := start(t, scripted.Config{Limits: limits(2, 8, 20), Script: script})
	for n := range 4 {
		r := read(t, submit(t, e, engine.Request{
			Prompt: []engine.Token{1}, Stop: []string{"<end>"}, Logprobs: true, TopLogprobs: n,
		}))
		got := fmt.Sprintf("%q %v", r.text, r.tokens)
		for _, lp := range r.probs {
			got += fmt.Sprintf(" %d=%+q:%g/%d", lp.Token, lp.Bytes, lp.Logprob, len(lp.Top))
		}
		m := min(n, 2)
		want := fmt.Sprintf(`"é " [4 6] 4="\xc3":-0.5/%d 6="\xa9 ":-1/%d`, m, m)
		expect(t, fmt.Sprintf("top %d", n), got, want)
	}
	r := read(t, submit(t, e, engine.Request{Prompt: []engine.Token{1}, Stop: []string{"<end>"}}))
	if len(r.probs) != 0 || len(r.tokens) != 2 {
		t.Errorf("not asked for: %v for %v", r.probs, r.tokens)
	}
}

func TestSlowReaderDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: limits(2, 64, 1000), Fault: slow})
		text := strings.Repeat("0123456789", 20)
		idle := submit(t, e, ask(text))
		r := read(t, submit(t, e, ask(text)))
		if r.text != text || r.events < 190 {
			t.Errorf("the reader got %d events", r.events)
		}
		time.Sleep(100 * tick)
		if r := read(t, idle); r.text != text || r.events != 1 {
			t.Errorf("the slow reader got %d events and %q", r.events, r.text)
		}
	})
}

func TestEndOfStreamStays(t *testing.T) {
	e, _ := start(t, scripted.Config{Limits: limits(1, 8, 20)})
	s := submit(t, e, ask("x"))
	read(t, s)
	for range 3 {
		if event, err := s.Next(); !errors.Is(err, io.EOF) || event.Done {
			t.Errorf("got %+v, %v", event, err)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
