// Command either asks a model a question, with the same code in this process or over a daemon.
//
//	go run ./examples/go/either model.gguf "What is the capital of France?"
//	go run ./examples/go/either --daemon http://127.0.0.1:11434 smollm2 "Hello"
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/mullama/mullama"
)

func main() {
	daemon := flag.String("daemon", "", "address of a daemon, whose store has the model")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: either [--daemon URL] MODEL QUESTION")
		os.Exit(2)
	}
	if err := ask(context.Background(), *daemon, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "either:", err)
		os.Exit(1)
	}
}

// engine is what this program needs of a Runtime or a Client.
type engine interface {
	Load(ctx context.Context, model string, opts *mullama.LoadOptions) (*mullama.Model, error)
	io.Closer
}

func open(daemon string) (engine, error) {
	if daemon != "" {
		return mullama.NewClient(daemon, mullama.ClientOptions{})
	}
	return mullama.Open(mullama.Options{})
}

func ask(ctx context.Context, daemon, name, question string) error {
	engine, err := open(daemon)
	if err != nil {
		return err
	}
	defer engine.Close()

	model, err := engine.Load(ctx, name, nil)
	if err != nil {
		return err
	}
	defer model.Close()

	var opts mullama.ChatOptions
	opts.Sampling, opts.MaxTokens = &mullama.Sampling{}, 64
	stream, err := model.Chat(ctx, []mullama.Message{
		{Role: "system", Content: "You are a helpful assistant."},
		{Role: "user", Content: question},
	}, &opts)
	if err != nil {
		return err
	}
	answer, err := stream.Collect()
	if err != nil {
		return err
	}
	fmt.Println(answer.Text)
	return nil
}
