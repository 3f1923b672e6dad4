package gguf_test

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/mullama/mullama/internal/gguf"
)

// FuzzRead checks that no input makes the reader panic, allocate out of proportion, or accept a
// tensor outside the file.
func FuzzRead(f *testing.F) {
	f.Add(build(f, small))
	f.Add(build(f, func(w *gguf.Writer) { w.Version = 2; w.Set("k", []string{"a", "b"}) }))
	f.Add(build(f, func(w *gguf.Writer) {
		w.Alignment = 64
		w.Set("k", make([]int8, 300))
		w.Add("t", gguf.Q80, []uint64{32}, fill(34, 7))
	}))
	f.Add(header(3, 0, 1, "k", uint32(9), uint32(8), uint64(1<<40)))
	f.Add(header(3, 1, 0, tensor("t", 0, 0, 1<<40, 1<<40)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		file, err := gguf.Read(bytes.NewReader(b), int64(len(b)), gguf.KeepArrays(1<<30))
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20+64*uint64(len(b)) {
			t.Fatalf("%d bytes of input took %d bytes of memory", len(b), used)
		}
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without text")
			}
			return
		}
		checkInside(t, file)
	})
}

func checkInside(t *testing.T, f *gguf.File) {
	for _, x := range f.Tensors {
		if x.Offset < 0 || x.Size < 0 || f.DataOffset+x.Offset+x.Size > f.Size {
			t.Fatalf("tensor %q at %d+%d with %d bytes is outside of %d bytes",
				x.Name, f.DataOffset, x.Offset, x.Size, f.Size)
		}
	}
	for _, k := range f.Keys {
		if _, err := f.Array(k.Name); k.Type == gguf.TypeArray && err != nil {
			t.Fatalf("array %q was accepted but cannot be read: %v", k.Name, err)
		}
	}
	_, _ = f.Split()
	_, _, _ = f.Architecture(), f.Quantization(), f.Parameters()
}
