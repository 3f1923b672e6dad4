package mullama

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"

	"github.com/mullama/mullama/api"
)

// embed has a daemon embed texts. What is wrong with one of them is in its embedding, if the daemon
// is Mullama; of another it is an error of the call.
func (r *remote) embed(ctx context.Context, m *Model, e *EmbedRequest) (*EmbedResult, error) {
	all := &EmbedResult{Embeddings: make([]Embedding, 0, len(e.Texts)+len(e.Tokens))}
	for part := range embedParts(e) {
		some, err := r.embedAlike(ctx, m, part)
		if err != nil {
			return nil, err
		}
		all.Embeddings = append(all.Embeddings, some.Embeddings...)
		all.Tokens += some.Tokens
	}
	return all, nil
}

// embedAlike embeds texts, or tokens.
func (r *remote) embedAlike(ctx context.Context, m *Model, e *EmbedRequest) (*EmbedResult, error) {
	const op = "embed"
	if err := m.enter(op); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	if n := m.Info().Dimensions(); e.Dimensions < 0 || n > 0 && e.Dimensions > n {
		return nil, tooManyDimensions(op, e.Dimensions, n) // of which a daemon gives all
	}
	inputs := make([]any, 0, len(e.Texts)+len(e.Tokens))
	for _, text := range e.Texts {
		inputs = append(inputs, text)
	}
	for _, tokens := range e.Tokens {
		inputs = append(inputs, tokens)
	}
	input, err := json.Marshal(inputs)
	if err != nil {
		return nil, invalid(op, err.Error())
	}
	ctx, end := m.untilClosed(ctx)
	defer end()
	normalize := !e.Raw
	resp, err := r.api.Embed(ctx, &api.EmbedRequest{
		Model: r.name, Input: input, Truncate: &e.Truncate, Dimensions: e.Dimensions,
		Options: r.options, Pooling: e.Pooling, Normalize: &normalize, Task: e.Task,
		Prefix: e.Prefix, Length: e.Length, ItemErrors: true,
	})
	if err != nil {
		return nil, orClosed(ctx, op, err)
	}
	result := &EmbedResult{Embeddings: make([]Embedding, len(inputs)), Tokens: resp.PromptEvalCount}
	for i := range result.Embeddings {
		made := &result.Embeddings[i]
		if i < len(resp.Embeddings) {
			made.Vector = resp.Embeddings[i]
		}
		if i < len(resp.TokenEmbeddings) {
			made.Rows = resp.TokenEmbeddings[i]
		}
		if i < len(resp.Tokens) {
			made.Tokens = resp.Tokens[i]
		}
		made.Cut = i < len(resp.Truncated) && resp.Truncated[i]
		if i < len(resp.Errors) && resp.Errors[i] != nil {
			made.Err = DaemonError(op, &api.StatusError{StatusCode: http.StatusBadRequest,
				Message: resp.Errors[i].Error, Kind: resp.Errors[i].Kind})
		} else if made.Vector == nil && made.Rows == nil { // as for an empty text that is alone
			made.Err = invalid(op, "the daemon has no embedding of the text; is it empty?")
		}
	}
	return result, nil
}

// remoteWindow is how many texts one request to a daemon has.
const remoteWindow = 128

// embedStream asks for a window of texts at a time.
func (r *remote) embedStream(
	ctx context.Context, m *Model, texts iter.Seq[string], o *EmbedOptions,
) iter.Seq2[Embedding, error] {
	return func(yield func(Embedding, error) bool) {
		for window := range chunks(texts, remoteWindow) {
			result, err := r.embed(ctx, m, &EmbedRequest{Texts: window, EmbedOptions: *o})
			if err != nil {
				yield(Embedding{}, err)
				return
			}
			for _, e := range result.Embeddings {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// chunks yields n of a sequence at a time.
func chunks[T any](all iter.Seq[T], n int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		var chunk []T
		for item := range all {
			if chunk = append(chunk, item); len(chunk) < n {
				continue
			}
			if !yield(slices.Clone(chunk)) {
				return
			}
			chunk = chunk[:0]
		}
		if len(chunk) > 0 {
			yield(chunk)
		}
	}
}

// rerank has a daemon rank documents.
func (r *remote) rerank(ctx context.Context, m *Model, q *RerankRequest) (*RerankResult, error) {
	return r.rank(ctx, m, "rerank", q, r.api.Rerank)
}

// score has a daemon score documents by late interaction.
func (r *remote) score(ctx context.Context, m *Model, q *ScoreRequest) (*RerankResult, error) {
	request := &RerankRequest{Query: q.Query, Documents: q.Documents}
	send := func(ctx context.Context, sent *api.RerankRequest) (*api.RerankResponse, error) {
		sent.QueryLength, sent.DocumentLength = q.QueryLength, q.DocumentLength
		return r.api.Score(ctx, sent)
	}
	return r.rank(ctx, m, "score", request, send)
}

// rank sends documents on a route of the form of Rerank.
func (r *remote) rank(ctx context.Context, m *Model, op string, q *RerankRequest,
	send func(context.Context, *api.RerankRequest) (*api.RerankResponse, error),
) (*RerankResult, error) {
	if err := m.enter(op); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	ctx, end := m.untilClosed(ctx)
	defer end()
	result := &RerankResult{Scores: make([]DocumentScore, 0, len(q.Documents))}
	for documents := range parts(q.Documents, func(s string) int { return len(s) }) {
		request := &api.RerankRequest{
			Model: r.name, Query: q.Query, RawScores: q.Raw, Instruction: q.Instruction,
			Options: r.options,
		}
		for _, document := range documents {
			text, err := json.Marshal(document)
			if err != nil {
				return nil, invalid(op, err.Error())
			}
			request.Documents = append(request.Documents, text)
		}
		resp, err := send(ctx, request)
		if err != nil {
			return nil, orClosed(ctx, op, err)
		}
		scores := make([]DocumentScore, len(documents))
		for _, scored := range resp.Results {
			if scored.Index >= 0 && scored.Index < len(scores) {
				scores[scored.Index].Score = scored.Score
			}
		}
		result.Scores = append(result.Scores, scores...)
		result.Tokens += resp.Usage.PromptTokens
		result.Method = resp.Method
	}
	return result, nil
}
