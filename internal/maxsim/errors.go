package maxsim

import (
	"errors"
	"fmt"
)

// The kinds of error, for [errors.Is].
var (
	// ErrInvalid means that an argument cannot be used; the index is as it was.
	ErrInvalid = errors.New("invalid argument")
	// ErrDamaged means that a file is no index, or not a whole one.
	ErrDamaged = errors.New("index not usable")
	// ErrBusy means that another writer has the index.
	ErrBusy = errors.New("index is being written")
	// ErrMemory means that a device has no room for the documents of an index.
	ErrMemory = errors.New("index too large")
	// ErrClosed means that an index was used after Close.
	ErrClosed = errors.New("index closed")
)

// kindError is a sentence with its kind.
type kindError struct {
	kind    error
	message string
}

func (e *kindError) Error() string { return e.message }
func (e *kindError) Unwrap() error { return e.kind }

func invalid(format string, args ...any) error {
	return &kindError{ErrInvalid, fmt.Sprintf(format, args...)}
}

func damaged(path, format string, args ...any) error {
	return &kindError{ErrDamaged, fmt.Sprintf("index %s: %s; build it anew", path,
		fmt.Sprintf(format, args...))}
}
