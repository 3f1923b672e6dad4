package mullama_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

// lateRows are the vectors of a text's tokens.
func lateRows(t *testing.T, m *mullama.Model, text string, o mullama.EmbedOptions) [][]float32 {
	t.Helper()
	o.Pooling = "none"
	result, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{text},
		EmbedOptions: o})
	if err != nil || result.Err() != nil {
		t.Fatal(err, result.Err())
	}
	return result.Embeddings[0].Rows
}

func TestAModelForLateInteractionReadsTextsAsItDeclares(t *testing.T) {
	info, err := mullama.Inspect(testmodels.Path(t, "minilm-late"))
	if err != nil {
		t.Fatal(err)
	}
	if late := info.LateInteraction; late == nil || info.Dimensions() != 128 ||
		late.QueryLength != 32 || late.DocumentLength != 180 || late.QueryMarker != 1 ||
		late.DocumentMarker != 2 || late.Expansion != 103 || late.AttendToExpansion ||
		len(late.Skip) != 32 {
		t.Errorf("the file declares %+v", late)
	}
	m := loadNamed(t, "minilm-late")
	long := strings.Repeat("word, ", 300)
	for _, tt := range []struct {
		text string
		o    mullama.EmbedOptions
		want int
	}{
		{"what is a llama?", mullama.EmbedOptions{Task: "query"}, 32},
		{long, mullama.EmbedOptions{Task: "query"}, 32},
		{"it is, they say.", mullama.EmbedOptions{Task: "document"}, 3 + 4},
		{long, mullama.EmbedOptions{Task: "document"}, 3 + 89},
		{"what is a llama?", mullama.EmbedOptions{Task: "query", Length: 12}, 12},
		{long, mullama.EmbedOptions{Task: "document", Length: 23}, 3 + 10},
		{"it is, they say.", mullama.EmbedOptions{}, 2 + 6},
	} {
		rows := lateRows(t, m, tt.text, tt.o)
		if len(rows) != tt.want || len(rows[0]) != 128 {
			t.Errorf("%.20q with %+v has %d vectors of %d numbers, want %d of 128", tt.text, tt.o,
				len(rows), len(rows[0]), tt.want)
		}
	}
}

// What fills a query up must change nothing for the tokens before it.
func TestNoTokenLooksAtWhatFillsAQueryUp(t *testing.T) {
	m := loadNamed(t, "minilm-late")
	short := lateRows(t, m, "a llama", mullama.EmbedOptions{Task: "query", Length: 8})
	long := lateRows(t, m, "a llama", mullama.EmbedOptions{Task: "query"})
	for i, row := range short {
		if near := dot(row, long[i]); near < 0.9999 {
			t.Errorf("vector %d has the cosine %.6f to that of the longer query", i, near)
		}
	}
	if last := dot(long[31], long[30]); last > 0.9999 {
		t.Errorf("all that fills up is alike: %f", last)
	}
}

func TestScoresAreOfTextsAsDeclared(t *testing.T) {
	query, docs := "bread in the oven", []string{"The budget passed.", "Bread, in an oven.", "..."}
	near, far := loadNamed(t, "minilm-late"), daemonNamed(t, "minilm-late")
	if late := far.Info().LateInteraction; late == nil || late.QueryLength != 32 ||
		far.Info().Dimensions() != 128 {
		t.Errorf("the daemon tells %+v", late)
	}
	for name, m := range map[string]*mullama.Model{"here": near, "daemon": far} {
		for _, length := range []int{0, 8} {
			scored, err := m.Score(t.Context(), &mullama.ScoreRequest{Query: query, Documents: docs,
				QueryLength: length})
			if err != nil || scored.Err() != nil {
				t.Fatal(err, scored.Err())
			}
			q := lateRows(t, m, query, mullama.EmbedOptions{Task: "query", Length: length})
			for i, doc := range docs {
				d := lateRows(t, m, doc, mullama.EmbedOptions{Task: "document"})
				want, err := mullama.MaxSim(q, d)
				if err != nil || math.Abs(scored.Scores[i].Score-float64(want)) > 0.02 {
					t.Errorf("%s, %q: %v, its rows have %v, %v", name, doc, scored.Scores[i].Score,
						want, err)
				}
			}
		}
	}
}

func TestLengthsOfTextsAreForModelsThatDeclareThem(t *testing.T) {
	late, other := loadNamed(t, "minilm-late"), loadNamed(t, "minilm-q8")
	for want, ask := range map[string]func() error{
		"is for models for late interaction": func() error {
			_, err := other.Score(t.Context(), &mullama.ScoreRequest{Query: "a",
				Documents: []string{"b"}, QueryLength: 8})
			return err
		},
		"with a task": func() error {
			_, err := late.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{"a"},
				EmbedOptions: mullama.EmbedOptions{Pooling: "none", Length: 8}})
			return err
		},
		"from 1 to 512": func() error {
			_, err := late.Score(t.Context(), &mullama.ScoreRequest{Query: "a",
				Documents: []string{"b"}, DocumentLength: 513})
			return err
		},
		"at least 4": func() error {
			_, err := late.Score(t.Context(), &mullama.ScoreRequest{Query: "a",
				Documents: []string{"b"}, QueryLength: 3})
			return err
		},
	} {
		if err := ask(); !errors.Is(err, mullama.ErrInvalidOption) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestModelsThatDeclareNothingAreNoneForLateInteraction(t *testing.T) {
	info, err := mullama.Inspect(testmodels.Path(t, "minilm-q8"))
	if err != nil || info.LateInteraction != nil || info.Dimensions() != 384 {
		t.Errorf("%+v, %v", info.LateInteraction, err)
	}
	m := loadNamed(t, "minilm-q8")
	asked := lateRows(t, m, "it is, they say.", mullama.EmbedOptions{Task: "query"})
	plain := lateRows(t, m, "it is, they say.", mullama.EmbedOptions{})
	if !reflect.DeepEqual(asked, plain) {
		t.Error("a task changes the rows of a model that declares nothing")
	}
}
