package embedder_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/mullama/mullama/internal/embedder"
)

// script is a model whose rows are the sum of a text's tokens and its length.
type script struct {
	room      int
	perToken  bool
	hold      chan struct{} // Embed waits until it is closed, or for Abort
	mu        sync.Mutex    // guards the rest
	stop      chan struct{} // closed by Abort
	batches   [][]int32     // lengths
	closed    bool
	failsWith error // when a batch has token 666
}

const (
	badToken = 666
	nanToken = 777
)

func (s *script) Embed(tokens, lengths []int32, unseen []bool) ([]float32, int, error) {
	s.mu.Lock()
	s.batches = append(s.batches, slices.Clone(lengths))
	hold, stop := s.hold, s.stop
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-stop:
			return nil, 0, embedder.ErrCancelled
		}
	}
	if s.failsWith != nil && slices.Contains(tokens, badToken) {
		return nil, 0, s.failsWith
	}
	var rows []float32
	spoilt := slices.Contains(tokens, nanToken)
	for _, n := range lengths {
		sum := float32(0)
		for _, token := range tokens[:n] {
			if s.perToken {
				rows = append(rows, float32(token), seen(unseen))
			}
			sum += float32(token)
			unseen = unseen[min(1, len(unseen)):]
		}
		if spoilt { // as masked attention has it, all texts of the batch
			sum = float32(math.NaN())
		}
		tokens = tokens[n:]
		if !s.perToken {
			rows = append(rows, sum, float32(n))
		}
	}
	return rows, 2, nil
}

// seen is what a row says of its token: 1 if others pay attention to it.
func seen(unseen []bool) float32 {
	if len(unseen) > 0 && unseen[0] {
		return 0
	}
	return 1
}

func (s *script) Abort(stop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !stop {
		s.stop = make(chan struct{})
		return
	}
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
}

func (s *script) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// start returns an engine of batches of 8 tokens on a model, whose contexts it lists.
func start(t *testing.T, s *script) (*embedder.Engine, *[]int) {
	t.Helper()
	var made []int
	e := embedder.New(embedder.Config{
		Tokens: 8, Longest: 32, Sequences: 4,
		Make: func(tokens, sequences int) (embedder.Model, error) {
			made = append(made, tokens)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.room, s.stop = tokens, make(chan struct{})
			return s, nil
		},
	})
	t.Cleanup(e.Close)
	return e, &made
}

func items(lengths ...int) []*embedder.Item {
	var all []*embedder.Item
	for i, n := range lengths {
		item := &embedder.Item{Tokens: make([]int32, n)}
		for j := range item.Tokens {
			item.Tokens[j] = int32(i)
		}
		all = append(all, item)
	}
	return all
}

