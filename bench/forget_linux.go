package bench

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// forget has the system drop a file's pages from its cache. Pages that a process maps stay.
func forget(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	err = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
	if err != nil {
		err = fmt.Errorf("drop %s from the page cache: %w", path, err)
	}
	return errors.Join(err, file.Close())
}
