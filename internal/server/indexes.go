package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/mullama/mullama"
)

// indexRoutes are those of the indexes that documents are kept in for late interaction.
func (s *Server) indexRoutes() []route {
	return []route{
		{"GET /v1/indexes", openAI, s.listIndexes},
		{"POST /v1/indexes", openAI, s.ofIndex(s.createIndex)},
		{"GET /v1/indexes/{index}", openAI, s.ofIndex(s.showIndex)},
		{"DELETE /v1/indexes/{index}", openAI, s.ofIndex(s.deleteIndex)},
		{"POST /v1/indexes/{index}/documents", openAI, s.ofIndex(s.addToIndex)},
		{"POST /v1/indexes/{index}/search", openAI, s.ofIndex(s.searchIndex)},
		{"POST /v1/indexes/{index}/verify", openAI, s.ofIndex(s.verifyIndex)},
	}
}

// ofIndex keeps the folder of the indexes out of errors, and has a damaged index read anew by the
// next request: it may have been mended.
func (s *Server) ofIndex(handle handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := handle(w, r)
		if errors.Is(err, mullama.ErrStore) {
			s.indexes.reread(r.PathValue("index"))
		}
		return s.indexes.hidden(err)
	}
}

// createIndexRequest makes an index for the vectors of a model, or for vectors of so many numbers.
type createIndexRequest struct {
	Name       string `json:"name"`
	Model      string `json:"model,omitempty"`
	Dimensions int    `json:"dimensions,omitempty"`
	Vectors    string `json:"vectors,omitempty"`
}

// indexInfo describes an index.
type indexInfo struct {
	Object string `json:"object"`
	Name   string `json:"name"`
	mullama.IndexInfo
	// Error says why an index in a list cannot be used.
	Error string `json:"error,omitempty"`
}

type indexList struct {
	Object string      `json:"object"`
	Data   []indexInfo `json:"data"`
}

// indexDocument has a text, or the vectors of its tokens.
type indexDocument struct {
	ID      string      `json:"id"`
	Text    string      `json:"text,omitempty"`
	Vectors [][]float32 `json:"vectors,omitempty"`
}

type addToIndexRequest struct {
	Model     string          `json:"model,omitempty"`
	Documents []indexDocument `json:"documents"`
}

// searchIndexRequest has a query, or the vectors of its tokens.
type searchIndexRequest struct {
	Model      string      `json:"model,omitempty"`
	Query      string      `json:"query,omitempty"`
	Vectors    [][]float32 `json:"vectors,omitempty"`
	TopN       *int        `json:"top_n,omitempty"`
	Probe      int         `json:"probe,omitempty"`
	Candidates int         `json:"candidates,omitempty"`
}

type indexHit struct {
	ID    string  `json:"id"`
	Score float32 `json:"score"`
}

type searchIndexResponse struct {
	Object  string     `json:"object"`
	Results []indexHit `json:"results"`
}

// listIndexes answers GET /v1/indexes. An index that cannot be used is in the list, with the
// reason.
func (s *Server) listIndexes(w http.ResponseWriter, _ *http.Request) error {
	names, err := s.indexes.names()
	if err != nil {
		return err
	}
	list := indexList{Object: "list", Data: []indexInfo{}}
	for _, name := range names {
		info, err := s.describeIndex(name)
		if err != nil {
			f := toFailure(s.indexes.hidden(err))
			if f.status == http.StatusNotFound { // it went just now
				continue
			}
			const unknown = -1
			info = &indexInfo{Object: "index", Name: name, Error: f.message,
				IndexInfo: mullama.IndexInfo{Vectors: unknown}}
		}
		list.Data = append(list.Data, *info)
	}
	return encode(w, list)
}

func (s *Server) describeIndex(name string) (*indexInfo, error) {
	path, err := s.indexes.existing(name)
	if err != nil {
		return nil, err
	}
	i, err := mullama.InspectIndex(path)
	if err != nil {
		return nil, err
	}
	return &indexInfo{Object: "index", Name: name, IndexInfo: i}, nil
}

