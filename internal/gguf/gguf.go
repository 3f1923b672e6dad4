// Package gguf reads and writes GGUF files, the container llama.cpp keeps models in, without cgo.
//
// A GGUF file is a list of typed keys, a list of tensor descriptions and then the tensor data.
// [Open] and [Read] return the first two as a [File] and check that the third is really there;
// they never read tensor data. Every count and length in the file is untrusted: nothing is
// allocated from a number alone, only from bytes that were read. Long arrays, such as a
// vocabulary, stay in the file until [File.Array] asks for them.
//
// A File does not change after Open returns, so any goroutine may use it. A [Writer] belongs to
// one goroutine.
package gguf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// DefaultAlignment is the alignment of tensor data in files that do not name another.
const DefaultAlignment = 32

// AlignmentKey is the key that names another alignment.
const AlignmentKey = "general.alignment"

// File is the header of a GGUF file.
type File struct {
	// Path is the file Open read, or empty after Read.
	Path string
	// Version is the format version, 2 or 3.
	Version uint32
	// Keys are the metadata in file order.
	Keys []Key
	// Tensors are the tensor descriptions in file order.
	Tensors []Tensor
	// Alignment is what each tensor's offset is a multiple of.
	Alignment int64
	// DataOffset is where the tensor data starts, counted from the start of the file.
	DataOffset int64
	// Size is the size of the file in bytes.
	Size int64

	index  map[string]int
	source source
}

// source opens what the header was read from, to read the arrays left there.
type source func() (readerAtCloser, error)

type readerAtCloser interface {
	io.ReaderAt
	io.Closer
}

// kept is a reader that its owner closes.
type kept struct{ io.ReaderAt }

func (kept) Close() error { return nil }

// Option changes what Open and Read keep in memory.
type Option func(*settings)

type settings struct{ keep uint64 }

// KeepArrays sets the longest array, in elements, that is read at once; the default is 256.
// A longer one keeps its type and length, and File.Array reads it from the file when asked.
func KeepArrays(elements int) Option {
	return func(s *settings) { s.keep = uint64(max(elements, 0)) }
}

// Open reads the header of the file at path and checks that its tensor data is complete.
// The errors match ErrNotGGUF, ErrVersion, ErrTruncated, ErrMalformed, fs.ErrNotExist or
// fs.ErrPermission.
func Open(path string, opts ...Option) (*File, error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	f, err := Read(file, size, opts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f.Path = path
	f.source = func() (readerAtCloser, error) { return os.Open(path) }
	return f, nil
}

// openRegular opens path if it is a file with content. It looks before it opens, because opening
// a named pipe would wait for a writer.
func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, openError(path, err)
	}
	switch {
	case info.IsDir():
		return nil, 0, fail(ErrNotGGUF, "%s: is a directory; name the .gguf file in it", path)
	case !info.Mode().IsRegular():
		return nil, 0, fail(ErrNotGGUF, "%s: is not a regular file; name a .gguf file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, openError(path, err)
	}
	return file, info.Size(), nil
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(err, "%s: no such file; check the path", path)
	case errors.Is(err, fs.ErrPermission):
		return fail(err, "%s: no permission to read it; change its mode or owner", path)
	}
	return err
}

// Read reads the header of a GGUF file of size bytes from r. The File keeps r to read long
// arrays later.
func Read(r io.ReaderAt, size int64, opts ...Option) (*File, error) {
	s := settings{keep: 256}
	for _, opt := range opts {
		opt(&s)
	}
	f := &File{
		Size:   size,
		index:  make(map[string]int),
		source: func() (readerAtCloser, error) { return kept{r}, nil },
	}
	d := newDecoder(r, size)
	if err := f.read(d, s); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) read(d *decoder, s settings) error {
	tensors, keys, err := f.readCounts(d)
	if err != nil {
		return err
	}
	if err := f.readKeys(d, keys, s); err != nil {
		return err
	}
	if err := f.readAlignment(); err != nil {
		return err
	}
	if err := f.readTensors(d, tensors); err != nil {
		return err
	}
	return f.place(d.pos)
}
