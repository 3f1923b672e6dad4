package gguf_test

import (
	"bytes"
	"math"
	"reflect"
	"testing"

	"github.com/mullama/mullama/internal/gguf"
)

func TestReadReturnsWhatWasWritten(t *testing.T) {
	b := build(t, small)
	f := read(t, b)
	if f.Version != 3 || f.Alignment != 32 || f.Size != int64(len(b)) {
		t.Errorf("version %d, alignment %d, size %d", f.Version, f.Alignment, f.Size)
	}
	want := map[string]any{
		"general.name": "small \xff\xfe", "u8": uint8(200), "i8": int8(-100),
		"u16": uint16(60000), "i16": int16(-30000), "general.file_type": uint32(15),
		"i32": int32(-2_000_000_000), "u64": uint64(1 << 63), "i64": int64(-1 << 62),
		"llama.rope.freq_base": float32(10000), "f64": 0.5, "yes": true,
		"tokens": []string{"a", "", "\xf0\x9f"}, "scores": []float32{1, -2.5},
		"kinds": []int32{1, -2, 3}, "empty": []uint16{},
	}
	for key, value := range want {
		v, ok := f.Value(key)
		if got := v.Any(); !ok || !reflect.DeepEqual(got, value) {
			t.Errorf("%s = %#v, want %#v", key, got, value)
		}
	}
	tensors := []gguf.Tensor{
		{Name: "token_embd.weight", Dims: []uint64{5, 3}, Type: gguf.F16, Offset: 0, Size: 30},
		{Name: "blk.0.ffn_down.weight", Dims: []uint64{256, 2}, Type: gguf.Q4K, Offset: 32,
			Size: 288},
		{Name: "output_norm.weight", Dims: []uint64{5}, Type: gguf.F32, Offset: 320, Size: 20},
	}
	if !reflect.DeepEqual(f.Tensors, tensors) {
		t.Errorf("tensors = %+v, want %+v", f.Tensors, tensors)
	}
	for i, c := range []byte{1, 2, 3} {
		at := f.DataOffset + f.Tensors[i].Offset
		data := b[at : at+f.Tensors[i].Size]
		if !bytes.Equal(data, bytes.Repeat([]byte{c}, len(data))) {
			t.Errorf("data of %s is not where the header says", f.Tensors[i].Name)
		}
	}
}

func TestLongArraysStayInTheFileUntilAsked(t *testing.T) {
	tokens := make([]string, 5000)
	for i := range tokens {
		tokens[i] = string(rune('a' + i%26))
	}
	b := build(t, func(w *gguf.Writer) {
		w.Set("tokens", tokens)
		w.Set("kinds", make([]int32, 70_000))
		w.Set("after", "read")
	})
	path := write(t, "m.gguf", b)
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := f.Value("tokens")
	if v.Any() != nil || v.Elem != gguf.TypeString || v.Len != 5000 {
		t.Errorf("tokens = %+v, want 5000 strings left in the file", v)
	}
	if got := f.String("after"); got != "read" {
		t.Errorf("key after the arrays = %q", got)
	}
	if got, err := f.Strings("tokens"); err != nil || !reflect.DeepEqual(got, tokens) {
		t.Errorf("Strings = %d tokens, %v; want the 5000 written", len(got), err)
	}
	if got, err := f.Ints("kinds"); err != nil || len(got) != 70_000 {
		t.Errorf("Ints = %d, %v; want 70000", len(got), err)
	}
	all := read(t, b, gguf.KeepArrays(math.MaxInt32))
	if v, _ := all.Value("tokens"); !reflect.DeepEqual(v.Any(), tokens) {
		t.Error("KeepArrays did not keep the tokens")
	}
}