func (s *Server) answerIndex(w http.ResponseWriter, name string) error {
	info, err := s.describeIndex(name)
	if err != nil {
		return err
	}
	return encode(w, info)
}

// createIndex answers POST /v1/indexes.
func (s *Server) createIndex(w http.ResponseWriter, r *http.Request) error {
	var req createIndexRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	path, err := s.indexes.path(req.Name)
	if err != nil {
		return err
	}
	kind, err := mullama.ParseVectorKind(firstOf(req.Vectors, mullama.VectorsF16.String()))
	if err != nil {
		return badField("vectors", "%s", err)
	}
	if _, err := os.Lstat(path); err == nil {
		return refuse(http.StatusConflict, "there is an index %s already", req.Name)
	}
	o := mullama.IndexOptions{Dim: req.Dimensions, Vectors: kind}
	if req.Model != "" {
		rows, label, err := s.tokenRows(r.Context(), req.Model, "query", []string{"a"})
		if err != nil {
			return err
		}
		if n := len(rows[0][0]); o.Dim != 0 && o.Dim != n {
			return badField("dimensions", "dimensions are %d; this model has %d", o.Dim, n)
		}
		o.Dim, o.Model = len(rows[0][0]), label
	}
	if o.Dim < 1 {
		return badField("model", "name the model of the vectors, or say how many dimensions they "+
			"have")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	x, err := mullama.OpenIndex(path, o)
	if err == nil {
		err = x.Close()
	}
	if err != nil {
		return err
	}
	return s.answerIndex(w, req.Name)
}

// tokenRows embeds texts token by token, and says what the vectors are those of.
func (s *Server) tokenRows(
	ctx context.Context, model, task string, texts []string,
) (rows [][][]float32, label string, err error) {
	lease, _, err := s.openEmbedding(ctx, order{
		model: model, base: mullama.DefaultSampling(), any: true})
	if err != nil {
		return nil, "", err
	}
	defer lease.Release()
	result, err := embedTexts(ctx, lease.Model, &mullama.EmbedRequest{
		Texts: texts, EmbedOptions: mullama.EmbedOptions{Pooling: "none", Task: task,
			Truncate: task == "document"}})
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return nil, "", err
	}
	for _, e := range result.Embeddings {
		rows = append(rows, e.Rows)
	}
	return rows, mullama.ModelLabel(lease.Model.Info()), nil
}

// ofModel refuses to mix the vectors of different models.
func ofModel(x *mullama.Index, label string) error {
	info, err := x.Info()
	if err == nil && label != "" && info.Model != "" && info.Model != label {
		err = badField("model", "the index has vectors of %s, not of %s", info.Model, label)
	}
	return err
}

// showIndex answers GET /v1/indexes/{index}.
func (s *Server) showIndex(w http.ResponseWriter, r *http.Request) error {
	return s.answerIndex(w, r.PathValue("index"))
}

// deleteIndex answers DELETE /v1/indexes/{index}.
func (s *Server) deleteIndex(w http.ResponseWriter, r *http.Request) error {
	if err := s.indexes.delete(r.PathValue("index")); err != nil {
		return err
	}
	return writeJSON(w, []byte(`{"deleted":true}`))
}

// addToIndex answers POST /v1/indexes/{index}/documents: all documents are added, or none.
func (s *Server) addToIndex(w http.ResponseWriter, r *http.Request) error {
	var req addToIndexRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := checkDocuments(req.Documents); err != nil {
		return err
	}
	if err := checkCount("documents", len(req.Documents)); err != nil {
		return err
	}
	name := r.PathValue("index")
	x, release, err := s.indexes.use(name)
	if err != nil {
		return err
	}
	defer release()
	err = addToIndex(r.Context(), x, req.Documents, s.rowsOf(req.Model))
	if err != nil {
		return err
	}
	return s.answerIndex(w, name)
}

func checkDocuments(documents []indexDocument) error {
	if len(documents) == 0 {
		return badField("documents", "documents must be a list of at least one")
	}
	return nil
}

