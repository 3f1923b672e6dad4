package mullama

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mullama/mullama/internal/chat"
	"github.com/mullama/mullama/internal/engine"
)

// GenerateOptions say how a text is continued. The zero value is ready to use.
type GenerateOptions struct {
	// Sampling says how tokens are picked. Nil: DefaultSampling.
	Sampling *Sampling
	// Chosen, if it is not nil, are the names in requests, such as "temperature" and "num_predict",
	// of what counts of Sampling and MaxTokens. For the rest a model of a daemon has PARAMETERs of
	// its own; others have none.
	Chosen []string
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
	// Truncate cuts a prompt that does not fit in the context instead of refusing it, and
	// [Stream.Truncation] says by how much: a conversation loses its oldest turns, a prompt the
	// tokens after the first Keep.
	Truncate bool
	Keep     int
	// Overflow says what happens when the context becomes full while the text is generated.
	Overflow Overflow
	// ParseSpecial turns the text of control tokens in the prompt into those tokens. Set it for
	// prompts that spell out a chat format, never for text from a user. [Model.Chat] ignores it.
	ParseSpecial bool
	// Fresh reads all of the prompt, also what the cache has of it from calls before.
	Fresh bool
	// Adapters are the model's LoRA adapters to use; those that are not listed are left out. None:
	// as the model was loaded. Calls with other adapters are not computed together.
	Adapters []AdapterScale
	// Thoughts takes what the model thinks out of the text. Nil leaves it there. [Model.Chat] has
	// [ChatOptions.ThoughtsApart] instead, and a [Client] takes no notice of it.
	Thoughts *Thoughts
}

// Overflow says what happens when a call's context becomes full.
type Overflow int

// The ways to deal with a full context.
const (
	// OverflowError ends the text with FinishLength.
	OverflowError Overflow = iota
	// OverflowShift goes on: the first Keep tokens stay, and half of the others is forgotten, the
	// oldest first. [Stats] says how many. Such a text ends only by the model, a stop string or
	// MaxTokens, so set that.
	OverflowShift
)

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
	if m.remote != nil {
		return m.remote.generate(ctx, m, prompt, opts)
	}
	defer m.expect()()
	clipped := 0
	if opts.Truncate {
		prompt, clipped = m.clip(prompt, opts.Keep)
	} else if err := m.checkLength(op, prompt); err != nil {
		return nil, err
	}
	special := TokenizeOptions{AddSpecial: true, ParseSpecial: opts.ParseSpecial}
	tokens, err := m.Tokenize(prompt, special)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return nil, invalid(op, "the prompt is empty, and this model has no token to begin with")
	}
	stream, err := m.GenerateTokens(ctx, tokens, opts)
	if err == nil {
		stream.truncation.Tokens += clipped
	}
	return stream, err
}

// likelyBytes is how many bytes a token has at most, as a rule.
const likelyBytes = 8

// checkLength refuses a text that is far too long for the context by tokenizing only a part of it.
// llama.cpp takes minutes for megabytes of characters that a vocabulary does not have, because the
// time grows with their square, and cannot be stopped.
func (m *Model) checkLength(op, text string) error { return m.tooLong(op, text, m.shared.size) }

// tooLong is checkLength for a context of so many tokens.
func (m *Model) tooLong(op, text string, size int) error {
	const slack = 1024 // tokens that a cut may add
	if size == 0 || len(text) <= likelyBytes*size {
		return nil
	}
	for n := 2*size + 2*slack; n < len(text); n *= 2 {
		tokens, err := m.Tokenize(text[:n], TokenizeOptions{})
		if err != nil {
			return nil // it may be the cut; the whole text will tell
		}
		if len(tokens) > size+slack {
			return &Error{Kind: ErrContextFull, Op: op, Err: &ContextFullError{
				Prompt: len(tokens), Context: size,
				Part: fmt.Sprintf("the first %d of %d bytes", n, len(text))}}
		}
	}
	return nil
}

// GenerateTokens is Generate for a prompt that is already tokens.
func (m *Model) GenerateTokens(
	ctx context.Context, prompt []Token, opts *GenerateOptions,
) (*Stream, error) {
	if opts == nil {
		opts = &GenerateOptions{}
	}
	if m.remote != nil {
		return m.remote.generateTokens(ctx, m, prompt, opts)
	}
	defer m.expect()()
	prompt, cut := m.fitTokens(prompt, opts)
	stream, err := m.submit(ctx, "generate", prompt, opts, nil)
	if err != nil {
		return nil, err
	}
	stream.truncation = cut
	return stream, nil
}

