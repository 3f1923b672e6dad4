// Package safetensors reads the file format in which most models are published: a JSON header that
// names tensors, and their data.
//
// [Read] reads the header alone. The data of a tensor stays in the file until it is asked for. What
// a broken or hostile file says of itself is checked first, so no read goes beyond the file. A File
// may be used from any goroutine.
package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// maxHeader is the largest header that is read, in bytes; it is the format's own limit.
const maxHeader = 100_000_000

// ErrFormat means that a file is not a complete safetensors file.
var ErrFormat = errors.New("not a safetensors file")

// Tensor is a tensor in a file.
type Tensor struct {
	Name  string
	Type  string   // "F32", "F16", "BF16", "I64", …
	Shape []uint64 // outermost dimension first
	Size  int64    // bytes

	offset int64 // in the file
}

// Elements is the number of elements.
func (t *Tensor) Elements() int64 {
	n, _ := elements(t.Shape)
	return n
}

// File is an open file.
type File struct {
	Metadata map[string]string
	Tensors  []Tensor // by their place in the file

	r io.ReaderAt
}

// sizes are the bytes of an element by its type.
var sizes = map[string]int64{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
	"BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}

// entry is a tensor in the header.
type entry struct {
	Type    string   `json:"dtype"`
	Shape   []uint64 `json:"shape"`
	Offsets []int64  `json:"data_offsets"`
}

// Read reads the header of a file of so many bytes.
func Read(r io.ReaderAt, size int64) (*File, error) {
	var length [8]byte
	if _, err := r.ReadAt(length[:], 0); err != nil {
		return nil, fmt.Errorf("%w: it has no header", ErrFormat)
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader || int64(n) > size-int64(len(length)) {
		return nil, fmt.Errorf("%w: its header has %d bytes, the file %d", ErrFormat, n, size)
	}
	header := make([]byte, n)
	if _, err := r.ReadAt(header, int64(len(length))); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the header: %w", err)
	}
	entries := map[string]json.RawMessage{}
	if err := json.Unmarshal(header, &entries); err != nil {
		return nil, fmt.Errorf("%w: its header is not JSON: %w", ErrFormat, err)
	}
	f := &File{r: r}
	if err := f.read(entries, int64(len(length))+int64(n), size); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) read(entries map[string]json.RawMessage, base, size int64) error {
	const metadata = "__metadata__"
	for name, raw := range entries {
		if name == metadata {
			if err := json.Unmarshal(raw, &f.Metadata); err != nil {
				return fmt.Errorf("%w: its metadata are not texts", ErrFormat)
			}
			continue
		}
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("%w: tensor %q is not described", ErrFormat, name)
		}
		t, err := e.tensor(name, base, size)
		if err != nil {
			return err
		}
		f.Tensors = append(f.Tensors, t)
	}
	slices.SortFunc(f.Tensors, func(a, b Tensor) int {
		if a.offset != b.offset {
			return int(min(1, max(-1, a.offset-b.offset)))
		}
		return slices.Compare([]byte(a.Name), []byte(b.Name))
	})
	return nil
}

func (e *entry) tensor(name string, base, size int64) (Tensor, error) {
	width := sizes[e.Type]
	n, ok := elements(e.Shape)
	switch {
	case width == 0:
		return Tensor{}, fmt.Errorf("%w: tensor %q has the unknown type %q", ErrFormat, name,
			e.Type)
	case len(e.Offsets) != 2 || e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] ||
		e.Offsets[1] > size-base:
		return Tensor{}, fmt.Errorf("%w: tensor %q lies outside of the file", ErrFormat, name)
	case !ok || n > math.MaxInt64/width || n*width != e.Offsets[1]-e.Offsets[0]:
		return Tensor{}, fmt.Errorf("%w: the size of tensor %q does not fit its shape", ErrFormat,
			name)
	}
	return Tensor{
		Name: name, Type: e.Type, Shape: e.Shape, Size: n * width, offset: base + e.Offsets[0],
	}, nil
}

// elements multiplies a shape, and reports false where the product is too large.
func elements(shape []uint64) (int64, bool) {
	n := uint64(1)
	for _, d := range shape {
		if d != 0 && n > math.MaxInt64/d {
			return 0, false
		}
		n *= d
	}
	return int64(n), true
}

// Find returns the tensor of a name, or nil.
func (f *File) Find(name string) *Tensor {
	i := slices.IndexFunc(f.Tensors, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Tensors[i]
}

// Data returns a reader of a tensor's bytes.
func (f *File) Data(t *Tensor) io.Reader { return io.NewSectionReader(f.r, t.offset, t.Size) }

// Floats reads a tensor of type F32, F16 or BF16.
func (f *File) Floats(t *Tensor) ([]float32, error) {
	data := make([]byte, t.Size)
	if _, err := io.ReadFull(f.Data(t), data); err != nil {
		return nil, fmt.Errorf("read tensor %q: %w", t.Name, err)
	}
	numbers := make([]float32, t.Elements())
	for i := range numbers {
		switch t.Type {
		case "F32":
			numbers[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		case "F16":
			numbers[i] = fromHalf(binary.LittleEndian.Uint16(data[2*i:]))
		case "BF16":
			bits := binary.LittleEndian.Uint16(data[2*i:])
			numbers[i] = math.Float32frombits(uint32(bits) << 16)
		default:
			return nil, fmt.Errorf("tensor %q has type %s, not numbers to convert", t.Name, t.Type)
		}
	}
	return numbers, nil
}

// fromHalf is the value of IEEE half-precision bits.
func fromHalf(bits uint16) float32 {
	const exponentMask, mantissaBits, bias = 0x1f, 10, 15
	sign := float64(1)
	if bits>>15 != 0 {
		sign = -1
	}
	exponent := int(bits>>mantissaBits) & exponentMask
	mantissa := float64(bits & (1<<mantissaBits - 1))
	switch {
	case exponent == exponentMask && mantissa == 0:
		return float32(math.Inf(int(sign)))
	case exponent == exponentMask:
		return float32(math.NaN())
	case exponent == 0:
		return float32(sign * math.Ldexp(mantissa, 1-bias-mantissaBits))
	}
	return float32(sign * math.Ldexp(mantissa+1<<mantissaBits, exponent-bias-mantissaBits))
}
