package conformance

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

// pylateScores are the scores of all documents for each query that a script of this folder says.
func pylateScores(
	t *testing.T, python, script string, queries, docs [][][]float32,
) [][]float64 {
	t.Helper()
	numbers := []int32{int32(len(queries[0][0])), int32(len(queries)), int32(len(docs))}
	var vectors []float32
	for _, rows := range slices.Concat(queries, docs) {
		numbers = append(numbers, int32(len(rows)))
		vectors = append(vectors, slices.Concat(rows...)...)
	}
	var input bytes.Buffer
	for _, part := range []any{numbers, vectors} {
		if err := binary.Write(&input, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	out := inPython(t, python, script, input.Bytes())
	all := make([]float64, len(queries)*len(docs))
	if err := binary.Read(bytes.NewReader(out), binary.LittleEndian, all); err != nil {
		t.Fatal(err)
	}
	return slices.Collect(slices.Chunk(all, len(docs)))
}

// tokenVectors embeds texts token by token.
func tokenVectors(t *testing.T, m *mullama.Model, task string, texts []string) [][][]float32 {
	t.Helper()
	got, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: texts,
		EmbedOptions: mullama.EmbedOptions{Pooling: "none", Task: task}})
	if err != nil || got.Err() != nil {
		t.Fatal(err, got.Err())
	}
	var all [][][]float32
	for _, e := range got.Embeddings {
		all = append(all, e.Rows)
	}
	return all
}

// TestSearchesFindWhatPyLateFinds compares the ten best of a thousand documents with PyLate's
// formula. Documents that trade places must have scores that the kind of vectors cannot tell apart.
func TestSearchesFindWhatPyLateFinds(t *testing.T) {
	searchesFind(t, numpy(t), "lateinteraction.py", "PyLate's formula")
}

// TestSearchesFindWhatPyLateItselfFinds does so with PyLate's own function, on PyTorch.
func TestSearchesFindWhatPyLateItselfFinds(t *testing.T) {
	searchesFind(t, pytorch(t), "pylatescores.py", "PyLate")
}

func searchesFind(t *testing.T, python, script, beside string) {
	t.Helper()
	texts := sentences()[:1000]
	m := load(t, testmodels.Path(t, "minilm"), nil)
	docs := tokenVectors(t, m, "document", texts)
	queries := tokenVectors(t, m, "query", []string{"a violin on the table", "Wo ist der Brief?",
		"le livre", "gato negro", "a map of the town", "rain in the evening", "книга",
		"25 percent"})
	want := pylateScores(t, python, script, queries, docs)
	for kind, apart := range map[mullama.VectorKind]float64{mullama.VectorsF32: 1e-4,
		mullama.VectorsF16: 2e-3, mullama.VectorsInt8: 0.1} {
		found := searchAll(t, kind, docs, queries)
		for q := range queries {
			best := slices.SortedFunc(slices.Values(want[q]), func(a, b float64) int {
				return cmp.Compare(b, a)
			})
			for rank, hit := range found[q] {
				var doc int
				if _, err := fmt.Sscan(hit.ID, &doc); err != nil {
					t.Fatal(err)
				}
				ok := math.Abs(want[q][doc]-best[rank]) <= apart &&
					math.Abs(float64(hit.Score)-want[q][doc]) <= apart
				scores.add("top ten of "+kind.String()+" beside "+beside, ok)
				if !ok {
					t.Errorf("%s, query %d, place %d: document %d scores %.6f, by PyLate %.6f; "+
						"there %.6f has the place", kind, q, rank+1, doc, hit.Score,
						want[q][doc], best[rank])
				}
			}
		}
	}
}

// searchAll puts documents into an index, their numbers as ids, and finds ten for each query.
func searchAll(
	t *testing.T, kind mullama.VectorKind, docs, queries [][][]float32,
) [][]mullama.IndexResult {
	t.Helper()
	x, err := mullama.OpenIndex(filepath.Join(t.TempDir(), "docs.index"),
		mullama.IndexOptions{Dim: len(docs[0][0]), Vectors: kind})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	all := make([]mullama.IndexDocument, len(docs))
	for i, rows := range docs {
		all[i] = mullama.IndexDocument{ID: fmt.Sprint(i), Vectors: rows}
	}
	if err := x.Add(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	found, err := x.Search(t.Context(), queries, 10, mullama.SearchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range found {
		if len(list) != 10 {
			t.Fatalf("%d results, want 10", len(list))
		}
	}
	return found
}
