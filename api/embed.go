package api

import (
	"context"
	"encoding/json"
	"net/http"
)

// EmbedRequest asks for the embeddings of texts.
type EmbedRequest struct {
	Model      string          `json:"model"`
	Input      json.RawMessage `json:"input,omitempty"`      // a text, or a list of texts
	Truncate   *bool           `json:"truncate,omitempty"`   // cuts long texts; nil: true
	Dimensions int             `json:"dimensions,omitempty"` // as many numbers of each; 0: all
	Options    map[string]any  `json:"options,omitempty"`
	KeepAlive  *Duration       `json:"keep_alive,omitempty"`

	// The fields from here on are not Ollama's, which ignores them. Input may also have lists of
	// token ids, each a text.

	Pooling   string `json:"pooling,omitempty"`   // "mean", "cls", "last", "none"; "": its own
	Normalize *bool  `json:"normalize,omitempty"` // gives each embedding the length 1; nil: true
	Task      string `json:"task,omitempty"`      // "query" or "document": the model's words for it
	Prefix    string `json:"prefix,omitempty"`    // before each text
	Length    int    `json:"length,omitempty"`    // of texts with a task, for late interaction

	// ItemErrors asks for what is wrong with a text in the Errors of the answer. Otherwise it is an
	// error of the request, and the embeddings of the others are lost.
	ItemErrors bool `json:"item_errors,omitempty"`
}

// ItemError is what is wrong with one text of a request.
type ItemError struct {
	Error string `json:"error"`
	Kind  string `json:"kind,omitempty"` // as in a [StatusError]
}

// EmbedResponse has an embedding for each text.
type EmbedResponse struct {
	Model           string      `json:"model"`
	Embeddings      [][]float32 `json:"embeddings"`
	TotalDuration   int64       `json:"total_duration,omitempty"` // nanoseconds
	LoadDuration    int64       `json:"load_duration,omitempty"`
	PromptEvalCount int         `json:"prompt_eval_count,omitempty"`

	// The fields from here on are not Ollama's.

	// TokenEmbeddings has an embedding for each token of each text, without pooling.
	TokenEmbeddings [][][]float32 `json:"token_embeddings,omitempty"`
	Tokens          []int         `json:"tokens,omitempty"`    // of each text
	Truncated       []bool        `json:"truncated,omitempty"` // if one was, whether each text was

	// Errors has what is wrong with each text, nil for nothing, if something is with one.
	Errors []*ItemError `json:"errors,omitempty"`
}

// Embed returns the embeddings of texts.
func (c *Client) Embed(ctx context.Context, req *EmbedRequest) (*EmbedResponse, error) {
	var resp EmbedResponse
	if err := c.do(ctx, http.MethodPost, "/api/embed", req, &resp); err != nil {
		return nil, err
	}
	return &resp, nil
}

// OldEmbeddingRequest asks for the embedding of one text, as older clients of Ollama do.
type OldEmbeddingRequest struct {
	Model     string         `json:"model"`
	Prompt    string         `json:"prompt"`
	Options   map[string]any `json:"options,omitempty"`
	KeepAlive *Duration      `json:"keep_alive,omitempty"`
}

// RerankRequest asks how well documents answer a query.
type RerankRequest struct {
	Model           string            `json:"model"`
	Query           string            `json:"query"`
	Documents       []json.RawMessage `json:"documents"`       // texts, or objects with a "text"
	Texts           []string          `json:"texts,omitempty"` // another name of the same
	TopN            *int              `json:"top_n,omitempty"` // the best of them alone
	ReturnDocuments bool              `json:"return_documents,omitempty"`
	RawScores       bool              `json:"raw_scores,omitempty"` // as the head computes them
	Instruction     string            `json:"instruction,omitempty"`
	Options         map[string]any    `json:"options,omitempty"` // of loading, as Ollama's routes
	KeepAlive       *Duration         `json:"keep_alive,omitempty"`

	// For scores: most tokens of a text, in place of what the model declares.

	QueryLength    int `json:"query_length,omitempty"`
	DocumentLength int `json:"document_length,omitempty"`
}

// RerankResponse has the documents, the best first.
type RerankResponse struct {
	ID      string         `json:"id,omitempty"`
	Object  string         `json:"object"`
	Model   string         `json:"model"`
	Results []RerankResult `json:"results"`
	Method  string         `json:"method"` // "head", "judge" or "tokens"
	Usage   struct {
		PromptTokens int `json:"prompt_tokens"`
		TotalTokens  int `json:"total_tokens"`
	} `json:"usage"`
}

// RerankResult is a document with its score.
type RerankResult struct {
	Index    int             `json:"index"`
	Score    float64         `json:"relevance_score"`
	Document *RerankDocument `json:"document,omitempty"`
}

// RerankDocument is the text of a document.
type RerankDocument struct {
	Text string `json:"text"`
}

// Score returns how well documents answer a query by late interaction. RawScores and Instruction
// mean nothing there.
func (c *Client) Score(ctx context.Context, req *RerankRequest) (*RerankResponse, error) {
	var resp RerankResponse
	if err := c.do(ctx, http.MethodPost, "/v1/score", req, &resp); err != nil {
		return nil, err
	}
	return &resp, nil
}

// Rerank returns how well documents answer a query.
func (c *Client) Rerank(ctx context.Context, req *RerankRequest) (*RerankResponse, error) {
	var resp RerankResponse
	if err := c.do(ctx, http.MethodPost, "/v1/rerank", req, &resp); err != nil {
		return nil, err
	}
	return &resp, nil
}
