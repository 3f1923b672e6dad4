package maxsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

// lcg returns the numbers of testdata/scores.py.
func lcg(n int, state uint64) []float32 {
	out := make([]float32, n)
	for i := range out {
		state = (state*1103515245 + 12345) % (1 << 31)
		out[i] = float32(state>>8)/(1<<22) - 1
	}
	return out
}

func TestScoresAreThoseOfNumPy(t *testing.T) {
	raw, err := os.ReadFile("testdata/scores.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Dim           int
		Queries, Docs []int
		Scores        [][]float64
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	for i, q := range want.Queries {
		for j, d := range want.Docs {
			query := lcg(q*want.Dim, uint64(1+i))
			doc := lcg(d*want.Dim, uint64(100+j))
			got, err := MaxSim(library(t), want.Dim, query, doc)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(float64(got)/want.Scores[i][j]-1) > 1e-5 {
				t.Errorf("query %d, document %d: %v, NumPy has %v", i, j, got, want.Scores[i][j])
			}
		}
	}
}

func TestBestTenAreThoseOfSortingAll(t *testing.T) {
	const dim = 32
	r := rand.New(rand.NewPCG(1, 1))
	docs := documents(r, 0, 1000, dim)
	for kind, least := range []int{10, 10, 8} {
		x := open(t, newPath(t), Options{Dim: dim, Kind: llama.VectorKind(kind), Threads: 3})
		add(t, x, docs[:300])
		add(t, x, docs[300:310])
		add(t, x, docs[310:])
		for _, tokens := range []int{1, 8, 32, 100} {
			query := unit(r, tokens, dim)
			got, want := search(t, x, query, 10, SearchOptions{}), bruteForce(query, docs, dim, 10)
			same := 0
			for _, id := range ids(want) {
				if slices.Contains(ids(got), id) {
					same++
				}
			}
			if len(got) != 10 || same < least {
				t.Errorf("kind %d, %d tokens: %v, want %v", kind, tokens, got, want)
			}
			if kind == 0 && !slices.Equal(ids(got), ids(want)) {
				t.Errorf("%d tokens: in the order %v, want %v", tokens, ids(got), ids(want))
			}
		}
	}
}

func TestCompactVectorsKeepScores(t *testing.T) {
	const dim, tokens = 128, 32
	r := rand.New(rand.NewPCG(2, 2))
	docs := documents(r, 0, 200, dim)
	query := unit(r, tokens, dim)
	// The errors measured are 0.0003 and 0.012 for scores around 8.
	for kind, most := range map[llama.VectorKind]float64{
		llama.VectorF32: 1e-5, llama.VectorF16: 5e-4, llama.VectorInt8: 0.03,
	} {
		x := open(t, newPath(t), Options{Dim: dim, Kind: kind})
		add(t, x, docs)
		worst := 0.0
		for _, found := range search(t, x, query, len(docs), SearchOptions{}) {
			want := reference(query, docs[found.Doc].Vectors, dim)
			worst = max(worst, math.Abs(float64(found.Score)-want))
		}
		t.Logf("kind %d: largest error %.6f", kind, worst)
		if worst > most {
			t.Errorf("kind %d: a score is wrong by %v, at most %v expected", kind, worst, most)
		}
	}
}

func TestManyQueriesFindWhatEachFindsAlone(t *testing.T) {
	const dim = 24
	r := rand.New(rand.NewPCG(3, 3))
	x := open(t, newPath(t), Options{Dim: dim})
	add(t, x, documents(r, 0, 150, dim))
	var queries [][]float32
	for n := range 9 {
		queries = append(queries, unit(r, 1+11*n, dim))
	}
	together, err := x.Search(bg, queries, 7, SearchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range queries {
		if alone := search(t, x, q, 7, SearchOptions{}); !slices.Equal(together[i], alone) {
			t.Errorf("query %d: %v together, %v alone", i, together[i], alone)
		}
	}
}

func TestEqualScoresAreInTheOrderOfAdding(t *testing.T) {
	const dim = 4
	x := open(t, newPath(t), Options{Dim: dim, Threads: 4})
	var docs []Document
	for i := range 500 {
		docs = append(docs, Document{fmt.Sprint(i), []float32{1, 0, 0, 0}})
	}
	docs[400].Vectors = []float32{2, 0, 0, 0}
	add(t, x, docs)
	got := ids(search(t, x, []float32{1, 0, 0, 0}, 4, SearchOptions{}))
	if want := []string{"400", "0", "1", "2"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func TestMoreResultsThanDocumentsAreAllDocuments(t *testing.T) {
	x := open(t, newPath(t), Options{Dim: 4})
	if got := search(t, x, []float32{1, 0, 0, 0}, 5, SearchOptions{}); len(got) != 0 {
		t.Errorf("an empty index found %v", got)
	}
	add(t, x, []Document{{"a", []float32{1, 0, 0, 0}}, {"b", []float32{0, 1, 0, 0}}})
	got := ids(search(t, x, []float32{0, 1, 0, 0}, 5, SearchOptions{}))
	if want := []string{"b", "a"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func TestWrongQueriesAreRefused(t *testing.T) {
	x := open(t, newPath(t), Options{Dim: 4})
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, queries := range map[string][][]float32{
		"none": {}, "no tokens": {{}}, "half a token": {{1, 2}}, "not a number": {{1, 2, 3, nan}},
		"infinite": {{1, 2, 3, 4, inf, 2, 3, 4}},
	} {
		if _, err := x.Search(bg, queries, 1, SearchOptions{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	for _, k := range []int{0, -1} {
		_, err := x.Search(bg, [][]float32{{1, 2, 3, 4}}, k, SearchOptions{})
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%d results: %v, want it refused", k, err)
		}
	}
}

// topics returns documents whose tokens are near a few of many directions, as those of texts are.
func topics(r *rand.Rand, n, dim int) []Document {
	words := unit(r, 400, dim)
	docs := make([]Document, n)
	for i := range docs {
		topic := r.IntN(len(words) / dim)
		v := unit(r, 24, dim)
		for token := range 24 {
			word := (topic + r.IntN(12)) % (len(words) / dim)
			for k := range dim {
				v[token*dim+k] = 0.5*v[token*dim+k] + words[word*dim+k]
			}
		}
		toUnit(v, dim)
		docs[i] = Document{fmt.Sprint(i), v}
	}
	return docs
}

func TestGroupsFindNearlyAllOfTheBest(t *testing.T) {
	const dim, k = 32, 10
	r := rand.New(rand.NewPCG(4, 4))
	docs := topics(r, 2000, dim)
	x := open(t, newPath(t), Options{Dim: dim})
	add(t, x, docs[:1900])
	if err := x.Train(bg, TrainOptions{Centroids: 256}); err != nil {
		t.Fatal(err)
	}
	add(t, x, docs[1900:]) // looked at by every search
	found, wanted := 0, 0
	for i := range 30 {
		query := docs[i*60].Vectors[:8*dim]
		exact := ids(search(t, x, query, k, SearchOptions{}))
		few := ids(search(t, x, query, k, SearchOptions{Probe: 4, Candidates: 100}))
		for _, id := range exact {
			wanted++
			if slices.Contains(few, id) {
				found++
			}
		}
	}
	t.Logf("recall with 100 of 1900 documents: %d of %d", found, wanted)
	if found*10 < wanted*9 {
		t.Errorf("%d of the %d best were found", found, wanted)
	}
	late := docs[1950]
	got := search(t, x, late.Vectors, 1, SearchOptions{Probe: 1, Candidates: 10})
	if got[0].ID != late.ID {
		t.Errorf("a document added after training is not found: %v", got)
	}
}

func TestAllCandidatesFindWhatAnExactSearchFinds(t *testing.T) {
	const dim = 16
	r := rand.New(rand.NewPCG(5, 5))
	for kind := range llama.VectorKind(3) {
		x := open(t, newPath(t), Options{Dim: dim, Kind: kind})
		add(t, x, documents(r, 0, 200, dim))
		if err := x.Train(bg, TrainOptions{}); err != nil {
			t.Fatal(err)
		}
		query := unit(r, 9, dim)
		exact := search(t, x, query, 10, SearchOptions{})
		all := search(t, x, query, 10, SearchOptions{Probe: 1000, Candidates: 200})
		if !slices.Equal(exact, all) {
			t.Errorf("kind %d: %v, want %v", kind, all, exact)
		}
	}
}
