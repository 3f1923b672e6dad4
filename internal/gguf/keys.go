package gguf

import (
	"fmt"
	"math/bits"
)

const (
	maxCount  = 1 << 20 // keys or tensors; published models have under 5,000 tensors
	maxKey    = 1<<16 - 1
	keyBytes  = 8 + 1 + 4 + 1      // the least a key takes: length, one byte, type, one byte
	infoBytes = 8 + 4 + 4 + 8      // the least a tensor description takes: no name, no dimension
	tellTail  = "; fetch it again" // what helps against a damaged file
)

// readCounts reads the fixed part at the start: magic, version and the two counts.
func (f *File) readCounts(d *decoder) (tensors, keys uint64, err error) {
	d.what = "the header"
	if err := checkMagic(d); err != nil {
		return 0, 0, err
	}
	f.Version = d.u32()
	if d.err != nil {
		return 0, 0, d.err
	}
	if err := checkVersion(f.Version); err != nil {
		return 0, 0, err
	}
	tensors, keys = d.u64(), d.u64()
	if d.err != nil {
		return 0, 0, d.err
	}
	if err := checkCount(d, keys, keyBytes, "keys"); err != nil {
		return 0, 0, err
	}
	return tensors, keys, checkCount(d, tensors, infoBytes, "tensors")
}

func checkMagic(d *decoder) error {
	head := make([]byte, min(512, d.size))
	if n, err := d.section.ReadAt(head, 0); n < len(head) {
		return fmt.Errorf("read the first bytes: %w", err)
	}
	if len(head) < 4 || string(head[:4]) != "GGUF" {
		return fail(ErrNotGGUF, "not a GGUF file: %s", looksLike(head, d.size))
	}
	d.skip(4)
	return d.err
}

func checkVersion(v uint32) error {
	swapped := bits.ReverseBytes32(v)
	switch {
	case v == 2 || v == 3:
		return nil
	case v == 1:
		return fail(ErrVersion, "GGUF version 1 is too old for llama.cpp;"+
			" get a newer file of the model")
	case swapped >= 1 && swapped <= 1<<15:
		return fail(ErrVersion, "big-endian GGUF version %d, which this machine cannot load;"+
			" get the little-endian file of the model", swapped)
	case v == 0:
		return fail(ErrMalformed, "malformed: GGUF version 0 does not exist"+tellTail)
	}
	return fail(ErrVersion, "GGUF version %d is newer than the versions 2 and 3 known here;"+
		" update mullama or get an older file of the model", v)
}

func checkCount(d *decoder, n, each uint64, what string) error {
	if n > maxCount {
		return fail(ErrMalformed, "malformed: the header announces %d %s, more than %d",
			n, what, maxCount)
	}
	if left := uint64(d.left()); n*each > left {
		return fail(ErrTruncated, "truncated: the header announces %d %s, which take at least"+
			" %d bytes more than the file has"+tellTail, n, what, n*each-left)
	}
	return nil
}

func (f *File) readKeys(d *decoder, n uint64, s settings) error {
	for i := range n {
		d.what = fmt.Sprintf("key %d of %d", i+1, n)
		name := d.text(maxKey)
		if d.err != nil {
			return d.err
		}
		if name == "" {
			return fail(ErrMalformed, "malformed: %s has no name", d.what)
		}
		if _, dup := f.index[name]; dup {
			return fail(ErrMalformed, "malformed: key %q occurs twice", name)
		}
		d.what = fmt.Sprintf("key %q", name)
		value, err := readValue(d, s)
		if err != nil {
			return err
		}
		f.index[name] = len(f.Keys)
		f.Keys = append(f.Keys, Key{Name: name, Value: value})
	}
	return nil
}

func readValue(d *decoder, s settings) (Value, error) {
	v := Value{Type: Type(d.u32())}
	if v.Type != TypeArray {
		v.data = d.scalar(v.Type)
		return v, d.err
	}
	v.Elem, v.Len = Type(d.u32()), d.u64()
	v.offset = d.pos
	switch {
	case d.err != nil:
		return v, d.err
	case v.Elem == TypeArray || !v.Elem.known():
		return v, fail(ErrMalformed, "malformed: %s is an array of %s, which llama.cpp does not"+
			" read", d.what, v.Elem)
	case v.Len > s.keep:
		d.skipArray(v.Elem, v.Len)
	default:
		v.data = d.array(v.Elem, v.Len)
	}
	return v, d.err
}

func (f *File) readAlignment() error {
	f.Alignment = DefaultAlignment
	v, ok := f.Value(AlignmentKey)
	if !ok {
		return nil
	}
	n, isUint32 := v.data.(uint32)
	if !isUint32 || bits.OnesCount32(n) != 1 {
		return fail(ErrMalformed, "malformed: %s is %v of type %s, want a power of two of"+
			" type uint32", AlignmentKey, v.data, v.Type)
	}
	f.Alignment = int64(n)
	return nil
}
