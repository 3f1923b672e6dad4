package store

import "errors"

// The kinds of error, for [errors.Is]. Other errors come from the file system as they are.
var (
	// ErrName means that a text is not the name of a model.
	ErrName = errors.New("invalid name")
	// ErrNotFound means that the store has no such model.
	ErrNotFound = errors.New("not found")
	// ErrCorrupt means that a manifest or blob is not what it should be.
	ErrCorrupt = errors.New("corrupt store")
	// ErrLocked means that another program was writing for too long.
	ErrLocked = errors.New("store is locked")
	// ErrWrite means that the store's folder does not let us write: its disk is full, or read-only,
	// or the user may not.
	ErrWrite = errors.New("store cannot be written")
)

// storeError is an error of a kind, with its cause if it has one.
type storeError struct {
	kind    error
	message string
	cause   error
}

func (e *storeError) Error() string {
	if e.cause == nil {
		return e.message
	}
	return e.message + ": " + e.cause.Error()
}

func (e *storeError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

// writeError is an ErrWrite about the store; nil stays nil, and an error of this package as it is.
func (s *Store) writeError(err error) error {
	if err == nil {
		return nil
	}
	if own := (*storeError)(nil); errors.As(err, &own) {
		return err
	}
	return &storeError{ErrWrite, "write to the model store " + s.dir, err}
}
