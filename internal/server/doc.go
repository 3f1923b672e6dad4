// Package server gives a Runtime its HTTP faces: Ollama's API, OpenAI's, the token routes of
// llama-server, a WebSocket, and metrics.
//
// A handler decodes a request, asks the Runtime for a model and a stream of text, and encodes what
// comes. It has no model logic and no state between requests. Errors take one way: a handler
// returns them, errors.go turns them into a status and a sentence, and the face of the route
// (Ollama's or OpenAI's) decides the form, before an answer has begun or in the midst of it.
//
// Each request has a goroutine of net/http. It alone reads the stream of the model and writes the
// answer, save for the keep-alive comments of an event stream, which a timer writes under the lock
// of its writer, and several choices, whose streams have a goroutine each. On a WebSocket, each
// request has a goroutine. When the client goes away, the context of the request ends, and with it
// the stream.
package server
