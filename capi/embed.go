package main

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"slices"
	"unsafe"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/server"
)

// embedding is what a model in this process and one of a daemon do alike.
type embedding struct{ *mullama.Model }

func (m embedding) embed(request []byte) (*mullama.EmbedResult, error) {
	return server.Embed(context.Background(), m.Model, request)
}

func (m embedding) rerank(request []byte) ([]byte, error) {
	return server.Rerank(context.Background(), m.Model, request)
}

func (m embedding) score(request []byte) ([]byte, error) {
	return server.Score(context.Background(), m.Model, request)
}

func (m embedding) label() string { return mullama.ModelLabel(m.Info()) }

//export goModelEmbed
func goModelEmbed(
	handle C.uintptr_t, request *C.char, to **C.mullama_embeddings, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error {
		m, body, err := modelAndRequest(handle, request)
		if err != nil {
			return err
		}
		if to == nil {
			return invalid("embeddings is NULL; there is no place for them")
		}
		result, err := m.embed(body)
		if err == nil {
			*to, err = copyEmbeddings(result.Embeddings)
		}
		return err
	})
}

//export goModelRerank
func goModelRerank(
	handle C.uintptr_t, request *C.char, to **C.char, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error { return rank(handle, request, to, model.rerank) })
}

//export goModelScore
func goModelScore(
	handle C.uintptr_t, request *C.char, to **C.char, out **C.mullama_error,
) C.mullama_status {
	return call(out, func() error { return rank(handle, request, to, model.score) })
}

func rank(
	handle C.uintptr_t, request *C.char, to **C.char,
	by func(m model, request []byte) ([]byte, error),
) error {
	m, body, err := modelAndRequest(handle, request)
	if err != nil {
		return err
	}
	return give(to, func() ([]byte, error) { return by(m, body) })
}

func modelAndRequest(handle C.uintptr_t, request *C.char) (model, []byte, error) {
	m, err := models.get(uintptr(handle))
	if err != nil {
		return nil, nil, err
	}
	body, err := text(request, "the request")
	return m, body, err
}

// copyEmbeddings copies embeddings to C. Who gets them frees them.
func copyEmbeddings(list []mullama.Embedding) (*C.mullama_embeddings, error) {
	numbers := 0
	for _, e := range list {
		for _, row := range rowsOf(&e) {
			numbers += len(row)
		}
	}
	all := C.capi_embeddings(C.size_t(len(list)), C.size_t(numbers))
	if all == nil {
		return nil, &mullama.Error{Kind: mullama.ErrOutOfMemory, Op: "embed",
			Err: errors.New("there is no memory for the embeddings; embed fewer texts at once")}
	}
	for i, e := range list {
		if e.Err != nil {
			C.capi_embedding_fail(all, C.size_t(i), newError(explain(e.Err)))
			continue
		}
		rows := rowsOf(&e)
		made := C.mullama_embedding{rows: C.size_t(len(rows)), width: C.size_t(len(rows[0])),
			tokens: C.size_t(e.Tokens), truncated: C.bool(e.Cut)}
		values := C.capi_embedding_set(all, C.size_t(i), &made)
		copy(unsafe.Slice((*float32)(values), len(rows)*len(rows[0])), slices.Concat(rows...))
	}
	return all, nil
}

// rowsOf are the rows of an embedding: one, or those of its tokens. One without an error has some.
func rowsOf(e *mullama.Embedding) [][]float32 {
	if e.Rows == nil && e.Err == nil {
		return [][]float32{e.Vector}
	}
	return e.Rows
}
