package cli

import (
	"context"
	"iter"

	"github.com/mullama/mullama"
)

// inProcess is the [Engine] that runs models in this process.
type inProcess struct{ *mullama.Runtime }

// openInProcess is the default way to an [Engine].
func openInProcess(opts mullama.Options) (Engine, error) {
	runtime, err := mullama.Open(opts)
	if err != nil {
		return nil, err
	}
	return inProcess{runtime}, nil
}

func (e inProcess) Load(
	ctx context.Context,
	path string,
	opts *mullama.LoadOptions,
) (Model, error) {
	model, err := e.Runtime.Load(ctx, path, opts)
	if err != nil {
		return nil, err
	}
	return inProcessModel{model}, nil
}

// inProcessModel turns the streams of package mullama into sequences.
type inProcessModel struct{ *mullama.Model }

func (m inProcessModel) Generate(
	ctx context.Context, prompt string, opts *mullama.GenerateOptions,
) iter.Seq2[mullama.Chunk, error] {
	return sequence(m.Model.Generate(ctx, prompt, opts))
}

func (m inProcessModel) Chat(
	ctx context.Context, messages []mullama.Message, opts *mullama.ChatOptions,
) iter.Seq2[mullama.Chunk, error] {
	return sequence(m.Model.Chat(ctx, messages, opts))
}

// sequence yields err if there is one, otherwise the chunks of stream. All closes the stream.
func sequence(stream *mullama.Stream, err error) iter.Seq2[mullama.Chunk, error] {
	return func(yield func(mullama.Chunk, error) bool) {
		if err != nil {
			yield(mullama.Chunk{}, err)
			return
		}
		for chunk, err := range stream.All() {
			if !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}
