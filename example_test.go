package mullama_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mullama/mullama"
)

// The whole way from a file to an answer. smolLM2 is the path of a GGUF file.
func Example() {
	runtime, err := mullama.Open(mullama.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer runtime.Close()

	ctx := context.Background()
	model, err := runtime.Load(ctx, smolLM2, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()

	stream, err := model.Chat(ctx, []mullama.Message{
		{Role: "system", Content: "You are a helpful assistant."},
		{Role: "user", Content: "What is the capital of France?"},
	}, &mullama.ChatOptions{
		GenerateOptions: mullama.GenerateOptions{
			Sampling:  &mullama.Sampling{}, // always the likeliest token
			MaxTokens: 64,
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for chunk, err := range stream.All() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(chunk.Text)
	}
	// Output: The capital of France is Paris.
}

// A daemon does the same with the same methods: Load takes the name of a model of its store.
func ExampleClient() {
	client, err := mullama.NewClient(daemonURL(), mullama.ClientOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx := context.Background()
	model, err := client.Load(ctx, "smollm2", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()

	stream, err := model.Chat(ctx, []mullama.Message{
		{Role: "system", Content: "You are a helpful assistant."},
		{Role: "user", Content: "What is the capital of France?"},
	}, &mullama.ChatOptions{
		GenerateOptions: mullama.GenerateOptions{Sampling: &mullama.Sampling{}, MaxTokens: 64},
	})
	if err != nil {
		log.Fatal(err)
	}
	answer, err := stream.Collect()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Text)
	// Output: The capital of France is Paris.
}

// A conversation goes on with the answer among its messages.
func ExampleModel_Chat() {
	model := loadExampleModel()
	defer model.Close()

	options := &mullama.ChatOptions{GenerateOptions: mullama.GenerateOptions{
		Sampling: &mullama.Sampling{}, MaxTokens: 64}}
	messages := []mullama.Message{{Role: "system", Content: "You are a helpful assistant."}}
	for _, question := range []string{"What is the capital of France?", "And of Italy?"} {
		messages = append(messages, mullama.Message{Role: "user", Content: question})
		stream, err := model.Chat(context.Background(), messages, options)
		if err != nil {
			log.Fatal(err)
		}
		answer, err := stream.Collect()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.Text)
		messages = append(messages, mullama.Message{Role: "assistant", Content: answer.Text})
	}
	// Output:
	// The capital of France is Paris.
	// The capital of Italy is Rome.
}

// A callback gets the text as it comes.
func ExampleModel_Generate() {
	model := loadExampleModel()
	defer model.Close()

	ctx := context.Background()
	stream, err := model.Generate(ctx, "1, 2, 3, 4, 5, 6,", &mullama.GenerateOptions{
		Sampling:  &mullama.Sampling{},
		MaxTokens: 64,
		Stop:      []string{", 11"},
	})
	if err != nil {
		log.Fatal(err)
	}
	err = stream.Each(func(chunk mullama.Chunk) error {
		fmt.Print(chunk.Text)
		if chunk.Done {
			fmt.Println()
			fmt.Println(chunk.FinishReason, chunk.Stats.GeneratedTokens > 0)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	//  7, 8, 9, 10
	// stop true
}

// A schema makes the text JSON of that form.
func ExampleModel_Generate_json() {
	model := loadExampleModel()
	defer model.Close()

	stream, err := model.Generate(context.Background(), "The capital of France as JSON:",
		&mullama.GenerateOptions{
			Sampling:  &mullama.Sampling{},
			MaxTokens: 64,
			JSONSchema: `{"type": "object", "required": ["city"], "additionalProperties": false,
				"properties": {"city": {"type": "string"}}}`,
		})
	if err != nil {
		log.Fatal(err)
	}
	result, err := stream.Collect()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Text)
	// Output:
	// {
	//     "city": "Paris"
	// }
}

// A channel can be waited for beside others. When ctx ends, the channel is closed.
func ExampleStream_Channel() {
	model := loadExampleModel()
	defer model.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := model.Generate(ctx, "1, 2, 3, 4, 5, 6,", &mullama.GenerateOptions{
		Sampling:  &mullama.Sampling{},
		MaxTokens: 6,
	})
	if err != nil {
		log.Fatal(err)
	}
	for chunk := range stream.Channel(ctx) {
		fmt.Print(chunk.Text)
	}
	if err := stream.Err(); err != nil {
		log.Fatal(err)
	}
	// Output: 7, 8,
}

func ExampleModel_Tokenize() {
	model := loadExampleModel()
	defer model.Close()

	const text = "<|im_end|>"
	plain, err := model.Tokenize(text, mullama.TokenizeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	special, err := model.Tokenize(text, mullama.TokenizeOptions{ParseSpecial: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(plain) > 1, len(special))
	// Output: true 1
}

// Start from the usual settings, or from the zero value, which is greedy.
func ExampleSampling() {
	seed := uint32(42)
	sampling := mullama.DefaultSampling()
	sampling.Temperature = 0.5
	sampling.RepeatPenalty = 1.1
	sampling.Seed = &seed
	fmt.Println(sampling.Validate())

	sampling.TopP = 1.5
	fmt.Println(sampling.Validate())
	// Output:
	// <nil>
	// sampling: top_p is 1.5; it must be from 0 to 1
}

func ExampleInspect() {
	info, err := mullama.Inspect(smolLM2)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Architecture, info.Quantization, info.Parameters, info.ContextLength)
	// Output: llama Q4_1 134515008 8192
}

func ExampleError() {
	_, err := mullama.Inspect("nowhere.gguf")
	fmt.Println(err)
	fmt.Println(errors.Is(err, mullama.ErrNotFound))
	// Output:
	// read nowhere.gguf: no such file; check the path
	// true
}

// daemonURL is that of a daemon with SmolLM2 in its store.
func daemonURL() string {
	daemon, err := daemonOnce()
	if err != nil {
		log.Fatal(err)
	}
	return daemon.URL()
}

// loadExampleModel loads SmolLM2. The model outlives its Runtime, until its own Close.
func loadExampleModel() *mullama.Model {
	runtime, err := mullama.Open(mullama.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer runtime.Close()
	model, err := runtime.Load(context.Background(), smolLM2, nil)
	if err != nil {
		log.Fatal(err)
	}
	return model
}
