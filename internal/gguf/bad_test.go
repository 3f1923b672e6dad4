package gguf_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/gguf"
)

// header returns the fixed part of a file with these numbers, and what follows it.
func header(version uint32, tensors, keys uint64, rest ...any) []byte {
	b := []byte("GGUF")
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint64(b, tensors)
	b = binary.LittleEndian.AppendUint64(b, keys)
	for _, x := range rest {
		if s, ok := x.(string); ok {
			b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
			b = append(b, s...)
			continue
		}
		b, _ = binary.Append(b, binary.LittleEndian, x)
	}
	return b
}

func bigEndian() []byte {
	b := header(3, 0, 0)
	binary.BigEndian.PutUint32(b[4:], 3)
	return b
}

// padded adds n bytes, so that a wrong number does not also look like a truncated file.
func padded(b []byte, n int) []byte { return append(b, make([]byte, n)...) }

// tensor describes a tensor of type kind.
func tensor(name string, kind uint32, offset uint64, dims ...uint64) []any {
	d := []any{name, uint32(len(dims))}
	for _, n := range dims {
		d = append(d, n)
	}
	return append(d, kind, offset)
}

func join(lists ...[]any) []any {
	var all []any
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func TestBrokenHeadersAreNamed(t *testing.T) {
	one := func(dims ...uint64) []byte {
		return padded(header(3, 1, 0, tensor("t", 0, 0, dims...)...), 200)
	}
	for _, tt := range []struct {
		name string
		in   []byte
		kind error
		says string
	}{
		{"version 1", header(1, 0, 0), gguf.ErrVersion, "version 1 is too old"},
		{"version 4", header(4, 0, 0), gguf.ErrVersion, "version 4 is newer"},
		{"version 0", header(0, 0, 0), gguf.ErrMalformed, "version 0"},
		{"big-endian", bigEndian(), gguf.ErrVersion, "big-endian GGUF version 3"},
		{"magic only", []byte("GGUF"), gguf.ErrTruncated, "ends in the header"},
		{"no counts", header(3, 0, 0)[:16], gguf.ErrTruncated, "at least 8 bytes are missing"},
		{"absurd key count", header(3, 0, 1<<60), gguf.ErrMalformed, "announces 11529215046"},
		{"more keys than bytes", header(3, 0, 10), gguf.ErrTruncated, "announces 10 keys"},
		{"more tensors than bytes", header(3, 2, 0), gguf.ErrTruncated, "announces 2 tensors"},
		{"absurd string", padded(header(3, 0, 1, uint64(1<<62)), 50), gguf.ErrMalformed,
			"key 1 of 1"},
		{"nameless key", header(3, 0, 1, "", uint32(4), uint32(1)), gguf.ErrMalformed, "no name"},
		{"unknown type", padded(header(3, 0, 1, "k", uint32(13)), 9), gguf.ErrMalformed,
			"unknown type 13"},
		{"unknown element type", padded(header(3, 0, 1, "k", uint32(9), uint32(77), uint64(1)), 9),
			gguf.ErrMalformed, "array of type 77"},
		{"array of arrays", padded(header(3, 0, 1, "k", uint32(9), uint32(9), uint64(1)), 9),
			gguf.ErrMalformed, "array of array"},
		{"array past the end", header(3, 0, 1, "k", uint32(9), uint32(4), uint64(1<<61)),
			gguf.ErrTruncated, `key "k"`},
		{"strings past the end", header(3, 0, 1, "k", uint32(9), uint32(8), uint64(1<<40)),
			gguf.ErrTruncated, `key "k"`},
		{"duplicate key", header(3, 0, 2, "k", uint32(4), uint32(1), "k", uint32(4), uint32(1)),
			gguf.ErrMalformed, `"k" occurs twice`},
		{"alignment 24", header(3, 0, 1, "general.alignment", uint32(4), uint32(24)),
			gguf.ErrMalformed, "power of two"},
		{"alignment of another type", header(3, 0, 1, "general.alignment", uint32(10), uint64(32)),
			gguf.ErrMalformed, "uint64"},
		{"five dimensions", one(1, 1, 1, 1, 1), gguf.ErrMalformed, "5 dimensions"},
		{"overflowing shape", one(1<<40, 1<<40), gguf.ErrMalformed, "too large"},
		{"negative dimension", one(1 << 63), gguf.ErrMalformed, "too large"},
		{"removed tensor type", padded(header(3, 1, 0, tensor("t", 4, 0, 32)...), 99),
			gguf.ErrMalformed, "type 4"},
		{"half a block", padded(header(3, 1, 0, tensor("t", 12, 0, 100)...), 99),
			gguf.ErrMalformed, "multiple of 256"},
		{"data elsewhere", padded(header(3, 1, 0, tensor("t", 0, 64, 1)...), 200),
			gguf.ErrMalformed, "starts at byte 64, want 0"},
		{"duplicate tensor", padded(header(3, 2, 0,
			join(tensor("t", 0, 0, 1), tensor("t", 0, 32, 1))...), 200),
			gguf.ErrMalformed, `"t" occurs twice`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := gguf.Read(bytes.NewReader(tt.in), int64(len(tt.in)))
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got error %v, want %v saying %q", err, tt.kind, tt.says)
			}
		})
	}
}

