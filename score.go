package mullama

import (
	"context"
	"errors"
)

// RankedByTokens is the Method of [Model.Score].
const RankedByTokens = "tokens"

// ScoreRequest asks for the scores of documents by late interaction.
type ScoreRequest struct {
	Query     string
	Documents []string
	// QueryLength and DocumentLength stand in for the lengths that the model declares, if it does:
	// see [LateInteraction]. 0: those.
	QueryLength, DocumentLength int
}

// Score scores documents by late interaction, as ColBERT does: the score is the sum, over the
// tokens of the query, of the largest cosine with a token of the document. It is meant for models
// that were trained for it; those that say how they read texts have them so, see
// [LateInteraction]. With others the order is that of words that are alike. Documents that are too
// long are cut. To keep the vectors of documents, use [Model.Embed] with the pooling "none"
// and an [Index].
func (m *Model) Score(ctx context.Context, r *ScoreRequest) (*RerankResult, error) {
	const op = "score"
	if m.remote != nil {
		return m.remote.score(ctx, m, r)
	}
	rows := EmbedOptions{Pooling: "none", Task: "query", Length: r.QueryLength}
	query, err := m.Embed(ctx, &EmbedRequest{Texts: []string{r.Query}, EmbedOptions: rows})
	if err == nil {
		err = query.Err()
	}
	if err != nil {
		if full, ok := errors.AsType[*ContextFullError](err); ok {
			full.Advice = queryAdvice // there is no option to cut it
		}
		return nil, &Error{Kind: errorKind(err), Op: op + ": the query", Err: &QueryError{err}}
	}
	rows.Task, rows.Length, rows.Truncate = "document", r.DocumentLength, true
	docs, err := m.Embed(ctx, &EmbedRequest{Texts: r.Documents, EmbedOptions: rows})
	if err != nil {
		return nil, err
	}
	result := &RerankResult{Scores: make([]DocumentScore, len(r.Documents)),
		Tokens: query.Tokens + docs.Tokens, Method: RankedByTokens}
	for i, d := range docs.Embeddings {
		if d.Err != nil {
			result.Scores[i].Err = d.Err
			continue
		}
		score, err := maxSimRows(m.shared.weights.Library(), query.Embeddings[0].Rows, d.Rows)
		if err != nil {
			return nil, err
		}
		result.Scores[i].Score = float64(score)
	}
	return result, nil
}
