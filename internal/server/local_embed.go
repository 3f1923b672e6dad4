package server

import (
	"context"
	"encoding/json"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// Embed answers a request of POST /api/embed with a model that is loaded, without HTTP. Its model
// and keep_alive are ignored. Unlike the daemon it takes no empty list of texts and no more
// dimensions than there are, cuts no text unless the request says truncate, and tells what is wrong
// with one text in its embedding.
func Embed(ctx context.Context, m *mullama.Model, body []byte) (*mullama.EmbedResult, error) {
	request, inputs, err := ReadEmbed(body)
	if err != nil {
		return nil, err
	}
	if err := resolve(m, request, inputs); err != nil {
		return nil, err
	}
	return m.Embed(ctx, request)
}

// ReadEmbed reads a request for Embed. What is to be embedded are JSON strings and lists.
func ReadEmbed(body []byte) (*mullama.EmbedRequest, []json.RawMessage, error) {
	var req api.EmbedRequest
	if err := unmarshal(orEmpty(body), &req); err != nil {
		return nil, nil, err
	}
	if err := CheckRequestOptions(req.Options); err != nil {
		return nil, nil, err
	}
	inputs, err := readInputs("input", req.Input)
	if err != nil {
		return nil, nil, err
	}
	if len(inputs) == 0 {
		return nil, nil, badField("input", "input is missing or an empty list; give at least one "+
			"text")
	}
	return &mullama.EmbedRequest{EmbedOptions: mullama.EmbedOptions{
		Pooling: req.Pooling, Raw: req.Normalize != nil && !*req.Normalize,
		Dimensions: req.Dimensions, Truncate: req.Truncate != nil && *req.Truncate,
		Task: req.Task, Length: req.Length, Prefix: req.Prefix,
	}}, inputs, nil
}

// Rerank answers a request of POST /v1/rerank in the same way, as JSON.
func Rerank(ctx context.Context, m *mullama.Model, body []byte) ([]byte, error) {
	return rankWith(ctx, m, body, byRerank)
}

// Score answers a request of POST /v1/score.
func Score(ctx context.Context, m *mullama.Model, body []byte) ([]byte, error) {
	return rankWith(ctx, m, body, byScore)
}

func rankWith(ctx context.Context, m *mullama.Model, body []byte, by scorer) ([]byte, error) {
	req, documents, err := ReadRerank(body)
	if err != nil {
		return nil, err
	}
	result, err := by(ctx, m, req, documents)
	if err == nil {
		err = badInput(documentsField(req), scoreErrors(result))
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(rerankAnswer(req, m.Info().Name, documents, result))
}

// ReadRerank reads a request for Rerank or Score, and the texts of its documents.
func ReadRerank(body []byte) (*api.RerankRequest, []string, error) {
	req := new(api.RerankRequest)
	if err := unmarshal(orEmpty(body), req); err != nil {
		return nil, nil, err
	}
	if err := CheckRequestOptions(req.Options); err != nil {
		return nil, nil, err
	}
	documents, err := readDocuments(req)
	return req, documents, err
}
