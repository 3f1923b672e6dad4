package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// maxString bounds one string. The longest seen in published models are tokenizer.json copies of
// about 35 MB.
const maxString = 256 << 20

// decoder reads little-endian values and never asks for more than the file holds.
// The first error sticks, and every read after it returns zero.
type decoder struct {
	section *io.SectionReader
	buf     *bufio.Reader
	pos     int64
	size    int64
	what    string // what is being read, for the error
	err     error
}

func newDecoder(r io.ReaderAt, size int64) *decoder {
	section := io.NewSectionReader(r, 0, size)
	window := int(min(max(size, 16), 64<<10))
	return &decoder{section: section, buf: bufio.NewReaderSize(section, window), size: size}
}

func (d *decoder) left() int64 { return d.size - d.pos }

// need reports whether n more bytes are in the file.
func (d *decoder) need(n uint64) bool {
	if d.err != nil {
		return false
	}
	if left := uint64(d.left()); n > left {
		d.err = fail(ErrTruncated, "truncated: the file ends in %s, at least %d bytes are missing;"+
			" fetch it again", d.what, n-left)
		return false
	}
	return true
}

// fixed returns the next n bytes, n at most 8. They are valid until the next read.
func (d *decoder) fixed(n int) []byte {
	if !d.need(uint64(n)) {
		return make([]byte, n)
	}
	b, err := d.buf.Peek(n)
	if err != nil {
		d.ioError(err)
		return make([]byte, n)
	}
	_, _ = d.buf.Discard(n) // what was peeked is buffered, so this cannot fail
	d.pos += int64(n)
	return b
}

// ioError keeps err. An early end means that the file shrank since its size was taken.
func (d *decoder) ioError(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fail(ErrTruncated, "truncated: the file became shorter while %s was read", d.what)
	}
	d.err = err
}

func (d *decoder) u8() uint8    { return d.fixed(1)[0] }
func (d *decoder) u16() uint16  { return binary.LittleEndian.Uint16(d.fixed(2)) }
func (d *decoder) u32() uint32  { return binary.LittleEndian.Uint32(d.fixed(4)) }
func (d *decoder) u64() uint64  { return binary.LittleEndian.Uint64(d.fixed(8)) }
func (d *decoder) f32() float32 { return math.Float32frombits(d.u32()) }
func (d *decoder) f64() float64 { return math.Float64frombits(d.u64()) }

// text reads a string of at most limit bytes.
func (d *decoder) text(limit uint64) string {
	n := d.textLen(limit)
	if d.err != nil || n == 0 {
		return ""
	}
	b := make([]byte, n) // textLen checked that the file holds n more bytes
	if _, err := io.ReadFull(d.buf, b); err != nil {
		d.ioError(err)
		return ""
	}
	d.pos += int64(n)
	return string(b)
}

func (d *decoder) textLen(limit uint64) uint64 {
	n := d.u64()
	if d.err != nil {
		return 0
	}
	if n > limit {
		d.err = fail(ErrMalformed, "malformed: %s has a string of %d bytes, more than %d",
			d.what, n, limit)
		return 0
	}
	if !d.need(n) {
		return 0
	}
	return n
}

// skip moves over n bytes without keeping them.
func (d *decoder) skip(n uint64) {
	if !d.need(n) {
		return
	}
	d.pos += int64(n)
	if n <= uint64(d.buf.Buffered()) {
		_, _ = d.buf.Discard(int(n)) // buffered, so this cannot fail
		return
	}
	if _, err := d.section.Seek(d.pos, io.SeekStart); err != nil {
		d.ioError(err)
		return
	}
	d.buf.Reset(d.section)
}

// scalar reads a value of a type that is not an array.
func (d *decoder) scalar(t Type) any {
	switch t {
	case TypeUint8:
		return d.u8()
	case TypeInt8:
		return int8(d.u8())
	case TypeUint16:
		return d.u16()
	case TypeInt16:
		return int16(d.u16())
	case TypeUint32:
		return d.u32()
	case TypeInt32:
		return int32(d.u32())
	case TypeFloat32:
		return d.f32()
	case TypeBool:
		return d.u8() != 0
	case TypeString:
		return d.text(maxString)
	case TypeUint64:
		return d.u64()
	case TypeInt64:
		return int64(d.u64())
	case TypeFloat64:
		return d.f64()
	}
	d.err = fail(ErrMalformed, "malformed: %s has unknown type %d", d.what, uint32(t))
	return nil
}

// array reads n elements of type t as a slice of the Go type.
func (d *decoder) array(t Type, n uint64) any {
	if !d.need(minBytes(t, n)) {
		return nil
	}
	switch t {
	case TypeUint8:
		return list(d, n, d.u8)
	case TypeInt8:
		return list(d, n, func() int8 { return int8(d.u8()) })
	case TypeUint16:
		return list(d, n, d.u16)
	case TypeInt16:
		return list(d, n, func() int16 { return int16(d.u16()) })
	case TypeUint32:
		return list(d, n, d.u32)
	case TypeInt32:
		return list(d, n, func() int32 { return int32(d.u32()) })
	case TypeFloat32:
		return list(d, n, d.f32)
	case TypeBool:
		return list(d, n, func() bool { return d.u8() != 0 })
	case TypeString:
		return list(d, n, func() string { return d.text(maxString) })
	case TypeUint64:
		return list(d, n, d.u64)
	case TypeInt64:
		return list(d, n, func() int64 { return int64(d.u64()) })
	case TypeFloat64:
		return list(d, n, d.f64)
	}
	return nil
}

// list reads n elements. It reserves room for some and grows with what is read.
func list[T any](d *decoder, n uint64, next func() T) []T {
	out := make([]T, 0, min(n, 1<<12))
	for range n {
		x := next()
		if d.err != nil {
			return nil
		}
		out = append(out, x)
	}
	return out
}

// skipArray moves over n elements of type t.
func (d *decoder) skipArray(t Type, n uint64) {
	if t != TypeString {
		d.skip(minBytes(t, n))
		return
	}
	if !d.need(minBytes(t, n)) {
		return
	}
	for range n {
		d.skip(d.textLen(maxString))
		if d.err != nil {
			return
		}
	}
}

// minBytes is the least that n elements take in a file; a string takes at least its length field.
// It saturates instead of overflowing.
func minBytes(t Type, n uint64) uint64 {
	size := uint64(8)
	if t.known() && typeInfo[t].size > 0 {
		size = uint64(typeInfo[t].size)
	}
	if n > math.MaxInt64/size {
		return math.MaxInt64
	}
	return n * size
}
