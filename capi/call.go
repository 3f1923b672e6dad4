package main

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/server"
)

// statusInternal is for the tests, which cannot name it.
const statusInternal = C.MULLAMA_ERR_INTERNAL

// poisoned is the first panic that reached the ABI. What it left behind may be in any state, so
// every later call fails.
var poisoned atomic.Pointer[string]

// call runs fn and turns its error, or its panic, into a status and *out.
func call(out **C.mullama_error, fn func() error) (status C.mullama_status) {
	defer func() {
		if p := recover(); p != nil {
			text := fmt.Sprintf("a defect of the library: %v\n%s", p, debug.Stack())
			poisoned.CompareAndSwap(nil, &text)
			status = fail(out, C.MULLAMA_ERR_INTERNAL, text)
		}
	}()
	if text := poisoned.Load(); text != nil {
		return fail(out, C.MULLAMA_ERR_INTERNAL, "an earlier call met "+*text)
	}
	err := fn()
	if err == nil {
		return C.MULLAMA_OK
	}
	if errors.Is(err, io.EOF) {
		return C.MULLAMA_END
	}
	code, message := explain(err)
	return fail(out, code, message)
}

func fail(out **C.mullama_error, code C.mullama_status, message string) C.mullama_status {
	if out != nil {
		*out = newError(code, message)
	}
	return code
}

// newError copies an error to C. Who gets it frees it.
func newError(code C.mullama_status, message string) *C.mullama_error {
	text := C.CString(message)
	defer C.free(unsafe.Pointer(text))
	return C.capi_error(code, text)
}

// statuses are those of the header, by their names, which are those of the kinds of error.
var statuses = sync.OnceValue(func() map[string]C.mullama_status {
	all := map[string]C.mullama_status{}
	for code := C.mullama_status(0); statusName(code) != "unknown"; code++ {
		all[statusName(code)] = code
	}
	return all
})

// explain finds the status and the sentence of an error.
func explain(err error) (C.mullama_status, string) {
	message := server.Explain(err)
	name := mullama.ErrorName(err)
	switch {
	case errors.Is(err, errTooSmall):
		return C.MULLAMA_ERR_TOO_SMALL, message
	case name == "internal" && errors.Is(err, context.Canceled):
		return C.MULLAMA_ERR_CANCELLED, message
	}
	return statuses()[name], message
}

var errTooSmall = errors.New("the buffer is too small")

func invalid(format string, args ...any) error {
	return &mullama.Error{Kind: mullama.ErrInvalidOption, Err: fmt.Errorf(format, args...)}
}

func statusName(code C.mullama_status) string { return C.GoString(C.mullama_status_name(code)) }
