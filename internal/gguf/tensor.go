package gguf

import (
	"fmt"
	"math"
	"math/bits"
)

const (
	maxDims = 4  // GGML_MAX_DIMS
	maxName = 63 // GGML_MAX_NAME less its closing zero
)

// Tensor describes one tensor.
type Tensor struct {
	// Name is the tensor's name, such as "blk.0.attn_q.weight".
	Name string
	// Dims are the sizes, the one whose elements lie side by side first.
	Dims []uint64
	// Type says how the elements are stored.
	Type TensorType
	// Offset is where the data starts, counted from File.DataOffset.
	Offset int64
	// Size is the length of the data in bytes, without padding.
	Size int64
}

// Elements returns the number of elements.
func (t *Tensor) Elements() uint64 {
	n := uint64(1)
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

func (f *File) readTensors(d *decoder, n uint64) error {
	seen := make(map[string]bool)
	for i := range n {
		d.what = fmt.Sprintf("the description of tensor %d of %d", i+1, n)
		t, err := readTensor(d)
		if err != nil {
			return err
		}
		if seen[t.Name] {
			return fail(ErrMalformed, "malformed: tensor %q occurs twice", t.Name)
		}
		seen[t.Name] = true
		f.Tensors = append(f.Tensors, t)
	}
	return nil
}

func readTensor(d *decoder) (Tensor, error) {
	t := Tensor{Name: d.text(maxName)}
	dims := d.u32()
	if d.err != nil {
		return t, d.err
	}
	if dims > maxDims {
		return t, fail(ErrMalformed, "malformed: tensor %q has %d dimensions, more than %d",
			t.Name, dims, maxDims)
	}
	t.Dims = make([]uint64, dims)
	for i := range t.Dims {
		t.Dims[i] = d.u64()
	}
	t.Type = TensorType(d.u32())
	offset := d.u64()
	if d.err != nil {
		return t, d.err
	}
	if offset > math.MaxInt64 {
		return t, fail(ErrMalformed, "malformed: tensor %q has offset %d", t.Name, offset)
	}
	t.Offset = int64(offset)
	size, err := tensorSize(t.Name, t.Type, t.Dims)
	t.Size = size
	return t, err
}

// tensorSize returns the bytes that a tensor takes, or an error if its shape does not fit its type.
func tensorSize(name string, t TensorType, dims []uint64) (int64, error) {
	b, ok := t.block()
	if !ok {
		return 0, fail(ErrMalformed, "malformed: tensor %q has type %d, which is not known;"+
			" a newer llama.cpp may know it", name, uint32(t))
	}
	elements := uint64(1)
	for _, dim := range dims {
		hi, lo := bits.Mul64(elements, dim)
		if hi != 0 || lo > math.MaxInt64 || dim > math.MaxInt64 {
			return 0, fail(ErrMalformed, "malformed: tensor %q has shape %v, which is too large",
				name, dims)
		}
		elements = lo
	}
	row := uint64(1)
	if len(dims) > 0 {
		row = dims[0]
	}
	if row%b.elements != 0 {
		return 0, fail(ErrMalformed, "malformed: tensor %q of type %s has rows of %d elements,"+
			" want a multiple of %d", name, b.name, row, b.elements)
	}
	hi, size := bits.Mul64(elements/b.elements, b.bytes)
	if hi != 0 || size > math.MaxInt64-1<<32 {
		return 0, fail(ErrMalformed, "malformed: tensor %q has shape %v, which is too large",
			name, dims)
	}
	return int64(size), nil
}

// place finds the data section and checks that every tensor lies where llama.cpp expects it, one
// after the other, and inside the file. A file without tensors has no data section and no padding.
func (f *File) place(pos int64) error {
	f.DataOffset = pos
	if len(f.Tensors) == 0 {
		return nil
	}
	f.DataOffset = align(pos, f.Alignment)
	next, end := int64(0), int64(0)
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if t.Offset != next {
			return fail(ErrMalformed, "malformed: the data of tensor %q starts at byte %d, want %d",
				t.Name, t.Offset, next)
		}
		end = next + t.Size
		if end > math.MaxInt64-f.DataOffset-f.Alignment {
			return fail(ErrMalformed, "malformed: the tensors up to %q are too large", t.Name)
		}
		next = align(end, f.Alignment)
	}
	if want := f.DataOffset + end; f.Size < want {
		return fail(ErrTruncated, "truncated: %d of %d bytes are missing"+tellTail,
			want-f.Size, want)
	}
	return nil
}

// align rounds n up to a multiple of a, a power of two.
func align(n, a int64) int64 { return (n + a - 1) &^ (a - 1) }
