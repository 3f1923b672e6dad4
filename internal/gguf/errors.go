package gguf

import (
	"errors"
	"fmt"
)

var (
	// ErrNotGGUF means the path does not name a GGUF file. The message says what it looks like.
	ErrNotGGUF = errors.New("not a GGUF file")
	// ErrVersion means a GGUF file of a version or byte order that llama.cpp does not load.
	ErrVersion = errors.New("unsupported GGUF version")
	// ErrTruncated means the file ends before what its header announces. Fetching it again helps.
	ErrTruncated = errors.New("truncated GGUF file")
	// ErrMalformed means the header contradicts itself or the format.
	ErrMalformed = errors.New("malformed GGUF file")
)

// formatError carries a whole sentence and matches one of the sentinels.
type formatError struct {
	kind    error
	message string
}

func (e *formatError) Error() string { return e.message }
func (e *formatError) Unwrap() error { return e.kind }

func fail(kind error, format string, args ...any) error {
	return &formatError{kind: kind, message: fmt.Sprintf(format, args...)}
}
