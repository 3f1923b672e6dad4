package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// maxTexts is how many texts one request may have. The answer for as many has some 20 MB.
const maxTexts = 4096

// openEmbedding is open for requests that embed or rank. What a model can is for it to say.
func (s *Server) openEmbedding(ctx context.Context, o order) (*mullama.Lease, string, error) {
	stored, name, err := s.findFor(o)
	if err != nil {
		return nil, "", err
	}
	settings, err := s.settings(stored, o.base, o.options)
	if err != nil {
		return nil, "", err
	}
	lease, err := s.acquire(ctx, stored, settings, o.keepAlive)
	return lease, name, err
}

// embedTexts embeds, and makes what is wrong with one text an error of the request.
func embedTexts(
	ctx context.Context, m *mullama.Model, r *mullama.EmbedRequest,
) (*mullama.EmbedResult, error) {
	if len(r.Texts)+len(r.Tokens) == 0 {
		return &mullama.EmbedResult{}, nil // the model is loaded, and that was all
	}
	result, err := m.Embed(ctx, r)
	if err != nil {
		return nil, err
	}
	note(ctx, func(n *notes) { n.stats.PromptTokens += result.Tokens })
	return result, result.Err()
}

// readTexts reads a text, a list of texts, the tokens of a text, or a list of those.
func readTexts(field string, data json.RawMessage) (texts []string, tokens [][]int32, err error) {
	var one string
	if json.Unmarshal(data, &one) == nil && string(data) != "null" {
		return []string{one}, nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, nil, badField(field, "invalid input type: %s must be a string, a list of "+
			"strings, or lists of tokens", field)
	}
	if len(list) == 0 {
		return nil, nil, nil
	}
	if json.Unmarshal(data, &texts) == nil {
		return texts, nil, checkCount(field, len(texts))
	}
	var single []int32
	if json.Unmarshal(data, &single) == nil {
		return nil, [][]int32{single}, nil
	}
	if json.Unmarshal(data, &tokens) == nil {
		return nil, tokens, checkCount(field, len(tokens))
	}
	return nil, nil, badField(field, "invalid input type: %s must have strings alone, or tokens "+
		"alone", field)
}

func checkCount(field string, n int) error {
	if n > maxTexts {
		return badField(field, "%s has %d texts; send at most %d in one request", field, n,
			maxTexts)
	}
	return nil
}

// ollamaEmbed answers POST /api/embed.
func (s *Server) ollamaEmbed(w http.ResponseWriter, r *http.Request) error {
	var req api.EmbedRequest
	began := time.Now()
	if err := decode(r, &req); err != nil {
		return err
	}
	embed := &mullama.EmbedRequest{EmbedOptions: mullama.EmbedOptions{
		Pooling: req.Pooling, Raw: req.Normalize != nil && !*req.Normalize,
		Truncate: req.Truncate == nil || *req.Truncate, Task: req.Task, Prefix: req.Prefix,
	}}
	if len(req.Input) > 0 && string(req.Input) != "null" {
		var err error
		if embed.Texts, embed.Tokens, err = readTexts("input", req.Input); err != nil {
			return err
		}
	}
	o := ordered(req.Model, req.Options, req.KeepAlive)
	lease, name, err := s.openEmbedding(r.Context(), o)
	if err != nil {
		return err
	}
	defer lease.Release()
	// Ollama takes more dimensions than there are for all of them.
	if n := lease.Model.Info().EmbeddingLength; req.Dimensions > 0 && req.Dimensions < n {
		embed.Dimensions = req.Dimensions
	}
	if len(embed.Texts) == 1 && embed.Texts[0] == "" {
		embed.Texts = nil // which for Ollama is no text
	}
	result, err := embedTexts(r.Context(), lease.Model, embed)
	if errors.Is(err, mullama.ErrContextFull) {
		return refuse(http.StatusBadRequest, "the input length exceeds the context length: %v", err)
	}
	if err != nil {
		return err
	}
	return writeEmbeddings(w, name, result, began, lease)
}

// writeEmbeddings writes the answer of POST /api/embed.
func writeEmbeddings(
	w http.ResponseWriter, name string, result *mullama.EmbedResult, began time.Time,
	lease *mullama.Lease,
) error {
	buf := getBuffer()
	defer buf.put()
	buf.b = appendString(append(buf.b, `{"model":`...), name)
	buf.b = append(buf.b, `,"embeddings":[`...)
	perToken := false
	for i, e := range result.Embeddings {
		perToken = perToken || e.Rows != nil
		if e.Vector == nil {
			continue
		}
		if i > 0 {
			buf.b = append(buf.b, ',')
		}
		buf.b = appendVector(buf.b, e.Vector)
	}
	buf.b = append(buf.b, ']')
	if perToken {
		buf.b = append(buf.b, `,"token_embeddings":[`...)
		for i, e := range result.Embeddings {
			if i > 0 {
				buf.b = append(buf.b, ',')
			}
			buf.b = appendRows(buf.b, e.Rows)
		}
		buf.b = append(buf.b, ']')
	}
	buf.b = append(buf.b, `,"tokens":[`...)
	for i, e := range result.Embeddings {
		if i > 0 {
			buf.b = append(buf.b, ',')
		}
		buf.b = appendInt(buf.b, e.Tokens)
	}
	buf.b = append(buf.b, `],"total_duration":`...)
	buf.b = appendInt(buf.b, int(time.Since(began)))
	buf.b = appendInt(append(buf.b, `,"load_duration":`...), int(lease.LoadTime))
	buf.b = appendInt(append(buf.b, `,"prompt_eval_count":`...), result.Tokens)
	buf.b = append(buf.b, '}')
	return writeJSON(w, buf.b)
}

func appendRows(dst []byte, rows [][]float32) []byte {
	dst = append(dst, '[')
	for i, row := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendVector(dst, row)
	}
	return append(dst, ']')
}

// appendVector appends numbers, which are finite, as a JSON list.
func appendVector(dst []byte, row []float32) []byte {
	dst = append(dst, '[')
	for i, x := range row {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendFloat(dst, float64(x), 'g', -1, 32)
	}
	return append(dst, ']')
}

// ollamaEmbeddings answers POST /api/embeddings, the older route for one text.
func (s *Server) ollamaEmbeddings(w http.ResponseWriter, r *http.Request) error {
	var req api.OldEmbeddingRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	lease, _, err := s.openEmbedding(r.Context(), ordered(req.Model, req.Options, req.KeepAlive))
	if err != nil {
		return err
	}
	defer lease.Release()
	vector := []float32{}
	if req.Prompt != "" {
		result, err := embedTexts(r.Context(), lease.Model, &mullama.EmbedRequest{
			Texts: []string{req.Prompt}, EmbedOptions: mullama.EmbedOptions{Truncate: true},
		})
		if err != nil {
			return err
		}
		vector = result.Embeddings[0].Vector
	}
	buf := getBuffer()
	defer buf.put()
	buf.b = append(appendVector(append(buf.b, `{"embedding":`...), vector), '}')
	return writeJSON(w, buf.b)
}
