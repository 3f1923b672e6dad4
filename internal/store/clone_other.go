//go:build !linux

package store

import (
	"errors"
	"os"
)

func shareContent(_, _ *os.File) error { return errors.ErrUnsupported }
