package llama

// #include "shim.h"
import "C"

import "errors"

// The kinds of error, for errors.Is. The message of the returned *Error says what happened.
var (
	ErrInvalid     = errors.New("invalid argument")
	ErrLoad        = errors.New("not a loadable model")
	ErrMemory      = errors.New("out of memory")
	ErrCancelled   = errors.New("cancelled")
	ErrFull        = errors.New("KV cache full")
	ErrUnsupported = errors.New("unsupported")
	ErrTemplate    = errors.New("chat template error")
	ErrGrammar     = errors.New("grammar error")
	ErrInternal    = errors.New("internal error of llama.cpp")
	ErrLost        = errors.New("other machine not reachable")

	// ErrClosed means that a handle was used after Close.
	ErrClosed = errors.New("already closed")
	// ErrLibrary means that the native library is missing, broken or of another version.
	ErrLibrary = errors.New("native library not usable")
)

var kinds = map[C.mn_status]error{
	C.MN_ERR_INVALID:     ErrInvalid,
	C.MN_ERR_LOAD:        ErrLoad,
	C.MN_ERR_MEMORY:      ErrMemory,
	C.MN_ERR_CANCELLED:   ErrCancelled,
	C.MN_ERR_FULL:        ErrFull,
	C.MN_ERR_UNSUPPORTED: ErrUnsupported,
	C.MN_ERR_TEMPLATE:    ErrTemplate,
	C.MN_ERR_GRAMMAR:     ErrGrammar,
	C.MN_ERR_INTERNAL:    ErrInternal,
	C.MN_ERR_LOST:        ErrLost,
}

// Error is a failure reported by the native library.
type Error struct {
	Kind    error // one of the Err variables of this package
	Message string
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Kind }

// check turns a status and its message into an error.
func check(status C.mn_status, e *C.mn_error) error {
	if status == C.MN_OK {
		return nil
	}
	kind := kinds[status]
	if kind == nil {
		kind = ErrInternal
	}
	return &Error{Kind: kind, Message: C.GoString(&e.message[0])}
}
