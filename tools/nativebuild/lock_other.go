//go:build !unix

package main

import (
	"context"
	"errors"
	"io"
)

const lockName = "lock"

func lockCache(context.Context, string, io.Writer) (func(), error) {
	return nil, errors.New("the native library is built on Unix systems only")
}
