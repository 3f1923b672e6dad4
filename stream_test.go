package mullama_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// forms are the ways to read a stream.
var forms = map[string]func(context.Context, *mullama.Stream) (string, mullama.Chunk, error){
	"Next": func(
		_ context.Context, s *mullama.Stream,
	) (text string, last mullama.Chunk, err error) {
		for {
			chunk, err := s.Next()
			if errors.Is(err, io.EOF) {
				return text, last, nil
			}
			if err != nil {
				return text, last, err
			}
			text, last = text+chunk.Text, chunk
		}
	},
	"All": func(
		_ context.Context, s *mullama.Stream,
	) (text string, last mullama.Chunk, err error) {
		for chunk, err := range s.All() {
			if err != nil {
				return text, last, err
			}
			text, last = text+chunk.Text, chunk
		}
		return text, last, nil
	},
	"Each": func(
		_ context.Context, s *mullama.Stream,
	) (text string, last mullama.Chunk, err error) {
		err = s.Each(func(c mullama.Chunk) error {
			text, last = text+c.Text, c
			return nil
		})
		return text, last, err
	},
	"Channel": func(
		ctx context.Context, s *mullama.Stream,
	) (text string, last mullama.Chunk, err error) {
		for chunk := range s.Channel(ctx) {
			text, last = text+chunk.Text, chunk
		}
		return text, last, s.Err()
	},
	"Collect": func(_ context.Context, s *mullama.Stream) (string, mullama.Chunk, error) {
		r, err := s.Collect()
		if err != nil {
			return "", mullama.Chunk{}, err
		}
		return r.Text, mullama.Chunk{Done: true, FinishReason: r.FinishReason, Stats: &r.Stats}, nil
	},
}

func TestEveryFormGivesTheSameText(t *testing.T) {
	noLeaks(t)
	m := tinyModel(t)
	o := &mullama.GenerateOptions{MaxTokens: 50, Sampling: random(11)}
	want := generate(t, m, "once", *o)
	for name, read := range forms {
		t.Run(name, func(t *testing.T) {
			s, err := m.Generate(t.Context(), "once", o)
			if err != nil {
				t.Fatal(err)
			}
			text, last, err := read(t.Context(), s)
			if err != nil || text != want.Text {
				t.Errorf("got %q, %v; want %q", text, err, want.Text)
			}
			if !last.Done || last.FinishReason != want.FinishReason ||
				last.Stats.GeneratedTokens != 50 {
				t.Errorf("the last chunk is %+v; want Done with reason and counters", last)
			}
			for range 2 {
				if _, err := s.Next(); !errors.Is(err, io.EOF) {
					t.Errorf("Next after the end: %v; want EOF", err)
				}
			}
			s.Close()
			if err := s.Err(); err != nil {
				t.Errorf("Err after the end: %v; want nil", err)
			}
		})
	}
}

func TestChunksAreWholeCharactersInOrder(t *testing.T) {
	m := tinyModel(t)
	s, err := m.Generate(t.Context(), "once", &mullama.GenerateOptions{
		MaxTokens: 200, Sampling: random(5), Logprobs: true})
	if err != nil {
		t.Fatal(err)
	}
	tokens, done := 0, false
	for chunk, err := range s.All() {
		if err != nil || done {
			t.Fatalf("chunk after the last, or %v", err)
		}
		if !utf8.ValidString(chunk.Text) || len(chunk.Logprobs) != len(chunk.Tokens) {
			t.Errorf("chunk %+v is no valid text, or lacks log probabilities", chunk)
		}
		if !chunk.Done && (chunk.Stats != nil || chunk.FinishReason != "") {
			t.Errorf("chunk %+v has what only the last has", chunk)
		}
		tokens, done = tokens+len(chunk.Tokens), chunk.Done
	}
	if !done || tokens != 200 {
		t.Errorf("got %d tokens, done %v; want 200, true", tokens, done)
	}
}

// first reads the first text of a stream.
func first(t *testing.T, s *mullama.Stream) {
	t.Helper()
	if chunk, err := s.Next(); err != nil || chunk.Done {
		t.Fatalf("the stream starts with %+v, %v; want text", chunk, err)
	}
}

