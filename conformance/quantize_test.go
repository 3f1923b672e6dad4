package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/synth"
)

// quantized are types and their numbers in llama.h. Those with less than three bits take half a
// minute each for this model, so they are not among them.
var quantized = []struct {
	name   string
	number int
	matrix bool
}{
	{"F32", 0, false}, {"Q8_0", 7, false}, {"Q4_0", 2, false}, {"Q4_K_M", 15, false},
	{"Q4_K_M", 15, true}, {"Q2_K", 10, true}, {"TQ2_0", 37, false},
}

// TestQuantizedTensorsEqualOracle quantises a model whose rows are long enough for every type.
func TestQuantizedTensorsEqualOracle(t *testing.T) {
	oracle := findOracle(t)
	dir := t.TempDir()
	model := filepath.Join(dir, "model.gguf")
	shape := synth.Shape{Name: "quantised", Arch: "llama", Layers: 2, Embedding: 256,
		FeedForward: 512, Heads: 4, KVHeads: 2, HeadDim: 64, Context: 128, RopeBase: 10000,
		Epsilon: 1e-5}
	if err := synth.TinyOf(model, shape, synth.Options{}); err != nil {
		t.Fatal(err)
	}
	matrix, records := writeMatrix(t, model)
	runtime, err := mullama.Open(mullama.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	for _, tt := range quantized {
		t.Run(fmt.Sprintf("%s matrix=%v", tt.name, tt.matrix), func(t *testing.T) {
			ours, theirs := filepath.Join(dir, "ours.gguf"), filepath.Join(dir, "theirs.gguf")
			o := &mullama.QuantizeOptions{Type: strings.ToLower(tt.name), Threads: 2}
			args := []string{"quantize", model, theirs, fmt.Sprint(tt.number)}
			if tt.matrix {
				o.Imatrix, args = matrix, append(args, "imatrix="+records)
			}
			if err := runtime.Quantize(t.Context(), model, ours, o); err != nil {
				t.Fatal(err)
			}
			oracle.run(t, args...)
			compareTensors(t, ours, theirs)
			if info, err := mullama.Inspect(ours); err != nil || info.Quantization != tt.name {
				t.Errorf("the new file says that it is %+v, %v", info, err)
			}
		})
	}
}

// writeMatrix writes an importance matrix for all matrices of a model, and the means in it as
// records for the oracle.
func writeMatrix(t *testing.T, model string) (matrix, records string) {
	t.Helper()
	f, err := gguf.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	w := &gguf.Writer{}
	w.Set("general.type", "imatrix")
	w.Set("imatrix.datasets", []string{"none"})
	w.Set("imatrix.chunk_count", uint32(4))
	w.Set("imatrix.chunk_size", uint32(512))
	var texts []string
	for i := range f.Tensors {
		tensor := &f.Tensors[i]
		if len(tensor.Dims) != 2 {
			continue
		}
		n := int(tensor.Dims[0])
		sums, means := make([]float32, n), make([]float32, n)
		const count = 3
		for j := range sums {
			sums[j] = float32(1 + (j*7919+i)%13)
			means[j] = sums[j] / count
		}
		numbers := func(list []float32) gguf.TensorWriter {
			return func(out io.Writer) error { return binary.Write(out, binary.LittleEndian, list) }
		}
		w.Add(tensor.Name+".in_sum2", gguf.F32, []uint64{uint64(n), 1}, numbers(sums))
		w.Add(tensor.Name+".counts", gguf.F32, []uint64{1, 1}, numbers([]float32{count}))
		raw, err := binary.Append(nil, binary.LittleEndian, means)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, tensor.Name, string(raw))
	}
	var file bytes.Buffer
	if _, err := w.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	matrix = filepath.Join(t.TempDir(), "matrix.gguf")
	if err := os.WriteFile(matrix, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return matrix, writeRecords(t, texts)
}

// compareTensors compares what two files hold, but for their metadata.
func compareTensors(t *testing.T, ours, theirs string) {
	t.Helper()
	a, errA := gguf.Open(ours)
	b, errB := gguf.Open(theirs)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	x, errX := os.ReadFile(ours)
	y, errY := os.ReadFile(theirs)
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	if len(a.Tensors) != len(b.Tensors) || len(a.Tensors) == 0 {
		t.Fatalf("%d tensors, want %d", len(a.Tensors), len(b.Tensors))
	}
	for i := range a.Tensors {
		if p, q := a.Tensors[i], b.Tensors[i]; p.Name != q.Name || p.Type != q.Type {
			t.Errorf("tensor %s is %s, want %s %s", p.Name, p.Type, q.Name, q.Type)
		}
	}
	if !bytes.Equal(x[a.DataOffset:], y[b.DataOffset:]) {
		t.Error("the tensors differ")
	}
}
