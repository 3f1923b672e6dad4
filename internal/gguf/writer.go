package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Writer makes a GGUF file: set keys, add tensors, then WriteTo. The zero value is an empty file
// of version 3.
type Writer struct {
	// Version is the format version to write; 0 means 3.
	Version uint32
	// Alignment is the alignment of tensor data; 0 means DefaultAlignment. Another than the default
	// is also set as a key.
	Alignment uint32

	keys    []writerKey
	tensors []writerTensor
	err     error // the first wrong argument; WriteTo returns it
}

type writerKey struct {
	name  string
	value any
}

type writerTensor struct {
	Tensor
	write TensorWriter
}

// TensorWriter writes the data of a tensor, exactly as many bytes as its type and shape take.
type TensorWriter func(io.Writer) error

// Set sets a key. The type of value chooses the type in the file: a string, a bool, a sized integer
// or float, or a slice of one of them. A second Set of a key replaces the first.
func (w *Writer) Set(key string, value any) {
	if _, err := encodeValue(nil, value); err != nil {
		w.keepError(fmt.Errorf("set key %q: %w", key, err))
		return
	}
	for i := range w.keys {
		if w.keys[i].name == key {
			w.keys[i].value = value
			return
		}
	}
	w.keys = append(w.keys, writerKey{key, value})
}

// Add adds a tensor. WriteTo calls write when its turn comes, so data need not be held in memory.
func (w *Writer) Add(name string, t TensorType, dims []uint64, write TensorWriter) {
	size, err := tensorSize(name, t, dims)
	if err != nil {
		w.keepError(err)
		return
	}
	w.tensors = append(w.tensors, writerTensor{
		Tensor: Tensor{Name: name, Dims: dims, Type: t, Size: size},
		write:  write,
	})
}

func (w *Writer) keepError(err error) {
	if w.err == nil {
		w.err = err
	}
}

// WriteTo writes the whole file to out and returns its size.
func (w *Writer) WriteTo(out io.Writer) (int64, error) {
	alignment := int64(DefaultAlignment)
	if w.Alignment != 0 && w.Alignment != DefaultAlignment {
		alignment = int64(w.Alignment)
		w.Set(AlignmentKey, w.Alignment)
	}
	if w.err != nil {
		return 0, w.err
	}
	head, err := w.header(alignment)
	if err != nil {
		return 0, err
	}
	buffered := bufio.NewWriterSize(out, 1<<20)
	count := &counter{w: buffered}
	if _, err := count.Write(head); err != nil {
		return count.n, err
	}
	for i := range w.tensors {
		if err := w.tensors[i].writeTo(count, alignment); err != nil {
			return count.n, err
		}
	}
	return count.n, buffered.Flush()
}

// header encodes everything before the tensor data, with padding if data follows.
func (w *Writer) header(alignment int64) ([]byte, error) {
	version := w.Version
	if version == 0 {
		version = 3
	}
	b := []byte("GGUF")
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(w.tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(w.keys)))
	var err error
	for _, k := range w.keys {
		b = appendText(b, k.name)
		if b, err = encodeValue(b, k.value); err != nil {
			return nil, fmt.Errorf("write key %q: %w", k.name, err)
		}
	}
	offset := int64(0)
	for i := range w.tensors {
		b = w.tensors[i].describe(b, offset)
		offset = align(offset+w.tensors[i].Size, alignment)
	}
	if len(w.tensors) > 0 {
		b = append(b, make([]byte, align(int64(len(b)), alignment)-int64(len(b)))...)
	}
	return b, nil
}

func (t *writerTensor) describe(b []byte, offset int64) []byte {
	b = appendText(b, t.Name)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(t.Dims)))
	for _, d := range t.Dims {
		b = binary.LittleEndian.AppendUint64(b, d)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(t.Type))
	return binary.LittleEndian.AppendUint64(b, uint64(offset))
}

func (t *writerTensor) writeTo(out *counter, alignment int64) error {
	start := out.n
	if err := t.write(out); err != nil {
		return fmt.Errorf("write tensor %q: %w", t.Name, err)
	}
	if got := out.n - start; got != t.Size {
		return fmt.Errorf("write tensor %q: %d bytes written, want %d", t.Name, got, t.Size)
	}
	_, err := out.Write(make([]byte, align(t.Size, alignment)-t.Size))
	return err
}

// counter counts the bytes that went through.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func appendText(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}
