package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"unicode/utf8"

	"github.com/mullama/mullama"
)

// nativeRoutes are those of llama-server, and metrics.
func (s *Server) nativeRoutes() []route {
	return []route{
		{"GET /health", native, s.health},
		{"GET /v1/health", openAI, s.health},
		{"GET " + metricsPath, native, s.serveMetrics},
		{"GET /openapi.json", native, s.serveOpenAPI},
		{"GET /ws", native, s.serveSocket},
		{"GET " + tryPath, native, s.serveTry},
		{"POST /tokenize", native, s.tokenize},
		{"POST /detokenize", native, s.detokenize},
		{"POST /apply-template", native, s.applyTemplate},
		{"GET /props", native, s.props},
		{"GET /slots", native, s.slots},
		{"GET /lora-adapters", native, s.adapters},
		{"POST /lora-adapters", native, s.setAdapters},
		{"GET /models", native, s.openAIModels},
		{"POST /chat/completions", native, s.chatCompletions},
		{"POST /chat/completions/input_tokens", native, s.inputTokens},
		{"POST /v1/chat/completions/input_tokens", openAI, s.inputTokens},
		{"POST /embedding", native, s.nativeEmbedding},
		{"POST /embeddings", native, s.nativeEmbedding},
		{"POST /completion", native, s.nativeCompletion},
		{"POST /completions", native, s.nativeCompletion},
	}
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	if s.draining.Load() {
		return errDraining()
	}
	if s.loading.Load() {
		return refuse(http.StatusServiceUnavailable, "the model is being loaded")
	}
	return writeJSON(w, []byte(`{"status":"ok"}`))
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Process-Start-Time-Unix", processStart)
	s.metrics.handler().ServeHTTP(w, r)
	return nil
}

// maxTokenize is the longest text to tokenize: the time for some texts grows with the square of
// their length, and cannot be cut short.
const maxTokenize = 1 << 20

type tokenizeRequest struct {
	Model        string          `json:"model"`
	Content      json.RawMessage `json:"content"`
	AddSpecial   bool            `json:"add_special"`
	ParseSpecial *bool           `json:"parse_special"` // nil: true
	WithPieces   bool            `json:"with_pieces"`
}

func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) error {
	var req tokenizeRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if len(req.Content) > maxTokenize {
		return refuse(http.StatusRequestEntityTooLarge,
			"content is larger than %d KB; tokenize it in parts", maxTokenize>>10)
	}
	lease, release, err := s.borrow(r.Context(), req.Model)
	if err != nil {
		return err
	}
	defer release()
	tokens, err := mixedTokens(lease.Model, req.Content, mullama.TokenizeOptions{
		AddSpecial: req.AddSpecial, ParseSpecial: req.ParseSpecial == nil || *req.ParseSpecial,
	})
	if err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.put()
	buf.b = append(buf.b, `{"tokens":`...)
	if !req.WithPieces {
		buf.b = appendTokens(buf.b, tokens)
	} else if buf.b, err = appendPieces(buf.b, lease.Model, tokens); err != nil {
		return err
	}
	buf.b = append(buf.b, '}')
	return writeJSON(w, buf.b)
}

// mixedTokens reads a text, or a list of texts and token ids.
func mixedTokens(
	m *mullama.Model, data json.RawMessage, o mullama.TokenizeOptions,
) ([]mullama.Token, error) {
	data = bytes.TrimSpace(data)
	var text string
	if len(data) == 0 || string(data) == "null" {
		return nil, badField("content", "content is required")
	}
	if json.Unmarshal(data, &text) == nil {
		return m.Tokenize(text, o)
	}
	var list []any
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, badField("content", "content must be a string or a list of strings and tokens")
	}
	var all []mullama.Token
	for i, item := range list {
		if text, ok := item.(string); ok {
			tokens, err := m.Tokenize(text, mullama.TokenizeOptions{
				AddSpecial: o.AddSpecial && i == 0, ParseSpecial: o.ParseSpecial,
			})
			if err != nil {
				return nil, err
			}
			all = append(all, tokens...)
			continue
		}
		token, ok := toToken(item)
		if !ok {
			return nil, badField("content", "%s is neither a string nor a token", show(item))
		}
		all = append(all, token)
	}
	return all, checkTokens(m, "content", all)
}

