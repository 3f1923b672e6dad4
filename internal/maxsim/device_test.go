package maxsim

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

// testDevice runs the same code as a GPU does; MULLAMA_TEST_DEVICE names another.
var testDevice = cmp.Or(os.Getenv("MULLAMA_TEST_DEVICE"), "CPU")

// longDocuments have 1 to 300 tokens.
func longDocuments(r *rand.Rand, n, dim int) []Document {
	docs := make([]Document, n)
	for i := range docs {
		docs[i] = Document{fmt.Sprintf("doc-%d", i), unit(r, 1+r.IntN(300), dim)}
	}
	return docs
}

func sameResults(t *testing.T, got, want [][]Result) {
	t.Helper()
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("query %d: the device finds\n%v, the CPU\n%v", i, got[i], want[i])
		}
	}
}

func TestADeviceFindsExactlyWhatTheCPUFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 1))
	for _, dim := range []int{3, 130} {
		docs := longDocuments(r, 120, dim)
		var queries [][]float32
		for _, tokens := range []int{1, 7, 8, 31, 32, 33, 100} {
			queries = append(queries, unit(r, tokens, dim))
		}
		for kind := range llama.VectorInt8 + 1 {
			path := newPath(t)
			x := open(t, path, Options{Dim: dim, Kind: kind})
			add(t, x, docs)
			on := open(t, path, Options{Device: testDevice})
			for _, k := range []int{1, 10, 1000} {
				want, err := x.Search(bg, queries, k, SearchOptions{})
				if err != nil {
					t.Fatal(err)
				}
				got, err := on.Search(bg, queries, k, SearchOptions{})
				if err != nil {
					t.Fatal(err)
				}
				sameResults(t, got, want)
			}
		}
	}
}

func TestADeviceFindsDocumentsAmongEqualAndAlmostEqualOnes(t *testing.T) {
	const dim = 16
	r := rand.New(rand.NewPCG(11, 2))
	base := unit(r, 20, dim)
	docs := make([]Document, 200)
	for i := range docs {
		v := slices.Clone(base)
		if i%2 == 0 {
			v[r.IntN(len(v))] += float32(r.NormFloat64()) * 1e-5 // less than half floats tell apart
		}
		docs[i] = Document{fmt.Sprintf("doc-%d", i), v}
	}
	path := newPath(t)
	x := open(t, path, Options{Dim: dim})
	add(t, x, docs)
	on := open(t, path, Options{Device: testDevice})
	query := unit(r, 9, dim)
	sameResults(t, [][]Result{search(t, on, query, 20, SearchOptions{})},
		[][]Result{search(t, x, query, 20, SearchOptions{})})
}

func TestADeviceBearsNumbersOfAnySize(t *testing.T) {
	const dim = 24
	r := rand.New(rand.NewPCG(11, 3))
	var docs []Document
	for i, scale := range []float32{1, 1e-40, 1e-20, 1e-5, 100, 70000, 1e17, 0} {
		v := unit(r, 5, dim)
		for j := range v {
			v[j] *= scale
		}
		docs = append(docs, Document{fmt.Sprintf("doc-%d", i), v})
	}
	path := newPath(t)
	x := open(t, path, Options{Dim: dim})
	add(t, x, docs)
	on := open(t, path, Options{Device: testDevice})
	for _, scale := range []float32{1, 1e-38, 1e-6, 1e6, 1e18} {
		query := unit(r, 4, dim)
		for j := range query {
			query[j] *= scale
		}
		for k := range len(docs) {
			sameResults(t, [][]Result{search(t, on, query, k+1, SearchOptions{})},
				[][]Result{search(t, x, query, k+1, SearchOptions{})})
		}
	}
}

func TestADeviceGetsWhatIsAdded(t *testing.T) {
	const dim = 8
	r := rand.New(rand.NewPCG(11, 4))
	path := newPath(t)
	on := open(t, path, Options{Dim: dim, Device: testDevice})
	x := open(t, path, Options{})
	if found := search(t, on, unit(r, 3, dim), 5, SearchOptions{}); len(found) != 0 {
		t.Errorf("an empty index has %v", found)
	}
	for i := range maxUploads + 4 { // more than it keeps apart
		writer := []*Index{x, on}[i%2]
		add(t, writer, documents(r, 10*i, 10, dim))
		query := unit(r, 3, dim)
		sameResults(t, [][]Result{search(t, on, query, 15, SearchOptions{})},
			[][]Result{search(t, x, query, 15, SearchOptions{})})
	}
	if n := on.device.uploads; n > maxUploads {
		t.Errorf("%d parts on the device, at most %d expected", n, maxUploads)
	}
}

