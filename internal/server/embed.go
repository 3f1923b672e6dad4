package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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

// embedTexts embeds. What is wrong with one text is in its embedding.
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
	return result, nil
}

// readInputs reads what is to be embedded: one thing or a list of them. Each is a text, the tokens
// of one, among which may be texts, or an object with a text.
func readInputs(field string, data json.RawMessage) ([]json.RawMessage, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || string(data) == "null" {
		return nil, nil
	}
	inputs, list := []json.RawMessage{data}, isList(data)
	if list {
		inputs = nil // else the first would be written over data
		if err := json.Unmarshal(data, &inputs); err != nil {
			return nil, err
		}
	}
	for i, input := range inputs {
		part := field
		if list {
			part = fmt.Sprintf("%s[%d]", field, i)
		}
		input = bytes.TrimSpace(input)
		if text, ok := textOf(input); ok {
			inputs[i], _ = json.Marshal(text)
		} else if input[0] != '[' || !isTokens(input) {
			return nil, blame(part, badRequest("invalid input type: "+
				"neither a string, nor a list of tokens, nor an object with a text"))
		}
	}
	return inputs, checkCount(field, len(inputs))
}

// isList reports whether there are several inputs, or may be.
func isList(data []byte) bool { return len(data) > 0 && data[0] == '[' && !isTokens(data) }

// isTokens reports whether a list has token ids, among which may be texts.
func isTokens(data []byte) bool {
	var list []any
	if json.Unmarshal(data, &list) != nil {
		return false
	}
	tokens := false
	for _, item := range list {
		_, isText := item.(string)
		_, isNumber := item.(float64)
		if !isText && !isNumber {
			return false
		}
		tokens = tokens || isNumber
	}
	return tokens
}

// textOf reads a string, or llama-server's objects: {"prompt_string": …}, or {"content": […]}
// with parts of type text.
func textOf(data []byte) (string, bool) {
	var text string
	if data[0] == '"' && json.Unmarshal(data, &text) == nil {
		return text, true
	}
	var object struct {
		Prompt  *string `json:"prompt_string"`
		Content []struct {
			Type string  `json:"type"`
			Text *string `json:"text"`
		} `json:"content"`
	}
	if data[0] != '{' || json.Unmarshal(data, &object) != nil {
		return "", false
	}
	if object.Prompt != nil {
		return *object.Prompt, true
	}
	for _, part := range object.Content {
		if part.Type != "text" || part.Text == nil {
			return "", false
		}
		text += *part.Text
	}
	return text, len(object.Content) > 0
}

// resolve fills in what is to be embedded: all as texts or, where one is tokens, all as tokens.
func resolve(m *mullama.Model, r *mullama.EmbedRequest, inputs []json.RawMessage) error {
	for _, input := range inputs {
		var text string
		if json.Unmarshal(input, &text) != nil {
			break
		}
		r.Texts = append(r.Texts, text)
	}
	if len(r.Texts) == len(inputs) {
		return nil
	}
	r.Texts = nil
	for _, input := range inputs {
		var tokens []mullama.Token
		if json.Unmarshal(input, &tokens) != nil {
			var err error
			options := mullama.TokenizeOptions{AddSpecial: true}
			if tokens, err = mixedTokens(m, input, options); err != nil {
				return err
			}
		}
		r.Tokens = append(r.Tokens, tokens)
	}
	return nil
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
		Length: req.Length,
	}}
	inputs, err := readInputs("input", req.Input)
	if err != nil {
		return err
	}
	o := ordered(req.Model, req.Options, req.KeepAlive)
	lease, name, err := s.openEmbedding(r.Context(), o)
	if err != nil {
		return err
	}
	defer lease.Release()
	if err := resolve(lease.Model, embed, inputs); err != nil {
		return err
	}
	// Ollama takes more dimensions than there are for all of them.
	if n := lease.Model.Info().Dimensions(); req.Dimensions > 0 && req.Dimensions < n {
		embed.Dimensions = req.Dimensions
	}
	if string(bytes.TrimSpace(req.Input)) == `""` {
		embed.Texts = nil // which for Ollama is no text, but in a list it is one
	}
	result, err := embedTexts(r.Context(), lease.Model, embed)
	if err != nil {
		return err
	}
	if !req.ItemErrors {
		errs := inOllamasWords(textErrors(result), embed.Truncate)
		if err := badText("input", req.Input, errs); err != nil {
			return err
		}
	}
	return writeEmbeddings(w, name, result, began, lease)
}

// writeEmbeddings writes the answer of POST /api/embed.
func writeEmbeddings(
	w http.ResponseWriter, name string, result *mullama.EmbedResult, began time.Time,
	lease *mullama.Lease,
) (err error) {
	buf := getBuffer()
	defer buf.put()
	buf.b = appendString(append(buf.b, `{"model":`...), name)
	buf.b = append(buf.b, `,"embeddings":[`...)
	perToken := slices.ContainsFunc(result.Embeddings, func(e mullama.Embedding) bool {
		return e.Rows != nil
	})
	if !perToken {
		buf.b = appendVectors(buf.b, result.Embeddings)
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
	buf.b = appendCuts(append(buf.b, ']'), result.Embeddings)
	if buf.b, err = appendItemErrors(buf.b, result); err != nil {
		return err
	}
	buf.b = append(buf.b, `,"total_duration":`...)
	buf.b = appendInt(buf.b, int(time.Since(began)))
	buf.b = appendInt(append(buf.b, `,"load_duration":`...), int(lease.LoadTime))
	buf.b = appendInt(append(buf.b, `,"prompt_eval_count":`...), result.Tokens)
	buf.b = append(buf.b, '}')
	return writeJSON(w, buf.b)
}

// appendVectors appends the embeddings of texts, null for one that has none.
func appendVectors(dst []byte, list []mullama.Embedding) []byte {
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if e.Vector == nil {
			dst = append(dst, "null"...)
			continue
		}
		dst = appendVector(dst, e.Vector)
	}
	return dst
}

// appendCuts tells which texts were cut, if one was.
func appendCuts(dst []byte, list []mullama.Embedding) []byte {
	if !slices.ContainsFunc(list, func(e mullama.Embedding) bool { return e.Cut }) {
		return dst
	}
	dst = append(dst, `,"truncated":[`...)
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendBool(dst, e.Cut)
	}
	return append(dst, ']')
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
		if err == nil {
			err = badText("prompt", nil, textErrors(result))
		}
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
