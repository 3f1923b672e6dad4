// Package mullama runs language models in this process, on llama.cpp.
//
// [Open] gives a [Runtime]; [Runtime.Load] loads a GGUF file as a [Model]; [Model.Generate]
// continues a text and [Model.Chat] answers a conversation, each as a [Stream] of text:
//
//	runtime, err := mullama.Open(mullama.Options{})
//	model, err := runtime.Load(ctx, "model.gguf", nil)
//	stream, err := model.Chat(ctx, []mullama.Message{{Role: "user", Content: "Hello!"}}, nil)
//	for chunk, err := range stream.All() {
//		fmt.Print(chunk.Text)
//	}
//
// A Model serves many calls at once: they share every step of the model, so that four at a time
// take far less than four times as long. Each call has its own sampling, stop strings, limits and
// seed.
//
// A [Client] has the same methods and asks a daemon, of which several programs can use one model.
//
// All types may be used from any goroutine, except that one goroutine at a time reads a Stream.
// Every call that can take long takes a [context.Context] and ends soon after it. Errors are an
// [*Error] of one of the kinds listed under Variables.
//
// The engine of a Runtime is a native library; when it is missing, Open says how to build it.
package mullama
