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
	if _, err := m.Embed(t.Context(), long); err == nil {
		t.Error("a text that is too long was embedded")
	}
	_, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{"a"},
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