// rest reads a stream to its end and returns the last chunk.
func rest(t *testing.T, s *mullama.Stream) (last mullama.Chunk, err error) {
	t.Helper()
	within(t, 10*time.Second, "the end of the stream", func() {
		for {
			chunk, e := s.Next()
			if e != nil {
				if !errors.Is(e, io.EOF) {
					err = e
				}
				return
			}
			last = chunk
		}
	})
	return last, err
}

func TestCancelledByContext(t *testing.T) {
	noLeaks(t)
	m := longModel(t, mullama.LoadOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	s := endless(ctx, t, m)
	first(t, s)
	cancel()
	last, err := rest(t, s)
	if err != nil || last.FinishReason != mullama.FinishCancelled || last.Stats == nil {
		t.Errorf("got %+v, %v; want the reason cancelled", last, err)
	}

	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	last, err = rest(t, endless(ctx, t, m))
	if err != nil || last.FinishReason != mullama.FinishCancelled {
		t.Errorf("deadline: got %+v, %v; want the reason cancelled", last, err)
	}
	_, err = m.Generate(ctx, "once", nil)
	wantKind(t, err, mullama.ErrCancelled)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v; want the deadline as its cause", err)
	}
}

func TestCancelledByClose(t *testing.T) {
	noLeaks(t)
	m := longModel(t, mullama.LoadOptions{})
	s := endless(t.Context(), t, m)
	first(t, s)
	s.Close()
	s.Close()
	last, err := rest(t, s)
	if err != nil || last.FinishReason != mullama.FinishCancelled || s.Err() != nil {
		t.Errorf("got %+v, %v, Err %v; want the reason cancelled", last, err, s.Err())
	}
	slotIsFree(t, m)
}

// slotIsFree checks that a model with calls that were given up answers again.
func slotIsFree(t *testing.T, m *mullama.Model) {
	t.Helper()
	within(t, 10*time.Second, "a call after the others were given up", func() {
		for range 2 * m.Slots() {
			generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 2})
		}
	})
}

func TestCancelledByLeavingTheLoop(t *testing.T) {
	noLeaks(t)
	m := longModel(t, mullama.LoadOptions{Slots: 1})
	for chunk, err := range endless(t.Context(), t, m).All() {
		if err != nil || chunk.Done {
			t.Fatalf("got %+v, %v; want text", chunk, err)
		}
		break
	}
	slotIsFree(t, m)

	func() {
		defer func() {
			if p := recover(); p != "enough" {
				t.Errorf("recovered %v; want the panic of the loop", p)
			}
		}()
		for range endless(t.Context(), t, m).All() {
			panic("enough")
		}
	}()
	slotIsFree(t, m)

	stop := errors.New("enough")
	if err := endless(t.Context(), t, m).Each(func(mullama.Chunk) error {
		return stop
	}); !errors.Is(err, stop) {
		t.Errorf("Each returns %v; want the error of its function", err)
	}
	slotIsFree(t, m)
}

func TestChannelThatNobodyReadsEnds(t *testing.T) {
	noLeaks(t)
	m := longModel(t, mullama.LoadOptions{Slots: 1})
	ctx, cancel := context.WithCancel(t.Context())
	s := endless(t.Context(), t, m)
	chunks := s.Channel(ctx)
	<-chunks
	cancel()
	waitClosed(t, chunks)
	slotIsFree(t, m)

	s = endless(t.Context(), t, m)
	chunks = s.Channel(context.Background())
	<-chunks
	s.Close()
	waitClosed(t, chunks)
	slotIsFree(t, m)
}

// waitClosed waits for the end of a channel without a reader, which then has few chunks left.
func waitClosed(t *testing.T, chunks <-chan mullama.Chunk) {
	t.Helper()
	time.Sleep(20 * time.Millisecond)
	within(t, 10*time.Second, "the end of the channel", func() {
		n := 0
		for range chunks {
			n++
		}
		if n > 2 {
			t.Errorf("%d chunks came after the end; want 2 at most", n)
		}
	})
}

