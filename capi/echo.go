package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
	"github.com/mullama/mullama/internal/server"
)

// echo is an engine without an engine. Its model "echo" has the bytes as tokens and repeats the
// prompt, or the last message, a character at a time: bindings are tested with it where no model
// is. Its model "clock" is in clock.go.
type echo struct{}

var echoModels = []string{"clock", "echo"}

func (echo) info() ([]byte, error) {
	return json.Marshal(map[string]any{"version": mullama.Version(), "engine": "echo"})
}

func (echo) models() ([]byte, error) {
	var list api.ListResponse
	for _, name := range echoModels {
		list.Models = append(list.Models, api.ListedModel{Name: name, Model: name})
	}
	return json.Marshal(list)
}

func (echo) load(_ context.Context, name string, o *mullama.LoadOptions) (model, error) {
	if !slices.Contains(echoModels, name) {
		return nil, &mullama.Error{Kind: mullama.ErrNotFound, Op: "load " + name,
			Err: stateError("only models here are " + strings.Join(echoModels, " and "))}
	}
	if o.Progress != nil {
		o.Progress(1)
	}
	context := mullama.DefaultContextSize
	if o.ContextSize > 0 {
		context = o.ContextSize
	}
	return echoModel{name, context, new(atomic.Bool)}, nil
}

func (echo) libraryDir() string { return "" }

func (echo) close() error { return nil }

type echoModel struct {
	name    string
	context int
	closed  *atomic.Bool // ends the answers
}

func (m echoModel) info() ([]byte, error) {
	return json.Marshal(map[string]any{
		"model": &mullama.Info{Name: m.name, Architecture: "echo", Vocab: 256}, "slots": 1,
		"ctx_size": m.context,
	})
}

func (echoModel) appendTokens(
	dst []mullama.Token, text string, _ mullama.TokenizeOptions,
) ([]mullama.Token, error) {
	for i := range len(text) {
		dst = append(dst, mullama.Token(text[i]))
	}
	return dst, nil
}

func (echoModel) detokenize(tokens []mullama.Token) ([]byte, error) {
	var text []byte
	for _, token := range tokens {
		if token >= 0 && token <= 0xff {
			text = append(text, byte(token))
		}
	}
	return text, nil
}

func (m echoModel) render(request []byte) (string, error) {
	req, err := server.ReadChat(request)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	for _, message := range req.Messages {
		fmt.Fprintf(&text, "%s: %s\n", message.Role, message.Content)
	}
	return text.String(), nil
}

func (m echoModel) chat(request []byte) (answer, error) {
	req, err := server.ReadChat(request)
	if err != nil {
		return nil, err
	}
	return m.answer(req.Messages[len(req.Messages)-1].Content, req.Options)
}

func (m echoModel) generate(request []byte) (answer, error) {
	req, err := server.ReadGenerate(request)
	if err != nil {
		return nil, err
	}
	return m.answer(req.Prompt, req.Options)
}

func (m echoModel) answer(text string, options map[string]any) (answer, error) {
	if m.name == "clock" {
		return newClockAnswer(m, options), nil
	}
	if len(text) > m.context {
		return nil, &mullama.Error{Kind: mullama.ErrContextFull, Op: "generate",
			Err: fmt.Errorf("the prompt has %d tokens, the context %d", len(text), m.context)}
	}
	limit := len(text)
	if n, ok := options["num_predict"].(float64); ok && n > 0 {
		limit = min(limit, int(n))
	}
	return &echoAnswer{model: m, prompt: len(text), text: text, limit: limit}, nil
}

// embed gives a byte the row [byte, 1], and a text the mean of its rows.
func (m echoModel) embed(request []byte) (*mullama.EmbedResult, error) {
	req, inputs, err := server.ReadEmbed(request)
	if err != nil {
		return nil, err
	}
	if req.Pooling != "" && req.Pooling != "mean" && req.Pooling != "none" || req.Dimensions > 2 {
		return nil, invalid("the model %s pools by mean or none, and has 2 dimensions", m.name)
	}
	result := new(mullama.EmbedResult)
	for _, input := range inputs {
		var text string
		if err := json.Unmarshal(input, &text); err != nil {
			return nil, invalid("the model %s embeds texts only: %v", m.name, err)
		}
		e := m.embedText(req.Prefix+text, req)
		result.Embeddings = append(result.Embeddings, e)
		result.Tokens += e.Tokens
	}
	return result, nil
}

func (m echoModel) embedText(text string, req *mullama.EmbedRequest) mullama.Embedding {
	cut := req.Truncate && len(text) > m.context
	if cut {
		text = text[:m.context]
	}
	switch {
	case text == "":
		return mullama.Embedding{Err: invalid("the text is empty")}
	case len(text) > m.context:
		return mullama.Embedding{Err: &mullama.Error{Kind: mullama.ErrContextFull, Op: "embed",
			Err: fmt.Errorf("the text has %d tokens, the context %d", len(text), m.context)}}
	}
	e := mullama.Embedding{Tokens: len(text), Cut: cut}
	sum := float32(0)
	for i := range len(text) {
		sum += float32(text[i])
		e.Rows = append(e.Rows, echoRow(float32(text[i]), req))
	}
	if req.Pooling != "none" {
		e.Vector, e.Rows = echoRow(sum/float32(len(text)), req), nil
	}
	return e
}

func echoRow(x float32, req *mullama.EmbedRequest) []float32 {
	row := []float32{x, 1}
	if req.Dimensions == 1 {
		row = row[:1]
	}
	length := math.Hypot(float64(x), float64(len(row)-1))
	for i := range row {
		if !req.Raw && length > 0 {
			row[i] = float32(float64(row[i]) / length)
		}
	}
	return row
}

func (m echoModel) rerank(request []byte) ([]byte, error) { return nil, m.rank("rank", request) }

func (m echoModel) score(request []byte) ([]byte, error) { return nil, m.rank("score", request) }

// rank checks a request, and says that there are no scores.
func (m echoModel) rank(op string, request []byte) error {
	if _, _, err := server.ReadRerank(request); err != nil {
		return err
	}
	return &mullama.Error{Kind: mullama.ErrUnsupported, Op: op,
		Err: fmt.Errorf("the model %s cannot %s documents", m.name, op)}
}

func (m echoModel) label() string { return m.name }

func (m echoModel) close() error {
	m.closed.Store(true)
	return nil
}

type echoAnswer struct {
	model     echoModel
	prompt    int
	text      string // what is left to say
	limit     int    // how many tokens may still be said
	said      int
	over      bool
	cancelled atomic.Bool
}

func (a *echoAnswer) next() (part, error) {
	if a.over {
		return part{}, io.EOF
	}
	_, size := utf8.DecodeRuneInString(a.text)
	reason := ""
	switch {
	case a.cancelled.Load() || a.model.closed.Load():
		reason = "cancelled"
	case a.text == "":
		reason = "stop"
	case size > a.limit:
		reason = "length"
	}
	if reason != "" {
		a.over = true
		return lastPart(reason, a.prompt, a.said), nil
	}
	text := a.text[:size]
	a.text, a.limit, a.said = a.text[size:], a.limit-size, a.said+size
	tokens, err := a.model.appendTokens(nil, text, mullama.TokenizeOptions{})
	return part{text: text, tokens: tokens}, err
}

func lastPart(reason string, prompt, said int) part {
	return part{done: true, json: fmt.Appendf(nil,
		`{"done":true,"done_reason":"%s","prompt_eval_count":%d,"eval_count":%d}`,
		reason, prompt, said)}
}

func (a *echoAnswer) cancel() { a.cancelled.Store(true) }
