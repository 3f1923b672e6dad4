package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
	"github.com/mullama/mullama/internal/server"
)

// remote is a daemon, which answers the same requests.
type remote struct{ client *api.Client }

func openRemote(o *runtimeOptions) (engine, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, invalid("url %q is no address of a daemon; write it like "+
			"http://127.0.0.1:11434", o.URL)
	}
	client := api.NewClient(base, nil)
	if o.Key != "" {
		client = client.WithKey(o.Key)
	}
	return remote{client}, nil
}

func (r remote) info() ([]byte, error) {
	version, err := r.client.Version(context.Background())
	if err != nil {
		return nil, remoteError(err)
	}
	return json.Marshal(map[string]any{"version": version, "engine": "daemon"})
}

func (r remote) models() ([]byte, error) {
	list, err := r.client.List(context.Background())
	if err != nil {
		return nil, remoteError(err)
	}
	return json.Marshal(list)
}

// load looks whether the daemon has the model, and has it loaded. Of the options only ctx_size goes
// with requests; the others are the daemon's own business.
func (r remote) load(ctx context.Context, name string, o *mullama.LoadOptions) (model, error) {
	show, err := r.client.Show(ctx, &api.ShowRequest{Model: name})
	if err != nil {
		return nil, remoteError(err)
	}
	m := remoteModel{r.client, name, show, o.ContextSize}
	if o.VocabOnly {
		return m, nil
	}
	return m, remoteError(r.client.Load(ctx, name, nil))
}

func (remote) close() error { return nil }

type remoteModel struct {
	client  *api.Client
	name    string
	show    *api.ShowResponse
	context int
}

func (m remoteModel) info() ([]byte, error) {
	return json.Marshal(map[string]any{"model": m.show, "ctx_size": m.context})
}

func (m remoteModel) appendTokens(
	dst []mullama.Token, text string, o mullama.TokenizeOptions,
) ([]mullama.Token, error) {
	tokens, err := m.client.Tokenize(context.Background(), &api.TokenizeRequest{
		Model: m.name, Content: text, AddSpecial: o.AddSpecial, ParseSpecial: o.ParseSpecial})
	return append(dst, tokens...), remoteError(err)
}

func (m remoteModel) detokenize(tokens []mullama.Token) ([]byte, error) {
	text, err := m.client.Detokenize(context.Background(), m.name, tokens)
	return []byte(text), remoteError(err)
}

func (m remoteModel) render(request []byte) (string, error) {
	req, err := m.chatRequest(request)
	if err != nil {
		return "", err
	}
	req.DebugRenderOnly = true
	for response, err := range m.client.Chat(context.Background(), req) {
		if err != nil {
			return "", remoteError(err)
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
	req.Model, req.Stream, req.KeepAlive = m.name, nil, nil
	req.Options = m.options(req.Options)
	return req, nil
}

// options are those of a request with the size of the context.
func (m remoteModel) options(options map[string]any) map[string]any {
	if m.context == 0 {
		return options
	}
	with := map[string]any{"num_ctx": m.context}
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
	return newRemoteAnswer(
		func(ctx context.Context) iter.Seq2[*api.ChatResponse, error] {
			return m.client.Chat(ctx, req)
		},
		func(r *api.ChatResponse) part {
			p := part{text: r.Message.Content, thinking: r.Message.Thinking, done: r.Done}
			r.Message.Content, r.Message.Thinking = "", ""
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
	req.Model, req.Stream, req.KeepAlive = m.name, nil, nil
	req.Options = m.options(req.Options)
	return newRemoteAnswer(
		func(ctx context.Context) iter.Seq2[*api.GenerateResponse, error] {
			return m.client.Generate(ctx, req)
		},
		func(r *api.GenerateResponse) part {
			p := part{text: r.Response, thinking: r.Thinking, done: r.Done}
			r.Response, r.Thinking = "", ""
			p.json = remoteJSON(r, r.Done, r.Logprobs)
			return p
		})
}

func (remoteModel) close() error { return nil }

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

// remoteAnswer has the parts of an answer, which a goroutine reads. The first is read when it
// begins, so that what is wrong with a request is said there, as by the engine in this process.
type remoteAnswer struct {
	ctx   context.Context // ends when the answer is cancelled
	stop  context.CancelFunc
	parts <-chan remotePart
	first *part
	over  bool
}

type remotePart struct {
	part part
	err  error
}

func newRemoteAnswer[T any](
	start func(context.Context) iter.Seq2[T, error], toPart func(T) part,
) (answer, error) {
	ctx, stop := context.WithCancel(context.Background())
	parts := make(chan remotePart)
	go func() { // owns parts; ends with the answer, or with ctx
		defer close(parts)
		for response, err := range start(ctx) {
			var p remotePart
			if err != nil {
				p.err = remoteError(err)
			} else {
				p.part = toPart(response)
			}
			select {
			case parts <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	a := &remoteAnswer{ctx: ctx, stop: stop, parts: parts}
	first, err := a.next()
	if err != nil {
		stop()
		return nil, err
	}
	a.first, a.over = &first, false
	return a, nil
}

func (a *remoteAnswer) next() (part, error) {
	if p := a.first; p != nil {
		a.first, a.over = nil, p.done
		return *p, nil
	}
	if a.over {
		return part{}, io.EOF
	}
	var p remotePart
	ok := false
	select {
	case p, ok = <-a.parts:
	case <-a.ctx.Done():
	}
	switch {
	case a.ctx.Err() != nil && !p.part.done:
		a.over = true
		return part{json: []byte(`{"done":true,"done_reason":"cancelled"}`), done: true}, nil
	case !ok:
		return part{}, io.EOF
	}
	a.over = p.part.done || p.err != nil
	return p.part, p.err
}

func (a *remoteAnswer) cancel() { a.stop() }

// remoteError gives an error of the daemon the kind that the engine in this process would have.
func remoteError(err error) error {
	if err == nil {
		return nil
	}
	kind := mullama.ErrInternal
	status := (*api.StatusError)(nil)
	if !errors.As(err, &status) {
		return &mullama.Error{Kind: kind, Op: "ask the daemon", Err: err,
			Hint: "is it running, and is the url right?"}
	}
	switch status.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		kind = mullama.ErrInvalidOption
		if strings.Contains(status.Message, mullama.ErrContextFull.Error()) {
			kind = mullama.ErrContextFull
		}
	case http.StatusNotFound:
		kind = mullama.ErrNotFound
	case http.StatusServiceUnavailable:
		kind = mullama.ErrBusy
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = mullama.ErrInvalidOption
	}
	return &mullama.Error{Kind: kind, Err: fmt.Errorf("%w", status)}
}