// submit hands a prompt to the engine. stops are those of the chat template.
func (m *Model) submit(
	ctx context.Context, op string, prompt []Token, opts *GenerateOptions, stops []string,
) (*Stream, error) {
	if err := m.enter(op); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	switch {
	case m.shared.embedders == nil:
		return nil, noWeights(op)
	case m.shared.engine == nil:
		return nil, &Error{Kind: ErrUnsupported, Op: op, Hint: "embed or rank with it",
			Err: errors.New("this model does not generate text")}
	}
	request, err := m.request(op, prompt, opts, stops)
	if err != nil {
		return nil, wrap(op, err)
	}
	if opts.Thoughts != nil {
		request.Shown = m.controlsIn(chat.Marks(opts.Thoughts.Start, opts.Thoughts.End))
	}
	ctx, end := m.untilClosed(ctx)
	inner, err := m.shared.engine.Submit(ctx, request)
	if err != nil {
		end()
		return nil, wrap(op, err)
	}
	return newStream(op, opts.Thoughts.from(engineSource{inner}), end), nil
}

// expect tells the engine that a prompt is being made, until arrived is called.
func (m *Model) expect() (arrived func()) {
	if m.shared.engine == nil {
		return func() {}
	}
	return m.shared.engine.Expect()
}

func noWeights(op string) error {
	return unsupported(op, "the model was loaded with its vocabulary only")
}

// untilClosed is a context that ends with ctx, with the model, or when end is called.
func (m *Model) untilClosed(ctx context.Context) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(m.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		unlink()
		cancel(nil)
	}
}

// check refuses what no model can do.
func (o *GenerateOptions) check(op string) error {
	switch {
	case o.MaxTokens < 0:
		return invalid(op, fmt.Sprintf("max tokens is %d; use 0 for as many as fit", o.MaxTokens))
	case o.TopLogprobs < 0 || o.TopLogprobs > MaxTopLogprobs:
		return invalid(op, fmt.Sprintf("top logprobs is %d; it must be from 0 to %d",
			o.TopLogprobs, MaxTopLogprobs))
	case o.Overflow != OverflowError && o.Overflow != OverflowShift:
		return invalid(op, fmt.Sprintf("overflow is %d; use OverflowError or OverflowShift",
			o.Overflow))
	case o.Grammar != "" && o.JSONSchema != "":
		return invalid(op, "a grammar and a JSON schema are both set; use one")
	case o.JSONSchema != "" && !json.Valid([]byte(o.JSONSchema)):
		return grammarError(op, "the JSON schema is not valid JSON")
	}
	if err := checkNesting(op, "the grammar", o.Grammar); err != nil {
		return err
	}
	return checkNesting(op, "the JSON schema", o.JSONSchema)
}

func (m *Model) request(
	op string, prompt []Token, opts *GenerateOptions, stops []string,
) (engine.Request, error) {
	if err := opts.check(op); err != nil {
		return engine.Request{}, err
	}
	adapters, err := m.adaptersFor(op, opts.Adapters)
	if err != nil {
		return engine.Request{}, err
	}
	grammar, err := m.grammar(opts)
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
	params.RepeatLastN = m.lookBack(params.RepeatLastN)
	params.DRYLastN = m.lookBack(params.DRYLastN)
	return engine.Request{
		Prompt:      prompt,
		Sampling:    params,
		MaxTokens:   opts.MaxTokens,
		Stop:        append(stops, opts.Stop...),
		Logprobs:    opts.Logprobs || opts.TopLogprobs > 0,
		TopLogprobs: opts.TopLogprobs,
		Repeatable:  sampling.Seed != nil,
		Fresh:       opts.Fresh,
		Shift:       opts.Overflow == OverflowShift,
		Keep:        opts.Keep,
		Adapters:    adapters,
	}, nil
}

// lookBack is n tokens, or all that the context can hold if n is -1 or more than that: the sampler
// takes memory for as many as it is told to look at.
func (m *Model) lookBack(n int) int {
	if n < 0 || n > m.shared.size {
		return m.shared.size
	}
	return n
}

func (m *Model) grammar(opts *GenerateOptions) (string, error) {
	if opts.JSONSchema == "" {
		return opts.Grammar, nil
	}
	return m.shared.lib.SchemaToGrammar([]byte(opts.JSONSchema))
}

// maxNesting is how deep the brackets of a grammar or JSON schema may go. llama.cpp's parsers call
// themselves for each level and would overflow the stack at some 20000.
const maxNesting = 500

// checkNesting refuses text with too many brackets open at once. Brackets between double quotes do
// not count.
func checkNesting(op, what, text string) error {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++ // the next character stands for itself
		case c == '"':
			quoted = !quoted
		case quoted:
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case strings.IndexByte(")]}", c) >= 0:
			depth = max(0, depth-1)
		}
		if depth > maxNesting {
			return grammarError(op, fmt.Sprintf("%s has more than %d brackets in each other; "+
				"flatten it", what, maxNesting))
		}
	}
	return nil
}

func grammarError(op, message string) error {
	return &Error{Kind: ErrGrammar, Op: op, Err: errors.New(message)}
}

// errNoAnswer is a broken promise of the engine: a stream that ended without saying why.
var errNoAnswer = errors.New("the stream ended without a reason")
