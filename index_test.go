package mullama_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

// Documents are rows of numbers here; those of texts come from a model.
func ExampleOpenIndex() {
	dir, err := os.MkdirTemp("", "index")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	index, err := mullama.OpenIndex(filepath.Join(dir, "docs.index"), mullama.IndexOptions{Dim: 3})
	if err != nil {
		log.Fatal(err)
	}
	defer index.Close()

	ctx := context.Background()
	err = index.Add(ctx, []mullama.IndexDocument{
		{ID: "red", Vectors: [][]float32{{1, 0, 0}}},
		{ID: "red and blue", Vectors: [][]float32{{1, 0, 0}, {0, 0, 1}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	query := [][]float32{{0.8, 0.6, 0}, {0, 0, 1}}
	found, err := index.Search(ctx, [][][]float32{query}, 10, mullama.SearchOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range found[0] {
		fmt.Printf("%.1f %s\n", r.Score, r.ID)
	}
	// Output:
	// 1.8 red and blue
	// 0.8 red
}

func TestErrorsOfAnIndexHaveTheirKinds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docs.index")
	_, err := mullama.OpenIndex(path, mullama.IndexOptions{})
	if !errors.Is(err, mullama.ErrNotFound) {
		t.Errorf("no file: %v", err)
	}
	x, err := mullama.OpenIndex(path, mullama.IndexOptions{Dim: 2, Vectors: mullama.VectorsInt8})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	row := [][]float32{{1, 2}}
	err = x.Add(ctx, []mullama.IndexDocument{{ID: "a", Vectors: [][]float32{{1, 2}, {3}}}})
	if !errors.Is(err, mullama.ErrInvalidOption) || !strings.Contains(err.Error(), "1 numbers") {
		t.Errorf("a short row: %v", err)
	}
	if err := x.Add(ctx, []mullama.IndexDocument{{ID: "a", Vectors: row}}); err != nil {
		t.Fatal(err)
	}
	err = x.Add(ctx, []mullama.IndexDocument{{ID: "a", Vectors: row}})
	if !errors.Is(err, mullama.ErrInvalidOption) {
		t.Errorf("the same id: %v", err)
	}
	_, err = x.Search(ctx, [][][]float32{{{1}}}, 1, mullama.SearchOptions{})
	if !errors.Is(err, mullama.ErrInvalidOption) {
		t.Errorf("a query of another dimension: %v", err)
	}
	info, err := x.Info()
	if err != nil || info.Documents != 1 || info.Tokens != 1 || info.Vectors.String() != "int8" {
		t.Errorf("%+v, %v", info, err)
	}
	x.Close()
	if _, err := x.Contains("a"); !errors.Is(err, mullama.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	os.WriteFile(path, make([]byte, 5000), 0o644)
	_, err = mullama.OpenIndex(path, mullama.IndexOptions{})
	if !errors.Is(err, mullama.ErrStore) {
		t.Errorf("another file: %v", err)
	}
}

func TestMaxSimAddsTheLargestProducts(t *testing.T) {
	query := [][]float32{{1, 0}, {0, 1}, {-1, 0}}
	doc := [][]float32{{3, 1}, {2, 5}}
	got, err := mullama.MaxSim(query, doc)
	if err != nil || got != 3+5-2 {
		t.Errorf("%v, %v, want 6", got, err)
	}
	for _, wrong := range [][][]float32{nil, {{1}}, {{}}, {{1, 2}, {3}}} {
		if _, err := mullama.MaxSim(query, wrong); !errors.Is(err, mullama.ErrInvalidOption) {
			t.Errorf("%v: %v, want it refused", wrong, err)
		}
	}
}

func TestKindsOfVectorsHaveNames(t *testing.T) {
	for _, kind := range []mullama.VectorKind{mullama.VectorsF32, mullama.VectorsF16,
		mullama.VectorsInt8} {
		text, err := kind.MarshalText()
		var read mullama.VectorKind
		if err != nil || read.UnmarshalText(text) != nil || read != kind {
			t.Errorf("%s is written %q and read as %s", kind, text, read)
		}
	}
	_, err := mullama.ParseVectorKind("f64")
	wantKind(t, err, mullama.ErrInvalidOption, "f64", "int8")
	if text, err := mullama.VectorKind(-1).MarshalText(); err != nil || len(text) > 0 {
		t.Errorf("no kind is written %q, %v", text, err)
	}
}

func TestAnIndexOnADeviceSaysWhatItTakesThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docs.index")
	x, err := mullama.OpenIndex(path, mullama.IndexOptions{Dim: 3, Device: "CPU"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	docs := []mullama.IndexDocument{{ID: "a", Vectors: [][]float32{{1, 0, 0}, {0, 2, 0}}}}
	if err := x.Add(ctx, docs); err != nil {
		t.Fatal(err)
	}
	found, err := x.Search(ctx, [][][]float32{{{0, 1, 0}}}, 1, mullama.SearchOptions{})
	if err != nil || found[0][0] != (mullama.IndexResult{ID: "a", Score: 2}) {
		t.Errorf("%v, %v", found, err)
	}
	// Eight vectors of eight numbers, of two bytes each.
	if info, err := x.Info(); err != nil || info.DeviceBytes != 128 {
		t.Errorf("%+v, %v", info, err)
	}
	_, err = x.Search(ctx, [][][]float32{{{0, 1, 0}}}, 1, mullama.SearchOptions{Probe: 1})
	if !errors.Is(err, mullama.ErrInvalidOption) {
		t.Errorf("a search by groups: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	_, err = mullama.OpenIndex(path, mullama.IndexOptions{Device: "TPU7"})
	if !errors.Is(err, mullama.ErrInvalidOption) || !strings.Contains(err.Error(), "this machine") {
		t.Errorf("a device that is not there: %v", err)
	}
}
