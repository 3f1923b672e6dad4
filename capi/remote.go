package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync/atomic"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
	"github.com/mullama/mullama/internal/server"
)

// remote is a daemon, which answers the same requests.
type remote struct {
	client *mullama.Client
	dir    string
}

func openRemote(o *runtimeOptions) (engine, error) {
	client, err := mullama.NewClient(o.URL, mullama.ClientOptions{Key: o.Key})
	if err != nil {
		return nil, invalid("url: %v", err)
	}
	return remote{client, o.LibraryDir}, nil
}

func (r remote) info() ([]byte, error) {
	version, err := r.client.API().Version(context.Background())
	if err != nil {
		return nil, mullama.DaemonError("open", err)
	}
	return json.Marshal(map[string]any{"version": version, "engine": "daemon"})
}

func (r remote) models() ([]byte, error) {
	list, err := r.client.API().List(context.Background())
	if err != nil {
		return nil, mullama.DaemonError("list models", err)
	}
	return json.Marshal(list)
}

// load has the daemon load a model. Of the options only ctx_size goes with requests; the others are
// the daemon's own business.
func (r remote) load(ctx context.Context, name string, o *mullama.LoadOptions) (model, error) {
	m, err := r.client.Load(ctx, name, &mullama.LoadOptions{
		ContextSize: o.ContextSize, VocabOnly: o.VocabOnly, Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	out := remoteModel{embedding: embedding{m}, api: r.client.API(), name: name,
		size: o.ContextSize}
	out.ctx, out.stop = context.WithCancel(context.Background())
	return out, nil
}

func (r remote) libraryDir() string { return r.dir }

func (r remote) close() error { return r.client.Close() }

// remoteModel sends requests as they are, so that they are for the daemon to understand.
type remoteModel struct {
	embedding
	api  *api.Client
	name string
	size int             // of the context; 0: the daemon's own
	ctx  context.Context // ends answers when the model is closed
	stop context.CancelFunc
}

func (m remoteModel) info() ([]byte, error) {
	return json.Marshal(map[string]any{"model": m.Info(), "ctx_size": m.ContextSize(),
		"slots": m.Slots()})
}

func (m remoteModel) appendTokens(
	dst []mullama.Token, text string, o mullama.TokenizeOptions,
) ([]mullama.Token, error) {
	return m.AppendTokens(dst, text, o)
}

func (m remoteModel) detokenize(tokens []mullama.Token) ([]byte, error) {
	return m.Detokenize(tokens)
}

func (m remoteModel) close() error {
	m.stop()
	return m.Close()
}

func (m remoteModel) render(request []byte) (string, error) {
	req, err := m.chatRequest(request)
	if err != nil {
		return "", err
	}
	req.DebugRenderOnly = true
	for response, err := range m.api.Chat(m.ctx, req) {
		if err != nil {
			return "", mullama.DaemonError("render a prompt", err)
		}
		if response.Debug != nil {
			return response.Debug.RenderedTemplate, nil
		}
	}
	return "", &mullama.Error{Kind: mullama.ErrUnsupported, Op: "render a prompt",
		Err: errors.New("the daemon does not tell it")}
}

func (m remoteModel) chatRequest(request []byte) (*api.ChatRequest, error) {
	req, err := server.ReadChat(request)
	if err != nil {
		return nil, err
	}
	if err := server.CheckRequestOptions(req.Options); err != nil {
		return nil, err
	}
	req.Model, req.Stream, req.KeepAlive, req.ReturnTokens = m.name, nil, nil, true
	req.Options = m.options(req.Options)
	return req, nil
}

// options are those of a request with the size of the context.
func (m remoteModel) options(options map[string]any) map[string]any {
	if m.size == 0 {
		return options
	}
	with := map[string]any{"num_ctx": m.size}
	for name, value := range options {
		with[name] = value
	}
	return with
}

func (m remoteModel) chat(request []byte) (answer, error) {
	req, err := m.chatRequest(request)
	if err != nil {
		return nil, err
	}
	return newRemoteAnswer(m.ctx,
		func(ctx context.Context) (*api.Answer[api.ChatResponse], error) {
			return m.api.StartChat(ctx, req)
		},
		func(r *api.ChatResponse) part {
			p := part{text: r.Message.Content, thinking: r.Message.Thinking, tokens: r.Tokens,
				done: r.Done}
			r.Message.Content, r.Message.Thinking, r.Tokens = "", "", nil
			p.json = remoteJSON(r, r.Done, r.Logprobs)
			return p
		})
}

func (m remoteModel) generate(request []byte) (answer, error) {
	req, err := server.ReadGenerate(request)
	if err != nil {
		return nil, err
	}
	if err := server.CheckRequestOptions(req.Options); err != nil {
		return nil, err
	}
	req.Model, req.Stream, req.KeepAlive, req.ReturnTokens = m.name, nil, nil, true
	req.Options = m.options(req.Options)
	return newRemoteAnswer(m.ctx,
		func(ctx context.Context) (*api.Answer[api.GenerateResponse], error) {
			return m.api.StartGenerate(ctx, req)
		},
		func(r *api.GenerateResponse) part {
			p := part{text: r.Response, thinking: r.Thinking, tokens: r.Tokens, done: r.Done}
			r.Response, r.Thinking, r.Tokens = "", "", nil
			p.json = remoteJSON(r, r.Done, r.Logprobs)
			return p
		})
}

// remoteJSON is what a part tells beside its text.
func remoteJSON(response any, done bool, logprobs []api.Logprob) []byte {
	var data []byte
	switch {
	case done:
		data, _ = json.Marshal(response) // it was read from JSON
	case len(logprobs) > 0:
		data, _ = json.Marshal(map[string]any{"logprobs": logprobs})
	}
	return data
}

type remoteAnswer[T any] struct {
	ctx       context.Context
	answer    *api.Answer[T]
	toPart    func(*T) part
	over      bool
	cancelled atomic.Bool
}

// newRemoteAnswer asks a daemon, and returns when the answer begins or is refused.
func newRemoteAnswer[T any](
	ctx context.Context, start func(context.Context) (*api.Answer[T], error),
	toPart func(*T) part,
) (answer, error) {
	a, err := start(ctx)
	if err != nil {
		return nil, mullama.DaemonError("answer", err)
	}
	return &remoteAnswer[T]{ctx: ctx, answer: a, toPart: toPart}, nil
}

func (a *remoteAnswer[T]) next() (part, error) {
	if a.over {
		return part{}, io.EOF
	}
	response, err := a.answer.Next()
	if err != nil {
		a.over = true
		if a.cancelled.Load() || a.ctx.Err() != nil {
			return part{json: []byte(`{"done":true,"done_reason":"cancelled"}`), done: true}, nil
		}
		return part{}, mullama.DaemonError("answer", err)
	}
	p := a.toPart(response)
	a.over = p.done
	return p, nil
}

func (a *remoteAnswer[T]) cancel() {
	a.cancelled.Store(true)
	_ = a.answer.Close()
}