// checkTokens refuses what is no token of a model's vocabulary.
func checkTokens(m *mullama.Model, field string, tokens []mullama.Token) error {
	vocab := m.Info().Vocab
	for _, token := range tokens {
		if token < 0 || int(token) >= vocab {
			return badField(field, "%s has the token %d; the model has those from 0 to %d", field,
				token, vocab-1)
		}
	}
	return nil
}

// appendPieces appends tokens with their texts. One that is no text alone is shown as bytes. The
// text of a token is what it adds to another one, because at the beginning of a text some
// vocabularies leave out a space.
func appendPieces(dst []byte, m *mullama.Model, tokens []mullama.Token) ([]byte, error) {
	anchor, err := m.Tokenize("a", mullama.TokenizeOptions{})
	if err != nil {
		return dst, err
	}
	alone, err := m.Detokenize(anchor)
	if err != nil {
		return dst, err
	}
	dst = append(dst, '[')
	for i, token := range tokens {
		piece, err := m.Detokenize(append(anchor[:len(anchor):len(anchor)], token))
		if err != nil {
			return dst, err
		}
		piece = piece[min(len(alone), len(piece)):]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = append(appendInt(dst, int(token)), `,"piece":`...)
		if utf8.Valid(piece) {
			dst = appendString(dst, piece)
		} else {
			dst = appendByteValues(dst, piece)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}

type detokenizeRequest struct {
	Model  string          `json:"model"`
	Tokens []mullama.Token `json:"tokens"`
}

func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) error {
	var req detokenizeRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	lease, release, err := s.borrow(r.Context(), req.Model)
	if err != nil {
		return err
	}
	defer release()
	if err := checkTokens(lease.Model, "tokens", req.Tokens); err != nil {
		return err
	}
	text, err := lease.Model.Detokenize(req.Tokens)
	if err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.put()
	buf.b = append(appendString(append(buf.b, `{"content":`...), text), '}')
	return writeJSON(w, buf.b)
}

// templateRequest is the body of POST /apply-template.
type templateRequest struct {
	chatCompletionRequest
	AddPrompt *bool `json:"add_generation_prompt"` // nil: true
}

func (s *Server) applyTemplate(w http.ResponseWriter, r *http.Request) error {
	prompt, err := s.formatChat(r)
	if err != nil {
		return err
	}
	return encode(w, map[string]string{"prompt": prompt.Text})
}

// inputTokens tells how many tokens a conversation has.
func (s *Server) inputTokens(w http.ResponseWriter, r *http.Request) error {
	prompt, err := s.formatChat(r)
	if err != nil {
		return err
	}
	return encode(w, map[string]any{
		"object": "response.input_tokens", "input_tokens": len(prompt.Tokens),
	})
}

// formatChat makes the prompt of a conversation that is not to be answered.
func (s *Server) formatChat(r *http.Request) (*mullama.ChatPrompt, error) {
	var req templateRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	messages, err := fromOpenAI(req.Messages)
	if err != nil {
		return nil, err
	}
	lease, release, err := s.borrow(r.Context(), req.Model)
	if err != nil {
		return nil, err
	}
	defer release()
	settings, err := s.settings(lease.Stored, mullama.DefaultSampling(), nil)
	if err != nil {
		return nil, err
	}
	if req.continues(messages) {
		req.AddPrompt = nil // it is there already
	}
	return lease.Model.FormatChat(messages, &mullama.ChatOptions{
		Template: s.templateOf(lease.Stored), Tools: req.Tools, TemplateValues: req.TemplateValues,
		Thinking: req.thinks(settings.think), Open: req.AddPrompt != nil && !*req.AddPrompt,
		Continue: req.continues(messages),
	})
}