func TestADeviceServesManyGoroutinesAndAWriter(t *testing.T) {
	const dim = 8
	r := rand.New(rand.NewPCG(11, 5))
	path := newPath(t)
	on := open(t, path, Options{Dim: dim, Device: testDevice, Threads: 2})
	first := documents(r, 0, 50, dim)
	add(t, on, first)
	var wait sync.WaitGroup
	for range 3 {
		query := first[r.IntN(50)]
		wait.Go(func() {
			for range 10 {
				found, err := on.Search(bg, [][]float32{query.Vectors}, 1, SearchOptions{})
				if err != nil || found[0][0].ID != query.ID {
					t.Errorf("%v, %v; want %s", found, err, query.ID)
				}
			}
		})
	}
	wait.Go(func() {
		more := rand.New(rand.NewPCG(11, 6))
		for i := range 5 {
			if err := on.Add(bg, documents(more, 100+i, 1, dim)); err != nil {
				t.Error(err)
			}
		}
	})
	wait.Wait()
}

func TestWhatADeviceCannotDoIsAnError(t *testing.T) {
	const dim = 8
	path := newPath(t)
	x := open(t, path, Options{Dim: dim})
	add(t, x, documents(rand.New(rand.NewPCG(11, 7)), 0, 20, dim))
	_, err := Open(library(t), path, Options{Device: "GPU of nobody"})
	if !errors.Is(err, llama.ErrInvalid) || !strings.Contains(err.Error(), "no device named GPU") {
		t.Errorf("a device that is not there: %v", err)
	}
	on := open(t, path, Options{Device: testDevice})
	query := make([]float32, dim)
	if _, err := on.Search(bg, [][]float32{query}, 1, SearchOptions{Probe: 2}); !errors.Is(err,
		ErrInvalid) {
		t.Errorf("a search by groups: %v", err)
	}
	if _, err := on.Search(bg, [][]float32{query[1:]}, 1, SearchOptions{}); !errors.Is(err,
		ErrInvalid) {
		t.Errorf("a query of another length: %v", err)
	}
	refused := on.device.refused(&llama.Error{Kind: llama.ErrMemory, Message: "no room"})
	if !errors.Is(refused, ErrMemory) || !strings.Contains(refused.Error(), path) {
		t.Errorf("an index too large: %v", refused)
	}
	if err := on.Close(); err != nil {
		t.Error(err)
	}
	if _, err := on.Search(bg, [][]float32{query}, 1, SearchOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed index: %v", err)
	}
}

func TestScoresOfADeviceAreOffByNoMoreThanIsSaid(t *testing.T) {
	const dim = 128
	r := rand.New(rand.NewPCG(11, 8))
	docs := longDocuments(r, 50, dim)
	queries := [][]float32{unit(r, 32, dim), unit(r, 5, dim)}
	for kind, most := range []float64{1e-3, 1e-3, 0.03} {
		on := open(t, newPath(t), Options{Dim: dim, Kind: llama.VectorKind(kind),
			Device: testDevice})
		add(t, on, docs)
		s, err := on.refresh()
		if err != nil {
			t.Fatal(err)
		}
		got, err := on.device.score(bg, s, queries)
		if err != nil {
			t.Fatal(err)
		}
		worst, share := 0.0, 0.0
		for i, score := range got.scores {
			q, place := queries[i/len(docs)], i%len(docs)
			want := reference(q, docs[got.docs[place]].Vectors, dim)
			off := math.Abs(float64(score) - want)
			worst = max(worst, off)
			share = max(share, off/(on.offBy(q)*float64(got.lengths[place])))
		}
		t.Logf("kind %d: off by %.6f at most, %.3f of what is said", kind, worst, share)
		if worst > most || share > 1 && llama.VectorKind(kind) != llama.VectorInt8 {
			t.Errorf("kind %d: off by %v, %v of what is said", kind, worst, share)
		}
	}
}
