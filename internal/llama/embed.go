package llama

// #include "shim.h"
import "C"

import (
	"fmt"
	"time"
	"unsafe"
)

// The ways to pool, as in [ContextParams].Pooling.
const (
	PoolingModel = iota - 1
	PoolingNone
	PoolingMean
	PoolingCLS
	PoolingLast
	PoolingRank
)

// Embeddings are valid until the next Embed of their context.
type Embeddings struct {
	Rows    []float32 // one of Width numbers for each sequence; without pooling, for each token
	Width   int
	Compute time.Duration
}

// Embed embeds sequences, whose tokens lie one after the other; sequence s has lengths[s] of them.
// The context must be one for embeddings. All tokens together are at most [Limits].UBatch, and the
// sequences at most [Limits].Sequences. Numbers that are not finite are no error.
//
// unseen is nil, or says of each token whether no token pays attention to it, which only models
// without a KV cache can do.
func (c *Context) Embed(tokens []Token, lengths []int32, unseen []bool) (Embeddings, error) {
	if unseen != nil && len(unseen) != len(tokens) {
		return Embeddings{}, fmt.Errorf("%w: %d tokens are unseen or not, of %d", ErrInvalid,
			len(unseen), len(tokens))
	}
	if err := c.acquire(); err != nil {
		return Embeddings{}, err
	}
	defer c.release()
	var out C.mn_embed_result
	var e C.mn_error
	status := C.shim_embed(c.lib.table, c.ptr,
		(*C.int32_t)(unsafe.SliceData(tokens)), C.int32_t(len(tokens)),
		(*C.int32_t)(unsafe.SliceData(lengths)), C.int32_t(len(lengths)),
		(*C.int8_t)(unsafe.Pointer(unsafe.SliceData(unseen))), &out, &e)
	if err := check(status, &e); err != nil {
		return Embeddings{}, err
	}
	n := int(out.n_rows) * int(out.width)
	return Embeddings{
		Rows:    unsafe.Slice((*float32)(unsafe.Pointer(out.rows)), n),
		Width:   int(out.width),
		Compute: micros(out.compute_us),
	}, nil
}

// Pooling returns how a context for embeddings pools, and how long its rows are.
func (c *Context) Pooling() (pooling, width int) {
	if c.acquire() != nil {
		return PoolingNone, 0
	}
	defer c.release()
	var p, w C.int32_t
	C.shim_embed_get(c.lib.table, c.ptr, &p, &w)
	return int(p), int(w)
}
