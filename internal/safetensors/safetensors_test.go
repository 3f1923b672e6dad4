package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// file puts a header and data together.
func file(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func read(b []byte) (*File, error) { return Read(bytes.NewReader(b), int64(len(b))) }

func TestTensorsAreReadInTheOrderOfTheirData(t *testing.T) {
	f, err := read(file(`{"b":{"dtype":"BF16","shape":[2],"data_offsets":[4,8]},
		"__metadata__":{"format":"pt"},
		"a":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}}`,
		0x00, 0x3c, 0x00, 0xc0, 0x80, 0x3f, 0x00, 0x40))
	if err != nil {
		t.Fatal(err)
	}
	if f.Metadata["format"] != "pt" || len(f.Tensors) != 2 || f.Tensors[0].Name != "a" {
		t.Fatalf("read %+v", f)
	}
	for name, want := range map[string][]float32{"a": {1, -2}, "b": {1, 2}} {
		got, err := f.Floats(f.Find(name))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s is %v, %v; want %v", name, got, err, want)
		}
	}
	if f.Find("c") != nil {
		t.Error("found a tensor that is not there")
	}
}

func TestBrokenFilesAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":           nil,
		"header too long": binary.LittleEndian.AppendUint64(nil, 1<<40),
		"no JSON":         file("hello"),
		"unknown type":    file(`{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,1]}}`, 0),
		"beyond the end":  file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 0),
		"negative offset": file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}`, 0),
		"wrong size":      file(`{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,1]}}`, 0),
		"huge shape": file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],` +
			`"data_offsets":[0,0]}}`),
		"no offsets": file(`{"a":{"dtype":"U8","shape":[1]}}`, 0),
	} {
		if _, err := read(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

func TestHalvesBecomeFloats(t *testing.T) {
	for bits, want := range map[uint16]float32{
		0: 0, 0x3c00: 1, 0x3555: 0.33325195, 1: 5.9604645e-08, 0x7bff: 65504, 0xfbff: -65504,
		0x7c00: float32(math.Inf(1)), 0xfc00: float32(math.Inf(-1)),
	} {
		if got := fromHalf(bits); got != want {
			t.Errorf("fromHalf(%#x) = %g, want %g", bits, got, want)
		}
	}
}

func TestTypesWithoutNumbersAreNotConverted(t *testing.T) {
	f, err := read(file(`{"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}`, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Floats(f.Find("a")); err == nil || !strings.Contains(err.Error(), "BOOL") {
		t.Errorf("Floats of a BOOL: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 0, 0, 0x80, 0x3f))
	f.Add(file(`{"__metadata__":{"a":"b"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := read(b)
		if err != nil {
			return
		}
		for i := range file.Tensors {
			if _, err := file.Floats(&file.Tensors[i]); err != nil &&
				sizes[file.Tensors[i].Type] == 0 {
				t.Error(err)
			}
		}
	})
}
