//go:build !unix

package maxsim

import (
	"io"
	"os"
)

// Where there is no mapping, files are read.
func mapFile(f *os.File, from int64, n int) ([]byte, error) { return readFile(f, from, n) }

func readFile(f *os.File, from int64, n int) ([]byte, error) {
	raw := make([]byte, n)
	_, err := io.ReadFull(io.NewSectionReader(f, from, int64(n)), raw)
	return raw, err
}

func unmap([]byte) {}

func tryLock(*os.File) (held bool, err error) { return false, nil }

func isReadOnly(error) bool { return false }

func unlock(*os.File) {}
