package mullama

import (
	"context"
	"errors"
	"fmt"

	"github.com/mullama/mullama/internal/engine"
)

// GenerateOptions say how a text is continued. The zero value is ready to use.
type GenerateOptions struct {
	// Sampling says how tokens are picked. Nil: DefaultSampling.
	Sampling *Sampling
	// MaxTokens is the most tokens to generate. 0: until the model ends or the context is full.
	MaxTokens int
	// Stop lists strings that end the text; they are not part of it.
	Stop []string
	// Logprobs asks for the log probability of each token, TopLogprobs also for those of that many
	// of the likeliest tokens.
	Logprobs    bool
	TopLogprobs int
	// Grammar in GBNF, or JSONSchema, constrains the text. At most one of them may be set.
	Grammar    string
	JSONSchema string
	// ParseSpecial turns the text of control tokens in the prompt into those tokens. Set it for
	// prompts that spell out a chat format, never for text from a user. [Model.Chat] ignores it.
	ParseSpecial bool
}

// MaxTopLogprobs is the largest TopLogprobs.
const MaxTopLogprobs = 1000

// Generate continues prompt. It does not wait for the text; see [Stream]. When ctx ends, the stream
// ends with FinishCancelled.
func (m *Model) Generate(
	ctx context.Context, prompt string, opts *GenerateOptions,
) (*Stream, error) {
	const op = "generate"
	if opts == nil {
		opts = &GenerateOptions{}
	}
	special := TokenizeOptions{AddSpecial: true, ParseSpecial: opts.ParseSpecial}
	tokens, err := m.Tokenize(prompt, special)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return nil, invalid(op, "the prompt is empty, and this model has no token to begin with")
	}
	return m.submit(ctx, op, tokens, opts, nil)
}

// GenerateTokens is Generate for a prompt that is already tokens.
func (m *Model) GenerateTokens(
	ctx context.Context, prompt []Token, opts *GenerateOptions,
) (*Stream, error) {
	if opts == nil {
		opts = &GenerateOptions{}
	}
	return m.submit(ctx, "generate", prompt, opts, nil)
}

// submit hands a prompt to the engine. stops are those of the chat template.
func (m *Model) submit(
	ctx context.Context, op string, prompt []Token, opts *GenerateOptions, stops []string,
) (*Stream, error) {
	if err := m.enter(op); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	if m.shared.engine == nil {
		return nil, &Error{Kind: ErrUnsupported, Op: op,
			Err: errors.New("the model was loaded with its vocabulary only")}
	}
	request, err := m.request(op, prompt, opts, stops)
	if err != nil {
		return nil, wrap(op, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(m.ctx, func() { cancel(ErrClosed) })
	end := func() {
		unlink()
		cancel(nil)
	}
	inner, err := m.shared.engine.Submit(ctx, request)
	if err != nil {
		end()
		return nil, wrap(op, err)
	}
	return newStream(op, inner, end), nil
}

func (m *Model) request(
	op string, prompt []Token, opts *GenerateOptions, stops []string,
) (engine.Request, error) {
	if opts.MaxTokens < 0 {
		return engine.Request{}, invalid(op, fmt.Sprintf(
			"max tokens is %d; use 0 for as many as fit", opts.MaxTokens))
	}
	if opts.TopLogprobs < 0 || opts.TopLogprobs > MaxTopLogprobs {
		return engine.Request{}, invalid(op, fmt.Sprintf(
			"top logprobs is %d; it must be from 0 to %d", opts.TopLogprobs, MaxTopLogprobs))
	}
	grammar, err := m.grammar(op, opts)
	if err != nil {
		return engine.Request{}, err
	}
	sampling := DefaultSampling()
	if opts.Sampling != nil {
		sampling = *opts.Sampling
	}
	params, err := sampling.toEngine(grammar)
	if err != nil {
		return engine.Request{}, err
	}
	return engine.Request{
		Prompt:      prompt,
		Sampling:    params,
		MaxTokens:   opts.MaxTokens,
		Stop:        append(stops, opts.Stop...),
		Logprobs:    opts.Logprobs || opts.TopLogprobs > 0,
		TopLogprobs: opts.TopLogprobs,
	}, nil
}

func (m *Model) grammar(op string, opts *GenerateOptions) (string, error) {
	if opts.Grammar != "" && opts.JSONSchema != "" {
		return "", invalid(op, "a grammar and a JSON schema are both set; use one")
	}
	if opts.JSONSchema == "" {
		return opts.Grammar, nil
	}
	return m.shared.lib.SchemaToGrammar([]byte(opts.JSONSchema))
}

// errNoAnswer is a broken promise of the engine: a stream that ended without saying why.
var errNoAnswer = errors.New("the stream ended without a reason")