func TestEveryTextGetsItsOwnRow(t *testing.T) {
	e, _ := start(t, &script{})
	all := items(3, 1, 8, 2, 2, 5, 7, 1, 1, 1, 1, 1)
	if err := e.Do(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for i, item := range all {
		want := []float32{float32(i * len(item.Tokens)), float32(len(item.Tokens))}
		if item.Err != nil || !slices.Equal(item.Rows, want) {
			t.Errorf("item %d has %v, %v; want %v", i, item.Rows, item.Err, want)
		}
	}
}

func TestWithoutPoolingThereIsARowForEachToken(t *testing.T) {
	e, _ := start(t, &script{perToken: true})
	all := items(2, 3)
	if err := e.Do(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if want := []float32{1, 1, 1, 1, 1, 1}; !slices.Equal(all[1].Rows, want) {
		t.Errorf("rows %v, want %v", all[1].Rows, want)
	}
}

func TestBatchesAreFullButNotTooFull(t *testing.T) {
	s := &script{}
	e, _ := start(t, s)
	if err := e.Do(t.Context(), items(3, 1, 8, 2, 2, 5, 7, 1, 1, 1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	for _, lengths := range s.batches {
		tokens := int32(0)
		for _, n := range lengths {
			tokens += n
		}
		if tokens > 8 || len(lengths) > 4 {
			t.Errorf("a batch has the lengths %v", lengths)
		}
	}
	if len(s.batches) > 6 {
		t.Errorf("%d batches for 33 tokens, want at most 6: %v", len(s.batches), s.batches)
	}
}

func TestALongTextGetsALargerContext(t *testing.T) {
	s := &script{}
	e, made := start(t, s)
	for _, n := range []int{4, 20, 32, 5} {
		if err := e.Do(t.Context(), items(n)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int{8, 32}; !slices.Equal(*made, want) {
		t.Errorf("contexts of %v tokens were made, want %v", *made, want)
	}
}

func TestWhatIsWrongWithOneTextIsInThatText(t *testing.T) {
	failure := errors.New("that token again")
	e, _ := start(t, &script{failsWith: failure})
	all := items(1, 0, 2, 33, 1, 1)
	all[0].Tokens[0], all[4].Tokens[0] = badToken, nanToken
	if err := e.Do(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(all[0].Err, failure) || !errors.Is(all[4].Err, embedder.ErrNotFinite) {
		t.Errorf("errors %v and %v", all[0].Err, all[4].Err)
	}
	if all[1].Err == nil || all[3].Err == nil {
		t.Error("an empty text and one that is too long were not refused")
	}
	if all[2].Err != nil || all[5].Err != nil {
		t.Errorf("good texts have errors: %v, %v", all[2].Err, all[5].Err)
	}
}

func TestCallsShareABatch(t *testing.T) {
	s := &script{hold: make(chan struct{})}
	e, _ := start(t, s)
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(func() {
			if err := e.Do(t.Context(), items(2)); err != nil {
				t.Error(err)
			}
		})
	}
	close(s.hold)
	calls.Wait()
	if stats := e.Stats(); stats.Texts != 3 || stats.Tokens != 6 {
		t.Errorf("counted %+v", stats)
	}
}

func TestACallThatIsCancelledStopsItsBatch(t *testing.T) {
	s := &script{hold: make(chan struct{})}
	e, _ := start(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.Do(ctx, items(2, 2, 2, 2, 2, 2)) }()
	for e.Stats().Batches == 0 && len(s.lengths()) == 0 {
		if ctx.Err() != nil {
			break
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	close(s.hold)
	if err := e.Do(t.Context(), items(1)); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func (s *script) lengths() [][]int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batches
}

func TestCloseEndsCallsThatWait(t *testing.T) {
	s := &script{hold: make(chan struct{})}
	e, _ := start(t, s)
	done := make(chan error)
	go func() { done <- e.Do(t.Context(), items(2)) }()
	for len(s.lengths()) == 0 {
		continue
	}
	e.Close()
	if err := <-done; !errors.Is(err, embedder.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if !s.closed {
		t.Error("the context was not closed")
	}
	if err := e.Do(t.Context(), items(2)); !errors.Is(err, embedder.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestAContextThatCannotBeMadeIsToldToEveryText(t *testing.T) {
	failure := errors.New("no memory")
	e := embedder.New(embedder.Config{Tokens: 8, Longest: 8, Sequences: 2,
		Make: func(int, int) (embedder.Model, error) { return nil, failure }})
	defer e.Close()
	all := items(1, 2, 3)
	if err := e.Do(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for _, item := range all {
		if !errors.Is(item.Err, failure) {
			t.Errorf("item has %v", item.Err)
		}
	}
}

func TestTheLastTokensOfATextCanBeUnseen(t *testing.T) {
	model := &script{room: 64, perToken: true}
	e := embedder.New(embedder.Config{Tokens: 64, Longest: 64, Sequences: 8,
		Make: func(int, int) (embedder.Model, error) { return model, nil }})
	defer e.Close()
	items := []*embedder.Item{{Tokens: []int32{1, 2, 3}, Unseen: 2}, {Tokens: []int32{4}}}
	if err := e.Do(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]float32{{1, 1, 2, 0, 3, 0}, {4, 1}} {
		if items[i].Err != nil || !slices.Equal(items[i].Rows, want) {
			t.Errorf("text %d has the rows %v, %v; want %v", i, items[i].Rows, items[i].Err, want)
		}
	}
}
