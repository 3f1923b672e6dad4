// Package llama is llama.cpp as Go types: a Library, the Models it loads, their Contexts, Samplers
// and chat templates.
//
// It calls the native library (native/mullama_native.h) through one table of functions and adds no
// policy: no defaults of its own, no logging, no retries. Each file holds one noun. A handle is
// freed by Close, once; what was made from a Model keeps the Model's memory alive until it is
// closed too, and a forgotten handle is freed when the garbage collector finds it.
//
// A Library and a Model may be used from any goroutine. A Context and the Samplers used in its
// steps belong to one goroutine at a time, except [Context.Abort], which any goroutine may call.
package llama

// #cgo CFLAGS: -I${SRCDIR}/../../native -O2 -Wall
// #cgo linux LDFLAGS: -ldl
// #include "shim.h"
import "C"
