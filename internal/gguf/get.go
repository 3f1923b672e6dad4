package gguf

import (
	"fmt"
	"strings"
)

// Value returns the value of a key.
func (f *File) Value(key string) (Value, bool) {
	i, ok := f.index[key]
	if !ok {
		return Value{}, false
	}
	return f.Keys[i].Value, true
}

// String returns the value of a string key, or "" if it is absent or no string.
func (f *File) String(key string) string {
	v, _ := f.Value(key)
	s, _ := v.Text()
	return s
}

// Uint returns the value of an integer key that is not negative.
func (f *File) Uint(key string) (uint64, bool) {
	v, _ := f.Value(key)
	return v.Uint()
}

// Int returns the value of an integer key.
func (f *File) Int(key string) (int64, bool) {
	v, _ := f.Value(key)
	return v.Int()
}

// Float returns the value of a float or integer key.
func (f *File) Float(key string) (float64, bool) {
	v, _ := f.Value(key)
	return v.Float()
}

// Bool returns the value of a bool key.
func (f *File) Bool(key string) (value, ok bool) {
	v, _ := f.Value(key)
	return v.Bool()
}

// Array returns an array as a slice of the Go type of its elements, read from the file if it was
// left there. It returns nil if the key is absent and an error if it is no array.
func (f *File) Array(key string) (any, error) {
	v, ok := f.Value(key)
	switch {
	case !ok:
		return nil, nil
	case v.Type != TypeArray:
		return nil, fail(ErrMalformed, "malformed: key %q is a %s, want an array", key, v.Type)
	case v.data != nil:
		return v.data, nil
	}
	r, err := f.source()
	if err != nil {
		return nil, fmt.Errorf("read key %q: %w", key, err)
	}
	defer r.Close()
	d := newDecoder(r, f.Size)
	d.what = fmt.Sprintf("key %q", key)
	d.skip(uint64(v.offset))
	elements := d.array(v.Elem, v.Len)
	return elements, d.err
}

// Strings returns an array of strings, or nil if the key is absent.
func (f *File) Strings(key string) ([]string, error) {
	a, err := f.Array(key)
	if a == nil || err != nil {
		return nil, err
	}
	s, ok := a.([]string)
	if !ok {
		return nil, f.wrongElem(key, "strings")
	}
	return s, nil
}

// Ints returns an array of integers of any width, or nil if the key is absent. A single integer
// counts as an array of one, because models give, for example, attention.head_count_kv either once
// or per layer.
func (f *File) Ints(key string) ([]int64, error) {
	if n, ok := f.Int(key); ok {
		return []int64{n}, nil
	}
	a, err := f.Array(key)
	if a == nil || err != nil {
		return nil, err
	}
	ints, ok := toInts(a)
	if !ok {
		return nil, f.wrongElem(key, "integers")
	}
	return ints, nil
}

// Floats returns an array of float32 or float64, or nil if the key is absent.
func (f *File) Floats(key string) ([]float64, error) {
	a, err := f.Array(key)
	if a == nil || err != nil {
		return nil, err
	}
	switch a := a.(type) {
	case []float32:
		return convert(a, func(x float32) float64 { return float64(x) }), nil
	case []float64:
		return a, nil
	}
	return nil, f.wrongElem(key, "floats")
}

func (f *File) wrongElem(key, want string) error {
	v, _ := f.Value(key)
	return fail(ErrMalformed, "malformed: key %q is an array of %s, want %s", key, v.Elem, want)
}

func toInts(a any) ([]int64, bool) {
	switch a := a.(type) {
	case []uint8:
		return convert(a, func(x uint8) int64 { return int64(x) }), true
	case []int8:
		return convert(a, func(x int8) int64 { return int64(x) }), true
	case []uint16:
		return convert(a, func(x uint16) int64 { return int64(x) }), true
	case []int16:
		return convert(a, func(x int16) int64 { return int64(x) }), true
	case []uint32:
		return convert(a, func(x uint32) int64 { return int64(x) }), true
	case []int32:
		return convert(a, func(x int32) int64 { return int64(x) }), true
	case []uint64:
		return convert(a, func(x uint64) int64 { return int64(x) }), true
	case []int64:
		return a, true
	}
	return nil, false
}

func convert[S, T any](in []S, f func(S) T) []T {
	out := make([]T, len(in))
	for i, x := range in {
		out[i] = f(x)
	}
	return out
}

// Architecture returns general.architecture, such as "llama".
func (f *File) Architecture() string { return f.String("general.architecture") }

// ArchKey returns the full name of a key of the model's architecture: ArchKey("context_length") is
// "llama.context_length" in a llama model.
func (f *File) ArchKey(name string) string { return f.Architecture() + "." + name }

// Parameters returns the number of elements in all tensors.
func (f *File) Parameters() int64 {
	var n uint64
	for i := range f.Tensors {
		n += f.Tensors[i].Elements()
	}
	return int64(n)
}

// TensorBytes returns the size of all tensors without padding.
func (f *File) TensorBytes() int64 {
	var n int64
	for i := range f.Tensors {
		n += f.Tensors[i].Size
	}
	return n
}

// Quantization returns the model's quantisation in llama.cpp's terms, such as "Q4_K_M" or "F16".
// A file that does not state it gets the tensor type that most of its parameters have, and a file
// without tensors gets "".
func (f *File) Quantization() string {
	if n, ok := f.Uint("general.file_type"); ok {
		if name := FileType(n &^ guessed).String(); name != "" {
			return name
		}
	}
	return strings.ToUpper(f.commonType())
}

func (f *File) commonType() string {
	elements := make(map[TensorType]uint64)
	var best TensorType
	for i := range f.Tensors {
		t := &f.Tensors[i]
		elements[t.Type] += t.Elements()
		if elements[t.Type] > elements[best] {
			best = t.Type
		}
	}
	if len(elements) == 0 {
		return ""
	}
	return best.String()
}
