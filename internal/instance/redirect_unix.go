//go:build unix

package instance

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// redirect makes stdout and stderr of this process a file.
func redirect(to *os.File) error {
	return errors.Join(unix.Dup2(int(to.Fd()), 1), unix.Dup2(int(to.Fd()), 2))
}