func TestTruncationAtAnyPlaceIsTruncation(t *testing.T) {
	whole := build(t, small)
	f := read(t, whole)
	end := f.DataOffset + f.Tensors[2].Offset + f.Tensors[2].Size
	for n := 4; n < int(end); n++ {
		_, err := gguf.Read(bytes.NewReader(whole[:n]), int64(n))
		if !errors.Is(err, gguf.ErrTruncated) {
			t.Fatalf("first %d of %d bytes: got error %v, want ErrTruncated", n, len(whole), err)
		}
	}
	if _, err := gguf.Read(bytes.NewReader(whole[:end]), end); err != nil {
		t.Errorf("without the padding at the end: %v", err)
	}
	_, err := gguf.Read(bytes.NewReader(whole[:end-7]), end-7)
	if want := "truncated: 7 of"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %q", err, want)
	}
}

func zipWith(t *testing.T, member string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if _, err := z.Create(member); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOtherFilesAreRecognised(t *testing.T) {
	safetensors := append(binary.LittleEndian.AppendUint64(nil, 20), `{"__metadata__":{}} `...)
	tar := make([]byte, 512)
	copy(tar, "model/")
	copy(tar[257:], "ustar")
	for _, tt := range []struct {
		name string
		in   []byte
		says string
	}{
		{"nothing", nil, "is empty"},
		{"safetensors", safetensors, "safetensors"},
		{"PyTorch", zipWith(t, "archive/data.pkl"), "PyTorch"},
		{"old PyTorch", []byte("\x80\x02\x8a\x0a"), "PyTorch"},
		{"zip", zipWith(t, "readme.txt"), "zip archive"},
		{"web page", []byte("\n<!DOCTYPE HTML>\n<html>"), "web page"},
		{"XML", []byte("<?xml version='1.0'?><Error/>"), "XML"},
		{"JSON", []byte(`{"error":"not found"}`), "JSON"},
		{"git-lfs", []byte("version https://git-lfs.example/spec/v1\n"), "git-lfs pointer"},
		{"old llama.cpp", []byte("tjgg\x03\x00\x00\x00"), "before GGUF"},
		{"gzip", []byte("\x1f\x8b\x08"), "gzip"},
		{"tar", tar, "tar archive"},
		{"program", []byte("\x7fELF\x02"), "program"},
		{"Modelfile", []byte("FROM ./m.gguf\n"), "Modelfile"},
		{"text", []byte("hello wörld"), "is text"},
		{"cut rune", []byte("hello w\xc3"), "is text"},
		{"zeros", make([]byte, 600), "zeros"},
		{"bytes", []byte("\x01\x02\x03\xff"), "starts with 01 02 03 ff"},
		{"short", []byte("GG"), "is text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := gguf.Open(write(t, "model.gguf", tt.in))
			if !errors.Is(err, gguf.ErrNotGGUF) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got error %v, want ErrNotGGUF saying %q", err, tt.says)
			}
		})
	}
}

func TestPathsThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := gguf.Open(dir); !errors.Is(err, gguf.ErrNotGGUF) ||
		!strings.Contains(err.Error(), "directory") {
		t.Errorf("directory: got error %v", err)
	}
	if _, err := gguf.Open(os.DevNull); !errors.Is(err, gguf.ErrNotGGUF) {
		t.Errorf("device: got error %v", err)
	}
	_, err := gguf.Open(filepath.Join(dir, "absent.gguf"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("absent: got error %v", err)
	}
	locked := write(t, "locked.gguf", build(t, small))
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	if file, err := os.Open(locked); err == nil {
		file.Close()
		t.Skip("this user may read any file, so a file without permission cannot be made")
	}
	if _, err := gguf.Open(locked); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("no permission: got error %v", err)
	}
}

func TestVersion2IsRead(t *testing.T) {
	b := build(t, func(w *gguf.Writer) {
		w.Version = 2
		small(w)
	})
	if f := read(t, b); f.Version != 2 || f.Architecture() != "llama" || len(f.Tensors) != 3 {
		t.Errorf("version %d, architecture %q, %d tensors", f.Version, f.Architecture(),
			len(f.Tensors))
	}
}

func TestErrorsAreOneSentence(t *testing.T) {
	_, err := gguf.Open(write(t, "model.gguf", []byte("PK\x03\x04")))
	want := "model.gguf: not a GGUF file: it is a zip archive; unpack it first"
	if got := err.Error(); strings.Contains(got, "\n") || !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want a path and %q", got, want)
	}
}
