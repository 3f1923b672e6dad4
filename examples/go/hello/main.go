// Command hello asks a model file a question and prints the answer as it comes.
//
//	go run ./examples/go/hello model.gguf "What is the capital of France?"
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/mullama/mullama"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: hello FILE QUESTION")
		os.Exit(2)
	}
	if err := answer(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

func answer(ctx context.Context, file, question string) error {
	runtime, err := mullama.Open(mullama.Options{})
	if err != nil {
		return err // the error says which command mends it
	}
	defer runtime.Close()

	model, err := runtime.Load(ctx, file, nil)
	if err != nil {
		return err
	}
	defer model.Close()

	var opts mullama.ChatOptions
	opts.Sampling = &mullama.Sampling{} // temperature 0; nil takes the usual settings
	opts.MaxTokens = 64
	stream, err := model.Chat(ctx, []mullama.Message{
		{Role: "system", Content: "You are a helpful assistant."},
		{Role: "user", Content: question},
	}, &opts)
	if err != nil {
		return err
	}
	for chunk, err := range stream.All() {
		if err != nil {
			return err
		}
		fmt.Print(chunk.Text)
	}
	fmt.Println()
	return nil
}
