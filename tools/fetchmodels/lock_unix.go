//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock on file, which the system drops when file is closed or the process ends.
func tryLock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
