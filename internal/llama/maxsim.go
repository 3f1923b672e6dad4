package llama

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// VectorKind says how the vectors of documents are kept.
type VectorKind int32

// The kinds of vectors.
const (
	VectorF32  VectorKind = C.MN_VECTORS_F32
	VectorF16  VectorKind = C.MN_VECTORS_F16
	VectorInt8 VectorKind = C.MN_VECTORS_INT8
)

// Document says where the vectors of a document lie in the memory that goes with it.
type Document struct {
	Offset uint64 // in bytes, a multiple of 4
	Tokens int32
	_      int32 // as C lays it out
}

// MaxSimKernels names the code for late interaction that this CPU runs, best first.
func (l *Library) MaxSimKernels() []string {
	var names []string
	for {
		name := C.shim_maxsim_kernel_name(l.table, C.int32_t(len(names)))
		if name == nil {
			return names
		}
		names = append(names, C.GoString(name))
	}
}

// VectorBytes is how many bytes the vectors of a document take.
func (l *Library) VectorBytes(kind VectorKind, dim, tokens int) int {
	return int(C.shim_maxsim_size(l.table, C.int32_t(kind), C.int32_t(dim), C.int32_t(tokens)))
}

// EncodeVectors writes the vectors of one document, dim numbers a token, as the given kind. out has
// [Library.VectorBytes] of them.
func (l *Library) EncodeVectors(kind VectorKind, dim int, in []float32, out []byte) error {
	if err := l.checkVectors(kind, dim, len(in), len(out)); err != nil {
		return err
	}
	var e C.mn_error
	status := C.shim_maxsim_encode(l.table, C.int32_t(kind), C.int32_t(dim), floatPtr(in),
		C.int32_t(len(in)/dim), unsafe.Pointer(unsafe.SliceData(out)), &e)
	return check(status, &e)
}

// DecodeVectors is the opposite of [Library.EncodeVectors].
func (l *Library) DecodeVectors(kind VectorKind, dim int, in []byte, out []float32) error {
	if err := l.checkVectors(kind, dim, len(out), len(in)); err != nil {
		return err
	}
	var e C.mn_error
	status := C.shim_maxsim_decode(l.table, C.int32_t(kind), C.int32_t(dim),
		unsafe.Pointer(unsafe.SliceData(in)), C.int32_t(len(out)/dim), floatPtr(out), &e)
	return check(status, &e)
}

func (l *Library) checkVectors(kind VectorKind, dim, numbers, bytes int) error {
	if dim < 1 || numbers%dim != 0 || l.VectorBytes(kind, dim, numbers/dim) != bytes {
		return &Error{ErrInvalid, fmt.Sprintf(
			"%d numbers in vectors of %d do not fit %d bytes", numbers, dim, bytes)}
	}
	return nil
}

func floatPtr(f []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(f))) }

// Queries are the token vectors of queries, laid out for this CPU. They may be used from any
// goroutines at once, but not closed before all have finished.
type Queries struct {
	lib    *Library
	native *C.mn_queries
	n      int
	dim    int
	lanes  int
}

// QueriesParams says what queries are for: documents with vectors of a kind and dimension.
type QueriesParams struct {
	Kind   VectorKind
	Dim    int
	Kernel string // one of [Library.MaxSimKernels]; empty: the best
}

// NewQueries prepares queries. vectors are those of all tokens of all queries, and tokens says how
// many tokens each query has.
func (l *Library) NewQueries(p QueriesParams, vectors []float32, tokens []int32) (*Queries, error) {
	sum := 0
	for _, n := range tokens {
		if n < 1 {
			return nil, &Error{ErrInvalid, "a query without tokens"}
		}
		sum += int(n)
	}
	if p.Dim < 1 || len(tokens) == 0 || sum*p.Dim != len(vectors) {
		return nil, &Error{ErrInvalid, fmt.Sprintf(
			"%d numbers are not %d vectors of %d", len(vectors), sum, p.Dim)}
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(unsafe.SliceData(vectors))
	pin.Pin(unsafe.SliceData(tokens))
	var memory arena
	defer memory.free()
	params := C.mn_queries_params{
		kind: C.int32_t(p.Kind), dim: C.int32_t(p.Dim),
		kernel:    memory.string(p.Kernel),
		vectors:   floatPtr(vectors),
		n_tokens:  (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(tokens))),
		n_queries: C.int32_t(len(tokens)),
	}
	q := &Queries{lib: l, n: len(tokens), dim: p.Dim}
	var e C.mn_error
	if err := check(C.shim_maxsim_new(l.table, &params, &q.native, &e), &e); err != nil {
		return nil, err
	}
	q.lanes = int(C.shim_maxsim_lanes(l.table, q.native))
	runtime.SetFinalizer(q, (*Queries).Close)
	return q, nil
}

// Close gives the memory back.
func (q *Queries) Close() {
	if q.native != nil {
		runtime.SetFinalizer(q, nil)
		C.shim_maxsim_free(q.lib.table, q.native)
		q.native = nil
	}
}

// Len is the number of queries.
func (q *Queries) Len() int { return q.n }

// Lanes is the length of a row of [Queries.Dots].
func (q *Queries) Lanes() int { return q.lanes }

// Score writes the score of each query with each document, whose vectors lie in memory: those of
// the first query with all documents come first.
func (q *Queries) Score(memory []byte, docs []Document, scores []float32) error {
	if len(scores) != q.n*len(docs) {
		return &Error{ErrInvalid, fmt.Sprintf("%d scores for %d queries and %d documents",
			len(scores), q.n, len(docs))}
	}
	if len(docs) == 0 {
		return nil
	}
	var e C.mn_error
	status := C.shim_maxsim_score(q.lib.table, q.native, unsafe.Pointer(unsafe.SliceData(memory)),
		C.size_t(len(memory)), (*C.mn_document)(unsafe.Pointer(unsafe.SliceData(docs))),
		C.int32_t(len(docs)), floatPtr(scores), &e)
	runtime.KeepAlive(q)
	return check(status, &e)
}

// Dots writes the products of each vector of rows with all tokens of the queries: a row of
// [Queries.Lanes] numbers for each vector, of which those after the query's tokens mean nothing.
func (q *Queries) Dots(rows, out []float32) error {
	n := len(rows) / q.dim
	if len(out) != n*q.lanes {
		return &Error{ErrInvalid, fmt.Sprintf("%d numbers for %d rows", len(out), n)}
	}
	var e C.mn_error
	status := C.shim_maxsim_dots(q.lib.table, q.native, floatPtr(rows), C.int32_t(n),
		floatPtr(out), &e)
	runtime.KeepAlive(q)
	return check(status, &e)
}

// Nearest returns for each token which of the vectors of rows has the largest product with it.
func (q *Queries) Nearest(rows []float32) ([]int32, error) {
	out := make([]int32, q.lanes)
	var e C.mn_error
	status := C.shim_maxsim_nearest(q.lib.table, q.native, floatPtr(rows),
		C.int32_t(len(rows)/q.dim), (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(out))), &e)
	runtime.KeepAlive(q)
	return out, check(status, &e)
}

// ScoreFloats writes the score of each query with one document of float vectors.
func (q *Queries) ScoreFloats(doc []float32, tokens int, scores []float32) error {
	memory := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(doc))), 4*len(doc))
	return q.Score(memory, []Document{{Tokens: int32(tokens)}}, scores)
}