// TokenRows embeds texts token by token, and says what the vectors are those of. The task is
// "query" or "document".
type TokenRows func(
	ctx context.Context, task string, texts []string) (rows [][][]float32, label string, err error)

// rowsOf has a model of the daemon embed.
func (s *Server) rowsOf(model string) TokenRows {
	return func(
		ctx context.Context, task string, texts []string,
	) (rows [][][]float32, label string, err error) {
		return s.tokenRows(ctx, model, task, texts)
	}
}

// addToIndex adds documents, of which those that have texts are embedded.
func addToIndex(
	ctx context.Context, x *mullama.Index, documents []indexDocument, embed TokenRows,
) error {
	docs, label, err := vectorsOf(ctx, documents, embed)
	if err != nil {
		return err
	}
	if err := ofModel(x, label); err != nil {
		return err
	}
	return x.Add(ctx, docs)
}

// vectorsOf embeds the documents that have texts.
func vectorsOf(
	ctx context.Context, documents []indexDocument, embed TokenRows,
) (docs []mullama.IndexDocument, label string, err error) {
	docs = make([]mullama.IndexDocument, len(documents))
	var texts []string
	var at []int
	for i, d := range documents {
		docs[i] = mullama.IndexDocument{ID: d.ID, Vectors: d.Vectors}
		if (d.Text == "") == (len(d.Vectors) == 0) {
			return nil, "", badField("documents", "document %d must have a text or vectors, "+
				"and not both", i+1)
		}
		if d.Text != "" {
			texts, at = append(texts, d.Text), append(at, i)
		}
	}
	if len(texts) == 0 {
		return docs, "", nil
	}
	rows, label, err := embed(ctx, "document", texts)
	if err != nil {
		return nil, "", err
	}
	for i, vectors := range rows {
		docs[at[i]].Vectors = vectors
	}
	return docs, label, nil
}

// searchIndex answers POST /v1/indexes/{index}/search.
func (s *Server) searchIndex(w http.ResponseWriter, r *http.Request) error {
	var req searchIndexRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	x, release, err := s.indexes.use(r.PathValue("index"))
	if err != nil {
		return err
	}
	defer release()
	answer, err := req.answer(r.Context(), x, s.rowsOf(req.Model))
	if err != nil {
		return err
	}
	return encode(w, answer)
}

func (req *searchIndexRequest) top() int {
	if req.TopN == nil {
		return 10
	}
	return *req.TopN
}

func (req *searchIndexRequest) check() error {
	switch {
	case req.top() < 1:
		return badField("top_n", "top_n is %d; it must be at least 1", req.top())
	case (req.Query == "") == (len(req.Vectors) == 0):
		return badField("query", "there must be a query or vectors, and not both")
	}
	return nil
}

func (req *searchIndexRequest) answer(
	ctx context.Context, x *mullama.Index, embed TokenRows,
) (*searchIndexResponse, error) {
	vectors := [][][]float32{req.Vectors}
	if req.Query != "" {
		var label string
		var err error
		vectors, label, err = embed(ctx, "query", []string{req.Query})
		if err != nil {
			return nil, fmt.Errorf("the query: %w", err)
		}
		if err := ofModel(x, label); err != nil {
			return nil, err
		}
	}
	found, err := x.Search(ctx, vectors, req.top(),
		mullama.SearchOptions{Probe: req.Probe, Candidates: req.Candidates})
	if err != nil {
		return nil, err
	}
	answer := &searchIndexResponse{Object: "list", Results: []indexHit{}}
	for _, hit := range found[0] {
		answer.Results = append(answer.Results, indexHit(hit))
	}
	return answer, nil
}

// verifyIndex answers POST /v1/indexes/{index}/verify. It reads the file anew.
func (s *Server) verifyIndex(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("index")
	s.indexes.reread(name)
	x, release, err := s.indexes.use(name)
	if err != nil {
		return err
	}
	defer release()
	if err := x.Verify(); err != nil {
		return err
	}
	return writeJSON(w, []byte(`{"whole":true}`))
}
