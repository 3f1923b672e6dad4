package conformance

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/conformance/vectors"
)

// index fills an index, opens it anew, and compares what a search finds.
func (v *vector) index(t *testing.T, m *mullama.Model) error {
	o := struct {
		Dimensions int    `json:"dimensions"`
		Vectors    string `json:"vectors"`
	}{Vectors: "f16"}
	strictly(t, v.Options, &o)
	if o.Dimensions == 0 && !v.Has("no_model") {
		o.Dimensions = m.Info().EmbeddingLength
	}
	kind, err := mullama.ParseVectorKind(o.Vectors)
	if err != nil {
		return err
	}
	path := v.Model
	if path == "" {
		path = filepath.Join(t.TempDir(), "docs.index")
	}
	x, err := mullama.OpenIndex(path, mullama.IndexOptions{Dim: o.Dimensions, Vectors: kind})
	if err != nil {
		return err
	}
	err = v.fill(t, x, m)
	if closed := x.Close(); closed != nil {
		t.Error(closed)
	}
	if err != nil {
		return err
	}
	if x, err = mullama.OpenIndex(path, mullama.IndexOptions{}); err != nil {
		return err
	}
	defer x.Close()
	return v.search(t, x, m)
}

func (v *vector) fill(t *testing.T, x *mullama.Index, m *mullama.Model) error {
	for _, request := range v.Add {
		var q struct {
			Documents []struct {
				ID      string      `json:"id"`
				Text    string      `json:"text"`
				Vectors [][]float32 `json:"vectors"`
			} `json:"documents"`
		}
		strictly(t, request, &q)
		var docs []mullama.IndexDocument
		for _, d := range q.Documents {
			if d.Text != "" {
				d.Vectors = tokenVectors(t, m, "document", []string{d.Text})[0]
			}
			docs = append(docs, mullama.IndexDocument{ID: d.ID, Vectors: d.Vectors})
		}
		if err := x.Add(t.Context(), docs); err != nil {
			return err
		}
	}
	if v.Train == nil {
		return nil
	}
	var o struct {
		Groups int `json:"groups"`
	}
	strictly(t, v.Train, &o)
	return x.Train(t.Context(), o.Groups)
}

func (v *vector) search(t *testing.T, x *mullama.Index, m *mullama.Model) error {
	q := struct {
		Query      string      `json:"query"`
		Vectors    [][]float32 `json:"vectors"`
		TopN       int         `json:"top_n"`
		Probe      int         `json:"probe"`
		Candidates int         `json:"candidates"`
	}{TopN: 10}
	strictly(t, v.Request, &q)
	if q.Query != "" {
		made, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{q.Query},
			EmbedOptions: mullama.EmbedOptions{Pooling: "none", Task: "query"}})
		if err != nil {
			return err
		}
		if err := made.Err(); err != nil {
			return err
		}
		q.Vectors = made.Embeddings[0].Rows
	}
	found, err := x.Search(t.Context(), [][][]float32{q.Vectors}, q.TopN,
		mullama.SearchOptions{Probe: q.Probe, Candidates: q.Candidates})
	if err != nil {
		return err
	}
	var got []vectors.Found
	for _, hit := range found[0] {
		got = append(got, vectors.Found{ID: hit.ID, Score: float64(hit.Score)})
	}
	info, err := x.Info()
	if err != nil {
		return err
	}
	data, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CheckFound(got, data); err != nil {
		t.Error(err)
	}
	return x.Verify()
}
