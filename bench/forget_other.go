//go:build !linux

package bench

import "errors"

// forget has the system drop a file's pages from its cache.
func forget(string) error {
	return errors.New("this system cannot be told to drop a file from its page cache; measure on " +
		"Linux")
}
