package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// errLocked means that another process holds the lock.
var errLocked = errors.New("locked")

// lock lets one fetchmodels at a time write into dir. It waits for the other one, which then has
// fetched what this one would.
func lock(ctx context.Context, out io.Writer, dir string) (unlock func(), err error) {
	path := filepath.Join(dir, ".lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for waited := false; ; waited = true {
		err := tryLock(file)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		if !waited {
			fmt.Fprintf(out, "waiting for another fetchmodels, which holds %s\n", path)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
