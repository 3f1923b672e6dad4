package store

import (
	"errors"
	"os"
	"syscall"
)

// sharingViolation is the error of a file that someone has opened for himself.
const sharingViolation syscall.Errno = 32

// tryLock opens the file for itself alone, which Windows ends with the program at the latest.
func tryLock(path string) (unlock func(), err error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	switch {
	case errors.Is(err, sharingViolation):
		return nil, errHeld
	case err != nil:
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return func() { syscall.CloseHandle(h) }, nil
}

// isInvalid reports whether a file system does not know how to do what was asked.
func isInvalid(error) bool { return false }