func TestTypedGetters(t *testing.T) {
	f := read(t, build(t, small))
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"string", f.String("general.architecture"), "llama"},
		{"string of another type", f.String("u8"), ""},
		{"absent string", f.String("absent"), ""},
		{"architecture key", f.ArchKey("context_length"), "llama.context_length"},
		{"uint of a negative", second(f.Uint("i8")), false},
		{"uint of 2^63", first(f.Uint("u64")), uint64(1 << 63)},
		{"int of 2^63", second(f.Int("u64")), false},
		{"int", first(f.Int("i16")), int64(-30000)},
		{"int of a float", second(f.Int("f64")), false},
		{"float", first(f.Float("llama.rope.freq_base")), 10000.0},
		{"float of an int", first(f.Float("u16")), 60000.0},
		{"bool", first(f.Bool("yes")), true},
		{"absent bool", second(f.Bool("absent")), false},
		{"strings", first(f.Strings("tokens")), []string{"a", "", "\xf0\x9f"}},
		{"absent strings", first(f.Strings("absent")), []string(nil)},
		{"ints", first(f.Ints("kinds")), []int64{1, -2, 3}},
		{"ints of one int", first(f.Ints("u8")), []int64{200}},
		{"floats", first(f.Floats("scores")), []float64{1, -2.5}},
		{"parameters", f.Parameters(), int64(15 + 512 + 5)},
		{"tensor bytes", f.TensorBytes(), int64(30 + 288 + 20)},
		{"quantisation", f.Quantization(), "Q4_K_M"},
	} {
		if !reflect.DeepEqual(tt.got, tt.want) {
			t.Errorf("%s = %#v, want %#v", tt.name, tt.got, tt.want)
		}
	}
	if _, err := f.Strings("scores"); err == nil {
		t.Error("Strings of an array of floats: no error")
	}
	if _, err := f.Array("u8"); err == nil {
		t.Error("Array of a number: no error")
	}
}

func first[T, U any](v T, _ U) T  { return v }
func second[T, U any](_ T, v U) U { return v }

func TestQuantizationNames(t *testing.T) {
	q4k := func(w *gguf.Writer) { w.Add("t", gguf.Q4K, []uint64{256, 4}, fill(576, 0)) }
	norm := func(w *gguf.Writer) { w.Add("n", gguf.F32, []uint64{8}, fill(32, 0)) }
	kind := func(n uint32) func(*gguf.Writer) {
		return func(w *gguf.Writer) { w.Set("general.file_type", n) }
	}
	for _, tt := range []struct {
		name string
		set  []func(*gguf.Writer)
		want string
	}{
		{"F16", []func(*gguf.Writer){kind(1)}, "F16"},
		{"Q8_0", []func(*gguf.Writer){kind(7)}, "Q8_0"},
		{"MXFP4", []func(*gguf.Writer){kind(38)}, "MXFP4_MOE"},
		{"guessed by llama.cpp", []func(*gguf.Writer){kind(1024 + 17)}, "Q5_K_M"},
		{"not stated", []func(*gguf.Writer){norm, q4k}, "Q4_K"},
		{"unknown number", []func(*gguf.Writer){kind(999), norm}, "F32"},
		{"no tensors", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := read(t, build(t, func(w *gguf.Writer) {
				for _, set := range tt.set {
					set(w)
				}
			}))
			if got := f.Quantization(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestBlockSizes(t *testing.T) {
	for _, tt := range []struct {
		number          gguf.TensorType
		name            string
		elements, bytes int
	}{
		{0, "F32", 1, 4}, {2, "Q4_0", 32, 18}, {12, "Q4_K", 256, 144}, {14, "Q6_K", 256, 210},
		{30, "BF16", 1, 2}, {34, "TQ1_0", 256, 54}, {39, "MXFP4", 32, 17}, {40, "NVFP4", 64, 36},
		{4, "type 4", 0, 0}, {99, "type 99", 0, 0},
	} {
		got, n := tt.number.String(), tt.number
		if e, b := n.Block(); got != tt.name || e != tt.elements || b != tt.bytes {
			t.Errorf("type %d is %s with %d elements in %d bytes, want %s with %d in %d",
				uint32(n), got, e, b, tt.name, tt.elements, tt.bytes)
		}
	}
}

func TestSplitModels(t *testing.T) {
	f := read(t, build(t, func(w *gguf.Writer) {
		w.Set("split.no", uint16(1))
		w.Set("split.count", uint16(3))
		w.Set("split.tensors.count", int32(291))
	}))
	want := gguf.Split{Number: 1, Count: 3, Tensors: 291}
	if got, ok := f.Split(); !ok || got != want {
		t.Errorf("Split = %+v, %v; want %+v", got, ok, want)
	}
	if _, ok := read(t, build(t, small)).Split(); ok {
		t.Error("a file of its own counts as split")
	}
	paths := gguf.SplitPaths("/m/big-00002-of-00003.gguf")
	if want := []string{"/m/big-00001-of-00003.gguf", "/m/big-00002-of-00003.gguf",
		"/m/big-00003-of-00003.gguf"}; !reflect.DeepEqual(paths, want) {
		t.Errorf("SplitPaths = %q, want %q", paths, want)
	}
	for _, path := range []string{"big.gguf", "big-00004-of-00003.gguf", "big-2-of-3.gguf"} {
		if got := gguf.SplitPaths(path); got != nil {
			t.Errorf("SplitPaths(%q) = %q, want none", path, got)
		}
	}
}
