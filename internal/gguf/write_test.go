package gguf_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/mullama/mullama/internal/gguf"
)

// build returns the bytes of the file that set describes.
func build(t testing.TB, set func(*gguf.Writer)) []byte {
	t.Helper()
	var w gguf.Writer
	set(&w)
	var b bytes.Buffer
	n, err := w.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) {
		t.Fatalf("WriteTo says %d bytes, wrote %d", n, b.Len())
	}
	return b.Bytes()
}

// fill writes n bytes of value c.
func fill(n int, c byte) gguf.TensorWriter {
	return func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte{c}, n))
		return err
	}
}

// small is a file with one key of each kind and three tensors.
func small(w *gguf.Writer) {
	w.Set("general.architecture", "llama")
	w.Set("general.name", "small \xff\xfe")
	w.Set("general.file_type", uint32(15))
	w.Set("llama.context_length", uint32(2048))
	w.Set("llama.rope.freq_base", float32(10000))
	w.Set("u8", uint8(200))
	w.Set("i8", int8(-100))
	w.Set("u16", uint16(60000))
	w.Set("i16", int16(-30000))
	w.Set("i32", int32(-2_000_000_000))
	w.Set("u64", uint64(1<<63))
	w.Set("i64", int64(-1<<62))
	w.Set("f64", 0.5)
	w.Set("yes", true)
	w.Set("tokens", []string{"a", "", "\xf0\x9f"})
	w.Set("scores", []float32{1, -2.5})
	w.Set("kinds", []int32{1, -2, 3})
	w.Set("empty", []uint16{})
	w.Add("token_embd.weight", gguf.F16, []uint64{5, 3}, fill(30, 1))
	w.Add("blk.0.ffn_down.weight", gguf.Q4K, []uint64{256, 2}, fill(288, 2))
	w.Add("output_norm.weight", gguf.F32, []uint64{5}, fill(20, 3))
}

func read(t testing.TB, b []byte, opts ...gguf.Option) *gguf.File {
	t.Helper()
	f, err := gguf.Read(bytes.NewReader(b), int64(len(b)), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// write puts b into a file of that name in a temporary folder.
func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWriterRefusesWhatTheFormatCannotHold(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*gguf.Writer)
	}{
		{"an int without a size", func(w *gguf.Writer) { w.Set("k", 1) }},
		{"a struct", func(w *gguf.Writer) { w.Set("k", struct{}{}) }},
		{"rows that do not fill blocks", func(w *gguf.Writer) {
			w.Add("t", gguf.Q4K, []uint64{255}, fill(144, 0))
		}},
		{"too few bytes", func(w *gguf.Writer) { w.Add("t", gguf.F32, []uint64{2}, fill(7, 0)) }},
		{"too many bytes", func(w *gguf.Writer) { w.Add("t", gguf.F32, []uint64{2}, fill(9, 0)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w gguf.Writer
			tt.set(&w)
			if _, err := w.WriteTo(io.Discard); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestSecondSetReplacesTheFirst(t *testing.T) {
	f := read(t, build(t, func(w *gguf.Writer) {
		w.Set("k", uint32(1))
		w.Set("k", "two")
	}))
	if got := f.String("k"); len(f.Keys) != 1 || got != "two" {
		t.Errorf("keys = %+v, want one with value two", f.Keys)
	}
}

func TestWriterKeepsAlignment(t *testing.T) {
	b := build(t, func(w *gguf.Writer) {
		w.Alignment = 128
		w.Add("a", gguf.F32, []uint64{1}, fill(4, 1))
		w.Add("b", gguf.F32, []uint64{1}, fill(4, 2))
	})
	f := read(t, b)
	if f.Alignment != 128 || f.DataOffset%128 != 0 || f.Tensors[1].Offset != 128 {
		t.Errorf("alignment %d, data at %d, tensor b at %d", f.Alignment, f.DataOffset,
			f.Tensors[1].Offset)
	}
	if got := b[f.DataOffset+128]; got != 2 {
		t.Errorf("first byte of b = %d, want 2", got)
	}
}
