package store

import (
	"errors"
	"io"
	"os"
	"testing"
)

// Lock is lock for tests.
func (s *Store) Lock() (unlock func(), err error) { return s.lock() }

// ShareBy has the content of files shared in this way until the test ends.
func ShareBy(t *testing.T, share func(to, from *os.File) error) {
	clone = share
	t.Cleanup(func() { clone = shareContent })
}

// ByCopy looks like sharing on any disk.
func ByCopy(to, from *os.File) error {
	_, err := io.Copy(to, from)
	return err
}

// Never is sharing on a disk that cannot.
func Never(_, _ *os.File) error { return errors.ErrUnsupported }
