package main

import (
	"context"

	"github.com/mullama/mullama"
)

// engine is what is behind a runtime.
type engine interface {
	// info and models return JSON objects.
	info() ([]byte, error)
	models() ([]byte, error)
	load(ctx context.Context, name string, o *mullama.LoadOptions) (model, error)
	// libraryDir is the folder of the native engine, for indexes; "": where it is looked for.
	libraryDir() string
	close() error
}

// model is what is behind a model. Its methods are called from several goroutines.
type model interface {
	info() ([]byte, error)
	// appendTokens does not keep the text, which may be the caller's memory.
	appendTokens(
		dst []mullama.Token, text string, o mullama.TokenizeOptions) ([]mullama.Token, error)
	detokenize(tokens []mullama.Token) ([]byte, error)
	render(request []byte) (prompt string, err error)
	chat(request []byte) (answer, error)
	generate(request []byte) (answer, error)
	embed(request []byte) (*mullama.EmbedResult, error)
	// rerank and score return JSON objects.
	rerank(request []byte) ([]byte, error)
	score(request []byte) ([]byte, error)
	// label names the model in indexes of its vectors.
	label() string
	close() error
}

// answer is what is behind a stream.
type answer interface {
	// next waits for the next part; it returns io.EOF after the last one.
	next() (part, error)
	cancel()
}

// part is a part of an answer.
type part struct {
	text, thinking string
	tokens         []mullama.Token
	json           []byte
	done           bool
}
