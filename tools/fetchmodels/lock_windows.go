package main

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

const (
	lockExclusive       = 2 // LOCKFILE_EXCLUSIVE_LOCK
	lockFailImmediately = 1 // LOCKFILE_FAIL_IMMEDIATELY
	errorLockViolation  = syscall.Errno(33)
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

// tryLock takes the lock on file, which the system drops when file is closed or the process ends.
func tryLock(file *os.File) error {
	var at syscall.Overlapped
	ok, _, err := lockFileEx.Call(file.Fd(), lockExclusive|lockFailImmediately, 0, 1, 0,
		uintptr(unsafe.Pointer(&at)))
	switch {
	case ok != 0:
		return nil
	case errors.Is(err, errorLockViolation):
		return errLocked
	}
	return err
}
