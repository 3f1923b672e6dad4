package cli

import (
	"context"
	"iter"
	"strings"

	"github.com/mullama/mullama"
)

// talk is a conversation with one model: what was chosen, and what was said so far. One goroutine
// uses it.
type talk struct {
	model       Model
	settings    *settings
	shape       shapeFlags
	system      string
	raw         bool // prompts are continued as they stand; nothing is remembered
	special     bool // a raw prompt may name control tokens
	json        bool
	verbose     bool
	topLogprobs int // -1: no log probabilities
	thinking    thinking
	messages    []mullama.Message
}

// newTalk starts a conversation. A model without a chat template is talked to raw, which is said.
func (a *app) newTalk(model Model, o *runOptions) (*talk, error) {
	t := &talk{
		model: model, settings: o.settings, shape: o.shape, system: o.system,
		raw: o.raw, special: o.special, json: o.json, verbose: o.verbose, topLogprobs: o.logprobs,
		thinking: o.thinking,
	}
	if err := t.thinking.check(model.Info(), t.raw); err != nil {
		return nil, err
	}
	if t.raw || model.Info().Template != "" {
		return t, nil
	}
	if t.system != "" {
		return nil, usage("this model has no chat template, so --system has no place to go").
			withHint("put the text into the prompt")
	}
	t.raw = true
	a.note("this model has no chat template; the prompt is continued as it stands")
	return t, nil
}

// note prints a sentence on stderr that is no error.
func (a *app) note(text string) {
	_, _ = a.stderr.Write([]byte("mullama: " + text + "\n"))
}

// options returns the options of the next request.
func (t *talk) options() mullama.GenerateOptions {
	opts := t.settings.request()
	t.shape.apply(&opts)
	opts.Logprobs = t.topLogprobs >= 0
	opts.TopLogprobs = max(t.topLogprobs, 0)
	return opts
}

// ask starts the answer to text.
func (t *talk) ask(ctx context.Context, text string) iter.Seq2[mullama.Chunk, error] {
	opts := t.options()
	if t.raw {
		opts.ParseSpecial = t.special
		return t.model.Generate(ctx, text, &opts)
	}
	var messages []mullama.Message
	if t.system != "" {
		messages = append(messages, mullama.Message{Role: "system", Content: t.system})
	}
	messages = append(messages, t.messages...)
	messages = append(messages, mullama.Message{Role: "user", Content: text})
	chat := &mullama.ChatOptions{GenerateOptions: opts}
	t.thinking.apply(chat, t.model.Info())
	return t.model.Chat(ctx, messages, chat)
}

// answer prints the answer to text as it comes and returns the last chunk. What was said is
// remembered, also when the answer was cut short; after an error nothing is.
func (t *talk) answer(
	ctx context.Context,
	text string,
	printer answerPrinter,
) (mullama.Chunk, error) {
	var said, thought strings.Builder
	var last mullama.Chunk
	for chunk, err := range t.ask(ctx, text) {
		if err != nil && ctx.Err() == nil {
			printer.fail(err)
			return last, err
		}
		if err != nil { // the user cut it short
			last.FinishReason = mullama.FinishCancelled
			break
		}
		said.WriteString(chunk.Text)
		thought.WriteString(chunk.Thinking)
		last = chunk
		if err := printer.chunk(chunk); err != nil {
			return last, err
		}
	}
	if err := printer.end(last); err != nil {
		return last, err
	}
	t.remember(text, said.String(), thought.String())
	return last, nil
}

// remember adds one exchange to what the model is told next time.
func (t *talk) remember(question, answer, thought string) {
	if t.raw || answer == "" {
		return
	}
	t.messages = append(t.messages,
		mullama.Message{Role: "user", Content: question},
		mullama.Message{Role: "assistant", Content: answer, Thinking: thought})
}
