package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// rerankRoutes are the paths under which clients of Cohere, Jina and llama-server look for it.
func (s *Server) rerankRoutes() []route {
	return []route{
		{"POST /v1/rerank", openAI, s.rerank},
		{"POST /v1/reranking", openAI, s.rerank},
		{"POST /rerank", native, s.rerank},
		{"POST /reranking", native, s.rerank},
		{"POST /v1/score", openAI, s.score},
	}
}

// rerank answers POST /v1/rerank, in the form of Cohere and Jina; or, where the documents are
// called texts, in that of Text Embeddings Inference, which is a list alone.
func (s *Server) rerank(w http.ResponseWriter, r *http.Request) error {
	return s.ranking(w, r, byRerank)
}

// score answers POST /v1/score, in the same form: documents by late interaction.
func (s *Server) score(w http.ResponseWriter, r *http.Request) error {
	return s.ranking(w, r, byScore)
}

// scorer is a way to rank.
type scorer func(context.Context, *mullama.Model, *api.RerankRequest, []string) (
	*mullama.RerankResult, error)

func byRerank(
	ctx context.Context, m *mullama.Model, req *api.RerankRequest, documents []string,
) (*mullama.RerankResult, error) {
	return m.Rerank(ctx, &mullama.RerankRequest{
		Query: req.Query, Documents: documents, Raw: req.RawScores, Instruction: req.Instruction,
	})
}

func byScore(
	ctx context.Context, m *mullama.Model, req *api.RerankRequest, documents []string,
) (*mullama.RerankResult, error) {
	return m.Score(ctx, &mullama.ScoreRequest{
		Query: req.Query, Documents: documents, QueryLength: req.QueryLength,
		DocumentLength: req.DocumentLength,
	})
}

func (s *Server) ranking(w http.ResponseWriter, r *http.Request, by scorer) error {
	var req api.RerankRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	documents, err := readDocuments(&req)
	if err != nil {
		return err
	}
	result, name, err := s.rank(r.Context(), &req, documents, by)
	if err != nil {
		return err
	}
	if len(req.Documents) == 0 {
		return encode(w, teiResults(&req, result, bestOf(&req, result)))
	}
	return encode(w, rerankAnswer(&req, name, documents, result))
}

// bestOf are the numbers of the documents that a request asks for, the best first.
func bestOf(req *api.RerankRequest, result *mullama.RerankResult) []int {
	best := result.Best()
	if req.TopN != nil {
		best = best[:min(len(best), *req.TopN)]
	}
	return best
}

func rerankAnswer(
	req *api.RerankRequest, name string, documents []string, result *mullama.RerankResult,
) *api.RerankResponse {
	answer := &api.RerankResponse{
		Object: "list", Model: name, Method: result.Method, Results: []api.RerankResult{},
	}
	answer.Usage.PromptTokens, answer.Usage.TotalTokens = result.Tokens, result.Tokens
	for _, i := range bestOf(req, result) {
		scored := api.RerankResult{Index: i, Score: result.Scores[i].Score}
		if req.ReturnDocuments {
			scored.Document = &api.RerankDocument{Text: documents[i]}
		}
		answer.Results = append(answer.Results, scored)
	}
	return answer
}

// rank has the model of a request rank documents.
func (s *Server) rank(
	ctx context.Context, req *api.RerankRequest, documents []string, by scorer,
) (*mullama.RerankResult, string, error) {
	lease, name, err := s.openEmbedding(ctx, order{
		model: req.Model, keepAlive: req.KeepAlive, base: mullama.DefaultSampling(), any: true,
		options: []map[string]any{req.Options},
	})
	if err != nil {
		return nil, "", err
	}
	defer lease.Release()
	result, err := by(ctx, lease.Model, req, documents)
	if err != nil {
		return nil, "", badQuery(err)
	}
	note(ctx, func(n *notes) { n.stats.PromptTokens += result.Tokens })
	return result, name, badInput(documentsField(req), scoreErrors(result))
}

// documentsField is the field that has the documents.
func documentsField(req *api.RerankRequest) string {
	if len(req.Documents) == 0 {
		return "texts"
	}
	return "documents"
}

// readDocuments checks a request and reads its documents, which are texts or objects with one.
func readDocuments(req *api.RerankRequest) ([]string, error) {
	if req.Query == "" {
		return nil, badField("query", "query is required")
	}
	if req.TopN != nil && *req.TopN < 1 {
		return nil, badField("top_n", "top_n is %d; it must be at least 1", *req.TopN)
	}
	if len(req.Documents)+len(req.Texts) == 0 {
		return nil, badField("documents", "documents must be a list of at least one text")
	}
	if err := checkCount("documents", len(req.Documents)+len(req.Texts)); err != nil {
		return nil, err
	}
	if len(req.Documents) == 0 {
		return req.Texts, nil
	}
	documents := make([]string, len(req.Documents))
	for i, raw := range req.Documents {
		if json.Unmarshal(raw, &documents[i]) == nil && string(raw) != "null" {
			continue
		}
		var object struct {
			Text *string `json:"text"`
		}
		if json.Unmarshal(raw, &object) != nil || object.Text == nil {
			return nil, blame(fmt.Sprintf("documents[%d]", i), badRequest(
				"neither a text nor an object with a text"))
		}
		documents[i] = *object.Text
	}
	return documents, nil
}

// teiResult is a document in the form of Text Embeddings Inference.
type teiResult struct {
	Index int     `json:"index"`
	Score float64 `json:"score"`
	Text  *string `json:"text,omitempty"`
}

func teiResults(
	req *api.RerankRequest, result *mullama.RerankResult, best []int,
) []teiResult {
	all := []teiResult{}
	for _, i := range best {
		scored := teiResult{Index: i, Score: result.Scores[i].Score}
		if req.ReturnDocuments {
			scored.Text = &req.Texts[i]
		}
		all = append(all, scored)
	}
	return all
}
