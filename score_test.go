package mullama_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

func TestScoresAreThoseOfTheTokensOfBothTexts(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	query, docs := "bread in the oven", []string{"The budget passed.", "bread in the oven", "Bread"}
	scored, err := m.Score(t.Context(), &mullama.ScoreRequest{Query: query, Documents: docs})
	if err != nil || scored.Err() != nil {
		t.Fatal(err, scored.Err())
	}
	if best := scored.Best()[0]; best != 1 || scored.Method != mullama.RankedByTokens {
		t.Errorf("%q is the best: %+v", docs[best], scored)
	}
	rows, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: append(docs, query),
		EmbedOptions: mullama.EmbedOptions{Pooling: "none"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range docs {
		want, err := mullama.MaxSim(rows.Embeddings[len(docs)].Rows, rows.Embeddings[i].Rows)
		if err != nil || math.Abs(scored.Scores[i].Score-float64(want)) > 0.02 {
			t.Errorf("%q: %v, its rows have %v, %v", docs[i], scored.Scores[i].Score, want, err)
		}
	}
}

func TestAQueryThatCannotBeScoredIsAnError(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	_, err := m.Score(t.Context(), &mullama.ScoreRequest{
		Query: strings.Repeat("long ", 600), Documents: []string{"a"}})
	if !errors.Is(err, mullama.ErrContextFull) || !strings.Contains(err.Error(), "the query") {
		t.Errorf("%v", err)
	}
}