func TestChannelEndsWithItsContextWhileTheCallWaits(t *testing.T) {
	noLeaks(t)
	m := longModel(t, mullama.LoadOptions{Slots: 1})
	first(t, endless(t.Context(), t, m)) // takes the slot
	waiting := endless(t.Context(), t, m)
	ctx, cancel := context.WithCancel(t.Context())
	chunks := waiting.Channel(ctx)
	time.Sleep(10 * time.Millisecond)
	cancel()
	within(t, 5*time.Second, "the end of a channel whose call waits", func() {
		for chunk := range chunks {
			if chunk.FinishReason != mullama.FinishCancelled {
				t.Errorf("got %+v; want the reason cancelled or nothing", chunk)
			}
		}
	})
	if err := waiting.Err(); err != nil {
		wantKind(t, err, mullama.ErrCancelled)
	}
}

func TestSlowReaderDelaysNobody(t *testing.T) {
	m := longModel(t, mullama.LoadOptions{})
	sampling := random(2)
	sampling.IgnoreEOS = true
	slow, err := m.Generate(t.Context(), "once", &mullama.GenerateOptions{
		MaxTokens: 2000, Sampling: sampling})
	if err != nil {
		t.Fatal(err)
	}
	first(t, slow)
	slotIsFree(t, m)
	reads := 0
	got := mullama.Chunk{}
	for chunk, err := range slow.All() { // all that waited, in few chunks
		if err != nil {
			t.Fatal(err)
		}
		got = chunk
		reads++
	}
	if got.FinishReason != mullama.FinishLength || got.Stats.GeneratedTokens != 2000 {
		t.Errorf("the last chunk is %+v; want 2000 tokens, length", got)
	}
	if reads > 1999 {
		t.Errorf("the reader came late and got %d chunks; want them joined", reads)
	}
}

func TestModelCloseEndsItsStreams(t *testing.T) {
	noLeaks(t)
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{Context: 1 << 17})
	get := func() *mullama.Model {
		return load(t, rt, path, mullama.LoadOptions{ContextSize: 1 << 17, Slots: 2})
	}
	closed, other := get(), get() // two handles of one model
	kept := endless(t.Context(), t, other)
	first(t, kept)
	var streams []*mullama.Stream
	for range 5 { // more than slots: some wait
		streams = append(streams, endless(t.Context(), t, closed))
	}
	channel := endless(t.Context(), t, closed).Channel(t.Context())
	within(t, 10*time.Second, "Close", func() { closed.Close() })
	for i, s := range streams {
		last, err := rest(t, s)
		if err == nil && last.FinishReason != mullama.FinishCancelled {
			t.Errorf("stream %d ends with %+v; want the reason cancelled", i, last)
		}
		if err != nil {
			wantKind(t, err, mullama.ErrClosed)
		}
	}
	within(t, 10*time.Second, "the channel's end", func() {
		for range channel {
			continue
		}
	})
	first(t, kept) // the other handle's stream goes on
	other.Close()
	if _, err := rest(t, kept); err != nil {
		wantKind(t, err, mullama.ErrClosed)
	}
}

func TestForgottenStreamsGiveTheirSlotsBack(t *testing.T) {
	noLeaks(t)
	m := longModel(t, mullama.LoadOptions{Slots: 2})
	for range m.Slots() {
		s, err := m.Generate(t.Context(), "once", &mullama.GenerateOptions{Sampling: greedy()})
		if err != nil {
			t.Fatal(err)
		}
		first(t, s) // and then neither read nor closed
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // collects garbage while the calls below wait for a slot
		for ctx.Err() == nil {
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
		}
	}()
	slotIsFree(t, m)
}

func TestManyStreamsEndInManyWays(t *testing.T) {
	noLeaks(t)
	m := longModel(t, mullama.LoadOptions{Slots: 4})
	var users sync.WaitGroup
	for i := range 32 {
		users.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := m.Generate(ctx, "once", &mullama.GenerateOptions{
				MaxTokens: 20 + i, Sampling: random(uint32(i))})
			if err != nil {
				t.Error(err)
				return
			}
			switch i % 4 {
			case 0:
				_, err = s.Collect()
			case 1:
				cancel()
				_, err = s.Collect()
			case 2:
				go s.Close()
				_, err = s.Collect()
			case 3:
				for range s.Channel(ctx) {
					break
				}
			}
			if err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	within(t, time.Minute, "32 calls", users.Wait)
	slotIsFree(t, m)
}
