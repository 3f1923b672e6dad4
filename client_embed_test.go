package mullama_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

// daemonNamed returns a model of the daemon by its name in testmodels.
func daemonNamed(t *testing.T, name string) *mullama.Model {
	t.Helper()
	path := testmodels.Path(t, name)
	client := daemonClient(t)
	d, err := daemonOnce()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Import(path, name); err != nil {
		t.Fatal(err)
	}
	m, err := client.Load(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestADaemonEmbedsAsThisProcessDoes(t *testing.T) {
	far, near := daemonNamed(t, "minilm-q8"), loadNamed(t, "minilm-q8")
	request := &mullama.EmbedRequest{Texts: []string{"one", "and another"},
		Tokens:       [][]mullama.Token{{101, 2028, 102}},
		EmbedOptions: mullama.EmbedOptions{Dimensions: 200, Prefix: "p "}}
	a, b := vectors(t, far, request), vectors(t, near, request)
	if len(a) != 3 || len(a[0]) != 200 {
		t.Fatalf("%d rows", len(a))
	}
	for i := range a {
		if got := dot(a[i], b[i]); got < 0.999 {
			t.Errorf("row %d has similarity %.5f", i, got)
		}
	}
	n := 0
	texts := slices.Values(slices.Repeat([]string{"one"}, 300))
	for e, err := range far.EmbedStream(t.Context(), texts, nil) {
		if err != nil || len(e.Vector) != 384 || e.Tokens != 3 {
			t.Fatalf("embedding %d: %v, %d numbers, %d tokens", n, err, len(e.Vector), e.Tokens)
		}
		n++
	}
	if n != 300 {
		t.Errorf("%d embeddings, want 300", n)
	}
}

func TestADaemonTellsWhyItDoesNotEmbed(t *testing.T) {
	m := daemonNamed(t, "minilm-q8")
	long := &mullama.EmbedRequest{Texts: []string{strings.Repeat("a long text ", 1000)}}
	long.Texts = append(long.Texts, "a")
	result, err := m.Embed(t.Context(), long)
	if err != nil || !errors.Is(result.Embeddings[0].Err, mullama.ErrContextFull) ||
		result.Embeddings[1].Err != nil || len(result.Embeddings[1].Vector) != 384 {
		t.Errorf("a text that is too long beside another: %v, %+v", err, result)
	}
	_, err = m.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{"a"},
		EmbedOptions: mullama.EmbedOptions{Pooling: "max"}})
	if !errors.Is(err, mullama.ErrInvalidOption) {
		t.Errorf("a pooling that there is not: %v", err)
	}
}

func TestADaemonRanksAsThisProcessDoes(t *testing.T) {
	request := &mullama.RerankRequest{Query: "which?", Documents: []string{"one", "two", "a third"}}
	far, err := daemonNamed(t, "minilm-rank").Rerank(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	near, err := loadNamed(t, "minilm-rank").Rerank(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	for i := range near.Scores {
		if math.Abs(far.Scores[i].Score-near.Scores[i].Score) > 1e-3 {
			t.Errorf("scores %+v, want %+v", far.Scores, near.Scores)
		}
	}
	if far.Method != mullama.RankedByHead || far.Tokens != near.Tokens {
		t.Errorf("got %+v, want %+v", far, near)
	}
}

func TestADaemonTakesAnyNumberOfTexts(t *testing.T) {
	m := daemonNamed(t, "minilm-q8")
	const n = 4100 // a request has 4096 at most
	texts := slices.Repeat([]string{"a"}, n)
	texts[n-1] = "another"
	result, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: texts})
	if err != nil || len(result.Embeddings) != n || result.Tokens != 3*n {
		t.Fatalf("%+v, %v", result, err)
	}
	first, last := result.Embeddings[0].Vector, result.Embeddings[n-1].Vector
	if dot(first, result.Embeddings[n-2].Vector) < 0.999 || dot(first, last) > 0.999 {
		t.Error("the embeddings are not in the order of their texts")
	}
	scored, err := m.Score(t.Context(), &mullama.ScoreRequest{Query: "another", Documents: texts})
	if err != nil || len(scored.Scores) != n || scored.Best()[0] != n-1 {
		t.Errorf("%d scores, %v", len(scored.Scores), err)
	}
}

func TestADaemonTellsKindsOfErrorsOfRanking(t *testing.T) {
	m := daemonNamed(t, "minilm-q8")
	_, err := m.Rerank(t.Context(), &mullama.RerankRequest{Query: "a", Documents: []string{"b"}})
	if !errors.Is(err, mullama.ErrUnsupported) {
		t.Errorf("a model that does not rank: %v", err)
	}
	for _, n := range []int{-1, 385} {
		_, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{"a"},
			EmbedOptions: mullama.EmbedOptions{Dimensions: n}})
		if !errors.Is(err, mullama.ErrInvalidOption) || !strings.Contains(err.Error(), "384") {
			t.Errorf("%d dimensions: %v", n, err)
		}
	}
}

// The options of a load go with every kind of request, so that the daemon does not load again.
func TestADaemonRanksInTheContextThatWasAskedFor(t *testing.T) {
	daemonNamed(t, "minilm-rank")
	const size = 48
	m, err := daemonClient(t).Load(t.Context(), "minilm-rank",
		&mullama.LoadOptions{ContextSize: size})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	long := []string{strings.Repeat("a long text ", 100)}
	ranked, err := m.Rerank(t.Context(), &mullama.RerankRequest{Query: "q", Documents: long})
	if err != nil {
		t.Fatal(err)
	}
	scored, err := m.Score(t.Context(), &mullama.ScoreRequest{Query: "q", Documents: long})
	if err != nil {
		t.Fatal(err)
	}
	const query = 3 // with the tokens around it
	if ranked.Tokens > size || ranked.Tokens < size/2 || scored.Tokens != size+query {
		t.Errorf("%d tokens were ranked, and %d scored", ranked.Tokens, scored.Tokens)
	}
}

func TestADaemonTellsWhichTextsItCut(t *testing.T) {
	m := daemonNamed(t, "minilm-q8")
	result, err := m.Embed(t.Context(), &mullama.EmbedRequest{
		Texts:        []string{"a", strings.Repeat("a long text ", 1000), ""},
		EmbedOptions: mullama.EmbedOptions{Truncate: true}})
	if err != nil || result.Err() != nil {
		t.Fatal(err, result.Err())
	}
	var cut []bool
	var tokens []int
	for _, e := range result.Embeddings {
		cut, tokens = append(cut, e.Cut), append(tokens, e.Tokens)
	}
	if !slices.Equal(cut, []bool{false, true, false}) || !slices.Equal(tokens, []int{3, 512, 2}) {
		t.Errorf("cut %v, tokens %v", cut, tokens)
	}
	alone, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{""}})
	if err != nil || alone.Err() != nil || len(alone.Embeddings[0].Vector) != 384 {
		t.Errorf("an empty text alone: %+v, %v", alone, err)
	}
}
