package main

// #include "shim.h"
import "C"

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
	"unsafe"
)

// text copies a text that ends with a zero byte; nothing for NULL. It must be UTF-8: package json
// would replace other bytes, and nobody would be told.
func text(s *C.char, what string) ([]byte, error) {
	if s == nil {
		return nil, nil
	}
	data := []byte(C.GoString(s))
	if at := firstInvalid(data); at < len(data) {
		return nil, invalid("%s is not UTF-8: the byte 0x%02x at offset %d is no part of a "+
			"character", what, data[at], at)
	}
	return data, nil
}

// firstInvalid is the offset of the first byte that is not UTF-8, or the length.
func firstInvalid(data []byte) int {
	if utf8.Valid(data) {
		return len(data)
	}
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return at
}

// readOptions reads an options object that may be missing.
func readOptions(s *C.char, into any) error {
	data, err := text(s, "the text of options")
	if err != nil {
		return err
	}
	return parseStrictly(data, into)
}

// borrow is the caller's array, for the time of a call.
func borrow[T any](at unsafe.Pointer, n C.size_t, what string) ([]T, error) {
	if n == 0 {
		return nil, nil
	}
	if at == nil {
		return nil, invalid("%s is NULL, but its size is %d", what, n)
	}
	const most = 1 << 31
	if n > most {
		return nil, invalid("the size of %s is %d; at most %d is possible", what, n, most)
	}
	return unsafe.Slice((*T)(at), int(n)), nil
}

// roomFor is the caller's array for a result, whose length count receives.
func roomFor[T any](
	at unsafe.Pointer, capacity C.size_t, count *C.size_t, what string,
) ([]T, error) {
	switch {
	case count == nil:
		return nil, invalid("there is no place for the number of %s", what)
	case capacity == 0:
		return nil, nil
	case at == nil:
		return nil, invalid("%s is NULL, but its capacity is %d", what, capacity)
	}
	return unsafe.Slice((*T)(at), int(min(capacity, 1<<31))), nil
}

// fill copies a result, which may be there already, as far as it fits, and says how long it is.
func fill[T any](room []T, count *C.size_t, result []T, what string) error {
	*count = C.size_t(len(result))
	if n := copy(room, result); n < len(result) {
		return fmt.Errorf("%w: %s needs room for %d, and has %d", errTooSmall, what, len(result), n)
	}
	return nil
}

// give copies a text to C. The caller frees it with mullama_string_free.
func give(to **C.char, make func() ([]byte, error)) error {
	if to == nil {
		return invalid("json is NULL; there is no place for the text")
	}
	data, err := make()
	if err != nil {
		return err
	}
	*to = C.CString(string(data))
	return nil
}

// ask gives a caller the JSON that one method of the object behind a handle makes.
func ask[T any](
	of *table[T], handle C.uintptr_t, to **C.char, out **C.mullama_error,
	method func(T) ([]byte, error),
) C.mullama_status {
	return call(out, func() error {
		object, err := of.get(uintptr(handle))
		if err != nil {
			return err
		}
		return give(to, func() ([]byte, error) { return method(object) })
	})
}

// end closes what is behind a handle; a handle that is not there is no mistake.
func end[T any](of *table[T], handle C.uintptr_t, method func(T) error) {
	call(nil, func() error {
		if object, ok := of.remove(uintptr(handle)); ok {
			return method(object)
		}
		return nil
	})
}

// parseStrictly reads an options object that may be missing. A name that is not known is an error,
// because it is a mistake.
func parseStrictly(data []byte, into any) error {
	if len(data) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return invalid("the options are not valid: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return invalid("the options are not valid: text follows the object")
	}
	return nil
}
