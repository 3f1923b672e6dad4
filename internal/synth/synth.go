// Package synth writes GGUF models with random weights.
//
// [Tiny] writes models of a few hundred kilobytes with their own vocabulary and chat template,
// which the real engine loads and runs: unit tests need no network for them. [Exact] writes models
// of exactly the shape and size of published ones, so that speed and memory can be measured
// without the published weights. Both generate noise, never sense, and the same options give the
// same bytes.
//
// The package has no state; its functions may be called from any goroutine.
package synth

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// writeFile makes path by calling write, so that an incomplete file never has that name.
func writeFile(path string, write func(io.Writer) error) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	buffered := bufio.NewWriter(temp)
	err = errors.Join(write(buffered), buffered.Flush(), temp.Chmod(0o644), temp.Close())
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
