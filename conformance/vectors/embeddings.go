package vectors

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// Embedded is what a runner got of one text.
type Embedded struct {
	Rows      [][]float32
	Tokens    int
	Truncated bool
	Error     string // the name of its status, if there is one
}

// CheckEmbeddings says what is wrong with the embeddings of the texts of a case.
func (c *Case) CheckEmbeddings(got []Embedded) error {
	var tokens []int
	var truncated []bool
	var failed []string
	for i, e := range got {
		tokens = append(tokens, e.Tokens)
		truncated = append(truncated, e.Truncated)
		failed = append(failed, e.Error)
		if i < len(c.WantEmbeddings) && len(got) == len(c.WantEmbeddings) {
			if err := checkRows(e.Rows, c.WantEmbeddings[i]); err != nil {
				return fmt.Errorf("text %d: %w", i, err)
			}
		}
	}
	switch {
	case c.WantEmbeddings != nil && len(got) != len(c.WantEmbeddings):
		return fmt.Errorf("there are %d embeddings, want %d", len(got), len(c.WantEmbeddings))
	case c.WantTokens != nil && !reflect.DeepEqual(tokens, c.WantTokens):
		return fmt.Errorf("the texts have %v tokens, want %v", tokens, c.WantTokens)
	case c.WantTruncated != nil && !reflect.DeepEqual(truncated, c.WantTruncated):
		return fmt.Errorf("texts are cut: %v, want %v", truncated, c.WantTruncated)
	case c.WantErrors != nil && !reflect.DeepEqual(failed, c.WantErrors):
		return fmt.Errorf("the errors of texts are %q, want %q", failed, c.WantErrors)
	}
	return nil
}

func checkRows(got, want [][]float32) error {
	if len(got) != len(want) {
		return fmt.Errorf("there are %d rows, want %d", len(got), len(want))
	}
	for i := range got {
		if len(got[i]) != len(want[i]) {
			return fmt.Errorf("row %d has %d numbers, want %d", i, len(got[i]), len(want[i]))
		}
		var product, mine, theirs float64
		for j, x := range want[i] {
			product += float64(got[i][j]) * float64(x)
			mine += float64(got[i][j]) * float64(got[i][j])
			theirs += float64(x) * float64(x)
		}
		mine, theirs = math.Sqrt(mine), math.Sqrt(theirs)
		cosine := product / (mine * theirs)
		if !(cosine >= NearCosine) || math.Abs(mine/theirs-1) > NearLength {
			return fmt.Errorf("row %d has the cosine %.6f and the length %g, want %g", i, cosine,
				mine, theirs)
		}
	}
	return nil
}

// CheckScores says what is wrong with the scores of documents, the best first.
func (c *Case) CheckScores(got []Score, method string) error {
	if len(got) != len(c.WantScores) || c.WantMethod != "" && method != c.WantMethod {
		return fmt.Errorf("there are %d scores by %q, want %d by %q", len(got), method,
			len(c.WantScores), c.WantMethod)
	}
	for i, want := range c.WantScores {
		if got[i].Index != want.Index ||
			!(math.Abs(got[i].Score-want.Score) <= NearScore*max(1, math.Abs(want.Score))) {
			return fmt.Errorf("place %d has %+v, want %+v", i, got[i], want)
		}
	}
	return nil
}

// CheckFound says what is wrong with what a search of an index found, and with what is in it, as
// JSON.
func (c *Case) CheckFound(got []Found, info []byte) error {
	if len(got) != len(c.WantFound) {
		return fmt.Errorf("there are %d documents, want %d", len(got), len(c.WantFound))
	}
	for i, want := range c.WantFound {
		if got[i].ID != want.ID ||
			!(math.Abs(got[i].Score-want.Score) <= NearScore*max(1, math.Abs(want.Score))) {
			return fmt.Errorf("place %d has %+v, want %+v", i, got[i], want)
		}
	}
	var fields map[string]any
	if err := json.Unmarshal(info, &fields); err != nil {
		return err
	}
	for name, want := range c.WantInfo {
		if !reflect.DeepEqual(fields[name], want) {
			return fmt.Errorf("%s of the index is %v, want %v", name, fields[name], want)
		}
	}
	return nil
}
