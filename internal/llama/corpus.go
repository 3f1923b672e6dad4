package llama

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// Corpus is documents in the memory of a device, as half floats. It is used by one goroutine at a
// time, but for [Corpus.Put].
type Corpus struct {
	lib    *Library
	native *C.mn_corpus
	dim    int
	places int
}

// CorpusParams says where documents are to lie, and of what kind they are.
type CorpusParams struct {
	Device  string // by name
	Dim     int
	Threads int // of a device that computes with threads; 0: as it likes
	// ChunkBytes is the size of products that stay in the device's cache. 0: a usual one.
	ChunkBytes uint64
}

// NewCorpus makes an empty corpus. The device is an error if it cannot search.
func (l *Library) NewCorpus(p CorpusParams) (*Corpus, error) {
	if p.Dim < 1 {
		return nil, &Error{ErrInvalid, fmt.Sprintf("vectors of %d numbers", p.Dim)}
	}
	var memory arena
	defer memory.free()
	params := C.mn_corpus_params{
		device: memory.string(p.Device), dim: C.int32_t(p.Dim), n_threads: C.int32_t(p.Threads),
		chunk_bytes: C.uint64_t(p.ChunkBytes),
	}
	c := &Corpus{lib: l, dim: p.Dim}
	var e C.mn_error
	if err := check(C.shim_corpus_new(l.table, &params, &c.native, &e), &e); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(c, (*Corpus).Close)
	return c, nil
}

// Close gives the memory back.
func (c *Corpus) Close() {
	if c.native != nil {
		runtime.SetFinalizer(c, nil)
		C.shim_corpus_free(c.lib.table, c.native)
		c.native = nil
	}
}

// Bytes is how much the documents take on the device.
func (c *Corpus) Bytes() uint64 {
	defer runtime.KeepAlive(c)
	return uint64(C.shim_corpus_bytes(c.lib.table, c.native))
}

// Places is how many documents there is room for.
func (c *Corpus) Places() int { return c.places }

// Extend makes places for more documents, with so many tokens each, behind those that there are. It
// returns which of them belongs to each of the new places.
func (c *Corpus) Extend(tokens []int32) ([]int64, error) {
	order := make([]int64, len(tokens))
	if len(tokens) == 0 {
		return order, nil
	}
	var e C.mn_error
	status := C.shim_corpus_extend(c.lib.table, c.native,
		(*C.int32_t)(unsafe.Pointer(unsafe.SliceData(tokens))), C.int64_t(len(tokens)),
		(*C.int64_t)(unsafe.Pointer(unsafe.SliceData(order))), &e)
	runtime.KeepAlive(c)
	if err := check(status, &e); err != nil {
		return nil, err
	}
	c.places += len(tokens)
	return order, nil
}

// Put fills places from one on with documents whose vectors lie in memory, and writes the length of
// the longest vector of each. Different places may be filled from several goroutines at once.
func (c *Corpus) Put(kind VectorKind, memory []byte, docs []Document, place int,
	lengths []float32) error {
	if place < 0 || len(docs) > c.places-place || len(lengths) != len(docs) {
		return &Error{ErrInvalid, fmt.Sprintf("%d documents and %d lengths from %d of %d places on",
			len(docs), len(lengths), place, c.places)}
	}
	if len(docs) == 0 {
		return nil
	}
	var e C.mn_error
	status := C.shim_corpus_put(c.lib.table, c.native, C.int32_t(kind),
		unsafe.Pointer(unsafe.SliceData(memory)), C.size_t(len(memory)),
		(*C.mn_document)(unsafe.Pointer(unsafe.SliceData(docs))), C.int32_t(len(docs)),
		C.int64_t(place), floatPtr(lengths), &e)
	runtime.KeepAlive(c)
	return check(status, &e)
}

// Score writes the score of each query with the document in each place: those of the first query
// come first. vectors are those of all tokens of all queries, and tokens says how many each has.
func (c *Corpus) Score(vectors []float32, tokens []int32, scores []float32) error {
	sum := 0
	for _, n := range tokens {
		if n < 1 {
			return &Error{ErrInvalid, "a query without tokens"}
		}
		sum += int(n)
	}
	if sum*c.dim != len(vectors) || len(scores) != len(tokens)*c.places {
		return &Error{ErrInvalid, fmt.Sprintf(
			"%d numbers and %d scores for %d vectors of %d, of %d queries", len(vectors),
			len(scores), sum, c.dim, len(tokens))}
	}
	if len(scores) == 0 {
		return nil
	}
	var e C.mn_error
	status := C.shim_corpus_score(c.lib.table, c.native, floatPtr(vectors),
		(*C.int32_t)(unsafe.Pointer(unsafe.SliceData(tokens))), C.int32_t(len(tokens)),
		floatPtr(scores), &e)
	runtime.KeepAlive(c)
	return check(status, &e)
}
