package mullama

import (
	"context"
	"errors"

	"github.com/mullama/mullama/api"
)

// remote is a model of a daemon. Its methods do what those of Model do.
type remote struct {
	api       *api.Client
	name      string
	options   map[string]any // of loading; each request repeats them
	slots     int
	vocabOnly bool
}

func (r *remote) tokenize(
	ctx context.Context, text string, o TokenizeOptions,
) ([]Token, error) {
	const op = "tokenize"
	tokens, err := r.api.Tokenize(ctx, &api.TokenizeRequest{Model: r.name, Content: text,
		AddSpecial: o.AddSpecial, ParseSpecial: o.ParseSpecial})
	return tokens, orClosed(ctx, op, err)
}

func (r *remote) detokenize(ctx context.Context, tokens []Token) ([]byte, error) {
	const op = "detokenize"
	text, err := r.api.Detokenize(ctx, r.name, tokens)
	return []byte(text), orClosed(ctx, op, err)
}

// orClosed gives the error of a request its kind. ctx ends when the model is closed, at the latest.
func orClosed(ctx context.Context, op string, err error) error {
	switch cause := context.Cause(ctx); {
	case err == nil:
		return nil
	case errors.Is(cause, ErrClosed):
		return &Error{Kind: ErrClosed, Op: op, Err: errors.New("the model is closed")}
	case cause != nil:
		return &Error{Kind: ErrCancelled, Op: op, Err: cause}
	}
	return DaemonError(op, err)
}

func (r *remote) generate(
	ctx context.Context, m *Model, prompt string, o *GenerateOptions,
) (*Stream, error) {
	if prompt == "" { // for a daemon, that is to load the model and no more
		tokens, err := m.Tokenize(prompt, TokenizeOptions{AddSpecial: true})
		if err != nil {
			return nil, err
		}
		return r.generateTokens(ctx, m, tokens, o)
	}
	request := r.generateRequest(o)
	request.Prompt, request.Raw, request.ParseSpecial = prompt, true, &o.ParseSpecial
	return r.continued(ctx, m, request, o)
}

func (r *remote) generateTokens(
	ctx context.Context, m *Model, prompt []Token, o *GenerateOptions,
) (*Stream, error) {
	if len(prompt) == 0 {
		return nil, invalid("generate", "the prompt is empty, and this model has no token to "+
			"begin with")
	}
	request := r.generateRequest(o)
	request.Tokens = prompt
	return r.continued(ctx, m, request, o)
}

func (r *remote) generateRequest(o *GenerateOptions) *api.GenerateRequest {
	overflow := o.Overflow == OverflowShift
	return &api.GenerateRequest{
		Model: r.name, Options: r.requestOptions(o), Format: o.format(),
		Truncate: &o.Truncate, Shift: &overflow,
		Logprobs: o.Logprobs || o.TopLogprobs > 0, TopLogprobs: o.TopLogprobs,
		ReturnTokens: true, ThoughtsInText: true,
	}
}

func (r *remote) continued(
	ctx context.Context, m *Model, request *api.GenerateRequest, o *GenerateOptions,
) (*Stream, error) {
	return begin(ctx, m, "generate", o, false,
		func(ctx context.Context) (*api.Answer[api.GenerateResponse], error) {
			return r.api.StartGenerate(ctx, request)
		},
		func(p *api.GenerateResponse) *remotePart {
			return &remotePart{p.Response, p.Thinking, p.Tokens, p.Logprobs, p.Done, p.DoneReason,
				&p.Metrics}
		})
}

func (r *remote) chat(
	ctx context.Context, m *Model, messages []Message, o *ChatOptions,
) (*Stream, error) {
	request, err := r.chatRequest(m, messages, o)
	if err != nil {
		return nil, err
	}
	return begin(ctx, m, "chat", &o.GenerateOptions, o.ThoughtsApart,
		func(ctx context.Context) (*api.Answer[api.ChatResponse], error) {
			return r.api.StartChat(ctx, request)
		},
		func(p *api.ChatResponse) *remotePart {
			return &remotePart{p.Message.Content, p.Message.Thinking, p.Tokens, p.Logprobs, p.Done,
				p.DoneReason, &p.Metrics}
		})
}

func (r *remote) chatRequest(
	m *Model, messages []Message, o *ChatOptions,
) (*api.ChatRequest, error) {
	if len(messages) == 0 {
		return nil, invalid("chat", "there are no messages; give at least one")
	}
	if _, _, err := splitBegun(messages, o); err != nil {
		return nil, err
	}
	overflow, prompt := o.Overflow == OverflowShift, !o.Open
	request := &api.ChatRequest{
		Model: r.name, Options: r.requestOptions(&o.GenerateOptions), Format: o.format(),
		Truncate: &o.Truncate, Shift: &overflow, Tools: o.Tools,
		Logprobs: o.Logprobs || o.TopLogprobs > 0, TopLogprobs: o.TopLogprobs,
		Template: o.Template, TemplateValues: o.TemplateValues,
		Continue: &o.Continue, AddPrompt: &prompt,
		ReturnTokens: true, ThoughtsInText: !o.ThoughtsApart,
	}
	for i := range messages {
		request.Messages = append(request.Messages, messages[i].toAPI())
	}
	if o.Thinking != nil && m.shared.info.can("thinking") {
		request.Think = &api.Think{Enabled: *o.Thinking}
		if level, ok := o.TemplateValues["reasoning_effort"].(string); ok && *o.Thinking {
			request.Think.Level = level
		}
	}
	return request, nil
}

func (r *remote) formatChat(m *Model, messages []Message, o *ChatOptions) (*ChatPrompt, error) {
	const op = "chat"
	request, err := r.chatRequest(m, messages, o)
	if err != nil {
		return nil, err
	}
	if err := m.enter(op); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	request.DebugRenderOnly = true
	for response, err := range r.api.Chat(m.ctx, request) {
		if err != nil {
			return nil, orClosed(m.ctx, op, err)
		}
		if d := response.Debug; d != nil {
			return &ChatPrompt{Text: d.RenderedTemplate, Tokens: d.Tokens, Stops: d.Stops}, nil
		}
		break
	}
	return nil, unsupported(op, "this daemon does not tell its prompts")
}
