package server

import (
	"bytes"
	"context"
	"log/slog"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// Local answers requests of Ollama's API on one model in this process, without HTTP: what the
// bindings of other languages send is read, checked and answered as by the daemon. Its methods may
// be called from any goroutine.
type Local struct {
	server *Server
	model  *mullama.Model
	stored *mullama.StoredModel
}

// NewLocal returns a Local for a loaded model. What the model brings beside its weights is in
// stored; nil for a file.
func NewLocal(model *mullama.Model, stored *mullama.StoredModel) *Local {
	info := model.Info()
	if stored == nil {
		stored = &mullama.StoredModel{Name: info.Name, Path: info.Path,
			Capabilities: info.Capabilities}
	}
	return &Local{&Server{log: slog.New(slog.DiscardHandler)}, model, stored}
}

// Chat begins to answer a request of POST /api/chat. Its model, stream and keep_alive are ignored.
// Unlike the daemon it refuses what does not fit in the context, unless the request says truncate
// or shift.
func (l *Local) Chat(ctx context.Context, body []byte) (*Answer, error) {
	req, err := ReadChat(body)
	if err != nil {
		return nil, err
	}
	run, err := l.run(req.Options, true)
	if err != nil {
		return nil, err
	}
	stream, err := run.startChat(ctx, req)
	return newAnswer(run, stream, err)
}

// Generate begins to answer a request of POST /api/generate, as Chat does.
func (l *Local) Generate(ctx context.Context, body []byte) (*Answer, error) {
	req, err := ReadGenerate(body)
	if err != nil {
		return nil, err
	}
	run, err := l.run(req.Options, false)
	if err != nil {
		return nil, err
	}
	stream, err := run.startPrompt(ctx, req)
	return newAnswer(run, stream, err)
}

// Render returns the text of the prompt that a request of POST /api/chat makes.
func (l *Local) Render(body []byte) (string, error) {
	req, err := ReadChat(body)
	if err != nil {
		return "", err
	}
	run, err := l.run(req.Options, true)
	if err != nil {
		return "", err
	}
	messages, err := run.configureChat(req)
	if err != nil {
		return "", err
	}
	prompt, err := l.model.FormatChat(messages, &run.chat)
	if err != nil {
		return "", err
	}
	return prompt.Text, nil
}

// ReadChat reads a request for Chat. No body is an empty object.
func ReadChat(body []byte) (*api.ChatRequest, error) {
	req := new(api.ChatRequest)
	if err := unmarshal(orEmpty(body), req); err != nil {
		return nil, err
	}
	if len(req.Messages) == 0 {
		return nil, badField("messages", "messages must not be empty")
	}
	req.Truncate, req.Shift = orFalse(req.Truncate), orFalse(req.Shift)
	return req, nil
}

// ReadGenerate reads a request for Generate.
func ReadGenerate(body []byte) (*api.GenerateRequest, error) {
	req := new(api.GenerateRequest)
	if err := unmarshal(orEmpty(body), req); err != nil {
		return nil, err
	}
	if isEmpty(req) {
		return nil, badField("prompt", "prompt must not be empty")
	}
	req.Truncate, req.Shift = orFalse(req.Truncate), orFalse(req.Shift)
	return req, nil
}

func orEmpty(body []byte) []byte {
	if len(body) == 0 {
		return []byte("{}")
	}
	return body
}

func orFalse(b *bool) *bool {
	if b == nil {
		return new(bool)
	}
	return b
}

// run prepares an answer under the options of a request.
func (l *Local) run(options map[string]any, chat bool) (*ollamaRun, error) {
	if err := CheckRequestOptions(options); err != nil {
		return nil, err
	}
	settings, err := l.server.settings(l.stored, mullama.DefaultSampling(),
		[]map[string]any{options})
	if err != nil {
		return nil, err
	}
	if err := settings.sampling.Validate(); err != nil {
		return nil, err
	}
	if err := settings.biasTexts(l.model); err != nil {
		return nil, err
	}
	return l.server.newRun(&job{
		Model: l.model, name: l.stored.Name, stored: l.stored,
		lease: &mullama.Lease{Model: l.model, Stored: l.stored}, generate: settings.finish(),
		think: settings.think,
	}, chat), nil
}

// CheckRequestOptions finds what is wrong with the options of a request to a model that is loaded
// already.
func CheckRequestOptions(options map[string]any) error {
	asked := newSettings(mullama.LoadOptions{}, mullama.DefaultSampling())
	if err := asked.apply(options, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if asked.reload {
		return badField("options",
			"num_ctx and other options of loading belong to the call that loads the model")
	}
	return nil
}

// Answer is an answer that is being generated. One goroutine at a time reads it.
type Answer struct {
	run    *ollamaRun
	stream *mullama.Stream
}

func newAnswer(run *ollamaRun, stream *mullama.Stream, err error) (*Answer, error) {
	if err != nil {
		return nil, err
	}
	return &Answer{run, stream}, nil
}

// AnswerPart is a piece of an answer.
type AnswerPart struct {
	Text, Thinking string
	Tokens         []mullama.Token
	// JSON is null but for the last part, which is as the last line of the daemon's answer, and
	// for parts with log probabilities, {"logprobs": […]}.
	JSON []byte
	Done bool
}

// Next waits for the next part that has something in it. After the last one it returns [io.EOF]. An
// answer that was cancelled ends with done_reason "cancelled".
func (a *Answer) Next() (AnswerPart, error) {
	for {
		chunk, err := a.stream.Next()
		if err != nil {
			return AnswerPart{}, err
		}
		p := a.run.part(&chunk)
		out := AnswerPart{Text: p.text, Thinking: p.thinking, Tokens: chunk.Tokens,
			Done: chunk.Done}
		if len(p.logprobs) > 0 {
			out.JSON = append(appendLogprobsOf([]byte(`{"logprobs":`), p.logprobs,
				a.run.tokens), '}')
		}
		if chunk.Done {
			last := part{logprobs: p.logprobs, final: a.run.final(&chunk, a.stream)}
			out.JSON = bytes.TrimSpace(a.run.encoder.append(nil, &last))
		}
		if out.Done || out.Text != "" || out.Thinking != "" || len(out.Tokens) > 0 {
			return out, nil
		}
	}
}

// Close ends the answer, from any goroutine. It returns nil and may be called more than once.
func (a *Answer) Close() error { return a.stream.Close() }

// Explain returns the message with which the daemon answers an error: its text, and a hint.
func Explain(err error) string { return toFailure(err).message }
