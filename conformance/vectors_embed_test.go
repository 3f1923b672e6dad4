package conformance

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/conformance/vectors"
	"github.com/mullama/mullama/internal/testmodels"
)

// TestVectorsOfEmbeddingsAreWhatNumPyComputes computes anew what the vectors expect of embeddings,
// scores and ranking. With -update of their values, run embedvectors.py --write.
func TestVectorsOfEmbeddingsAreWhatNumPyComputes(t *testing.T) {
	cmd := exec.Command(numpy(t), "embedvectors.py", testmodels.Path(t, "minilm-rank"),
		vectors.Path(vectorFolder, "minilm"), vectors.Path(vectorFolder, "ranker"))
	cmd.Env = append(os.Environ(), "OPENBLAS_NUM_THREADS=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("embedvectors.py: %v\n%s", err, out)
	}
}

// textsOf reads a text or a list of texts.
func (v *vector) textsOf(t *testing.T, data json.RawMessage) []string {
	var texts textOrTexts
	if len(data) > 0 {
		if err := json.Unmarshal(data, &texts); err != nil {
			t.Fatal(err)
		}
	}
	return texts
}

// embed compares embeddings. What is wrong with one text is an error, unless the case expects it.
func (v *vector) embed(t *testing.T, m *mullama.Model) error {
	q := struct {
		Input      json.RawMessage `json:"input"`
		Pooling    string          `json:"pooling"`
		Normalize  *bool           `json:"normalize"`
		Dimensions int             `json:"dimensions"`
		Truncate   bool            `json:"truncate"`
		Task       string          `json:"task"`
		Prefix     string          `json:"prefix"`
	}{}
	strictly(t, v.Request, &q)
	result, err := m.Embed(t.Context(), &mullama.EmbedRequest{
		Texts: v.textsOf(t, q.Input),
		EmbedOptions: mullama.EmbedOptions{
			Pooling: q.Pooling, Raw: q.Normalize != nil && !*q.Normalize, Truncate: q.Truncate,
			Dimensions: q.Dimensions, Task: q.Task, Prefix: q.Prefix,
		},
	})
	if err != nil {
		return err
	}
	var got []vectors.Embedded
	for _, e := range result.Embeddings {
		one := vectors.Embedded{Rows: e.Rows, Tokens: e.Tokens, Truncated: e.Cut}
		if e.Vector != nil {
			one.Rows = [][]float32{e.Vector}
		}
		if e.Err != nil {
			one.Error = mullama.ErrorName(e.Err)
		}
		got = append(got, one)
	}
	if v.WantErrors == nil && result.Err() != nil {
		return result.Err()
	}
	if err := v.CheckEmbeddings(got); err != nil {
		t.Error(err)
	}
	return nil
}

// rank compares the scores of documents, of which a case may want the best alone.
func (v *vector) rank(t *testing.T, m *mullama.Model) error {
	q := struct {
		Query     string   `json:"query"`
		Documents []string `json:"documents"`
		Raw       bool     `json:"raw_scores"`
		TopN      int      `json:"top_n"`
	}{}
	strictly(t, v.Request, &q)
	var result *mullama.RerankResult
	var err error
	if v.Op == "score" {
		request := &mullama.ScoreRequest{Query: q.Query, Documents: q.Documents}
		result, err = m.Score(t.Context(), request)
	} else {
		result, err = m.Rerank(t.Context(), &mullama.RerankRequest{Query: q.Query,
			Documents: q.Documents, Raw: q.Raw})
	}
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return err
	}
	var got []vectors.Score
	for _, i := range result.Best() {
		got = append(got, vectors.Score{Index: i, Score: result.Scores[i].Score})
	}
	if q.TopN > 0 {
		got = got[:q.TopN]
	}
	if err := v.CheckScores(got, result.Method); err != nil {
		t.Error(err)
	}
	return nil
}
