//go:build unix

package maxsim

import (
	"errors"
	"io"
	"os"
	"syscall"
)

func mapFile(f *os.File, from int64, n int) ([]byte, error) {
	return syscall.Mmap(int(f.Fd()), from, n, syscall.PROT_READ, syscall.MAP_SHARED)
}

// readFile reads a range into memory that Go's collector does not look after.
func readFile(f *os.File, from int64, n int) ([]byte, error) {
	raw, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(io.NewSectionReader(f, from, int64(n)), raw); err != nil {
		unmap(raw)
		return nil, err
	}
	return raw, nil
}

func unmap(raw []byte) { _ = syscall.Munmap(raw) }

// tryLock takes the lock of writers on an open file. held: someone else has it.
func tryLock(f *os.File) (held bool, err error) {
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return true, nil
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK):
		return false, nil // a file system without locks: better without than not at all
	}
	return false, err
}

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
