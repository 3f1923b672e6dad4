package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

// progressEvery is long enough that a fast network prints no progress lines at all.
const progressEvery = 5 * time.Second

// showProgress prints how much has arrived in folder until the returned function is called. Its
// goroutine ends before that function returns.
func (f *fetcher) showProgress(name, folder string) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				fmt.Fprintf(f.out, "%s: %s so far\n", name, megabytes(largestFile(folder)))
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

// largestFile returns the size of the largest file in folder: what arrives, and not the copies that
// pip unpacks beside it. A file that vanishes meanwhile does not count.
func largestFile(folder string) int64 {
	var size int64
	_ = filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			size = max(size, info.Size())
		}
		return nil
	})
	return size
}
