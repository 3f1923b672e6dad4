package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// embeddingsRequest is a request of OpenAI's route, and of llama-server's.
type embeddingsRequest struct {
	Model          string          `json:"model"`
	Input          json.RawMessage `json:"input"` // a text, texts, tokens, or lists of tokens
	Content        json.RawMessage `json:"content,omitempty"`
	EncodingFormat string          `json:"encoding_format,omitempty"` // "float" or "base64"
	Dimensions     *int            `json:"dimensions,omitempty"`
	User           string          `json:"user,omitempty"`

	// The fields from here on are not OpenAI's.

	KeepAlive     *api.Duration  `json:"keep_alive,omitempty"`
	Options       map[string]any `json:"options,omitempty"`
	EmbdNormalize *int           `json:"embd_normalize,omitempty"` // llama-server's; -1: not
	Pooling       string         `json:"pooling,omitempty"`
	Normalize     *bool          `json:"normalize,omitempty"`
	Truncate      bool           `json:"truncate,omitempty"`
	Task          string         `json:"task,omitempty"`
	Prefix        string         `json:"prefix,omitempty"`
	Length        int            `json:"length,omitempty"`
}

func (q *embeddingsRequest) order() order {
	return order{
		model: q.Model, keepAlive: q.KeepAlive, base: mullama.DefaultSampling(), any: true,
		options: []map[string]any{q.Options},
	}
}

// input is what is to be embedded, and the field that has it.
func (q *embeddingsRequest) input() (field string, input json.RawMessage) {
	if len(q.Input) == 0 && len(q.Content) > 0 {
		return "content", q.Content
	}
	return "input", q.Input
}

// read reads what is to be embedded, which must be something, and how.
func (q *embeddingsRequest) read() (*mullama.EmbedRequest, []json.RawMessage, error) {
	field, input := q.input()
	if len(input) == 0 || string(input) == "null" {
		return nil, nil, badField(field, "%s is required", field)
	}
	inputs, err := readInputs(field, input)
	if err != nil {
		return nil, nil, err
	}
	if len(inputs) == 0 {
		return nil, nil, badField(field, "%s is an empty list; send at least one text", field)
	}
	for i, text := range inputs {
		if string(text) == `""` {
			if isList(bytes.TrimSpace(input)) {
				field = fmt.Sprintf("%s[%d]", field, i)
			}
			return nil, nil, blame(field, badRequest("the text is empty"))
		}
	}
	raw := q.Normalize != nil && !*q.Normalize || q.EmbdNormalize != nil && *q.EmbdNormalize < 0
	if n := q.EmbdNormalize; n != nil && *n != -1 && *n != 2 {
		return nil, nil, badField("embd_normalize", "embd_normalize is %d; use 2, for a length "+
			"of 1, or -1, for raw numbers", *n)
	}
	request := &mullama.EmbedRequest{EmbedOptions: mullama.EmbedOptions{
		Pooling: q.Pooling, Raw: raw, Truncate: q.Truncate, Task: q.Task, Prefix: q.Prefix,
		Length: q.Length,
	}}
	if q.Dimensions != nil {
		if *q.Dimensions < 1 {
			return nil, nil, badField("dimensions", "dimensions is %d; it must be at least 1",
				*q.Dimensions)
		}
		request.Dimensions = *q.Dimensions
	}
	return request, inputs, nil
}

// runEmbeddings embeds what a request asks for.
func (s *Server) runEmbeddings(
	ctx context.Context, q *embeddingsRequest,
) (result *mullama.EmbedResult, name string, err error) {
	embed, inputs, err := q.read()
	if err != nil {
		return nil, "", err
	}
	lease, name, err := s.openEmbedding(ctx, q.order())
	if err != nil {
		return nil, "", err
	}
	defer lease.Release()
	if err := resolve(lease.Model, embed, inputs); err != nil {
		return nil, "", err
	}
	if result, err = embedTexts(ctx, lease.Model, embed); err != nil {
		return nil, "", err
	}
	field, input := q.input()
	return result, name, badText(field, input, textErrors(result))
}

// openAIEmbeddings answers POST /v1/embeddings.
func (s *Server) openAIEmbeddings(w http.ResponseWriter, r *http.Request) error {
	var req embeddingsRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if f := req.EncodingFormat; f != "" && f != "float" && f != "base64" {
		return badField("encoding_format", "encoding_format is %s; use float or base64", show(f))
	}
	if req.Pooling == "none" {
		return badField("pooling", "this route has one embedding for each text, so pooling cannot "+
			"be none; use POST /embedding")
	}
	result, name, err := s.runEmbeddings(r.Context(), &req)
	if err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.put()
	buf.b = append(buf.b, `{"object":"list","data":[`...)
	for i, e := range result.Embeddings {
		if e.Vector == nil {
			return badField("model", "model %s does not pool; use POST /embedding", show(name))
		}
		if i > 0 {
			buf.b = append(buf.b, ',')
		}
		buf.b = append(buf.b, `{"object":"embedding","index":`...)
		buf.b = append(appendInt(buf.b, i), `,"embedding":`...)
		if req.EncodingFormat == "base64" {
			buf.b = appendBase64(buf.b, e.Vector)
		} else {
			buf.b = appendVector(buf.b, e.Vector)
		}
		buf.b = append(buf.b, '}')
	}
	buf.b = appendString(append(buf.b, `],"model":`...), name)
	buf.b = appendInt(append(buf.b, `,"usage":{"prompt_tokens":`...), result.Tokens)
	buf.b = appendInt(append(buf.b, `,"total_tokens":`...), result.Tokens)
	buf.b = append(buf.b, `}}`...)
	return writeJSON(w, buf.b)
}

// appendBase64 appends the bytes of numbers, least significant first, as a JSON string.
func appendBase64(dst []byte, row []float32) []byte {
	var data []byte
	for _, x := range row {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '"')
}

// nativeEmbedding answers POST /embedding, as llama-server does: each text has a list of rows,
// which is one row where they are pooled.
func (s *Server) nativeEmbedding(w http.ResponseWriter, r *http.Request) error {
	var req embeddingsRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	result, _, err := s.runEmbeddings(r.Context(), &req)
	if err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.put()
	buf.b = append(buf.b, '[')
	for i, e := range result.Embeddings {
		if i > 0 {
			buf.b = append(buf.b, ',')
		}
		rows := e.Rows
		if e.Vector != nil {
			rows = [][]float32{e.Vector}
		}
		buf.b = append(appendInt(append(buf.b, `{"index":`...), i), `,"embedding":`...)
		buf.b = append(appendRows(buf.b, rows), '}')
	}
	buf.b = append(buf.b, ']')
	return writeJSON(w, buf.b)
}
