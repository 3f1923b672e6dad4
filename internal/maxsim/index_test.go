package maxsim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

func TestAnIndexIsThereWhenItIsOpenedAgain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for kind := range llama.VectorKind(3) {
		path := newPath(t)
		docs := documents(r, 0, 300, 18)
		x := open(t, path, Options{Dim: 18, Kind: kind})
		for at := 0; at < len(docs); at += 7 { // more than once a part takes in others
			add(t, x, docs[at:min(at+7, len(docs))])
		}
		query := unit(r, 6, 18)
		want := search(t, x, query, 20, SearchOptions{})
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		x = open(t, path, Options{})
		info, err := x.Info()
		if err != nil || info.Documents != 300 || info.Dim != 18 || info.Kind != kind {
			t.Errorf("opened again: %+v, %v", info, err)
		}
		if got := search(t, x, query, 20, SearchOptions{}); !slices.Equal(got, want) {
			t.Errorf("opened again it finds %v, want %v", got, want)
		}
		if err := x.Verify(); err != nil {
			t.Error(err)
		}
		for _, id := range []string{"doc-0", "doc-150", "doc-299"} {
			if found, err := x.Contains(id); !found || err != nil {
				t.Errorf("%s: %v, %v", id, found, err)
			}
		}
		if found, err := x.Contains("doc-300"); found || err != nil {
			t.Errorf("an id that nobody added: %v, %v", found, err)
		}
	}
}

func TestManySmallAppendsMakeFewParts(t *testing.T) {
	x := open(t, newPath(t), Options{Dim: 2})
	for i := range 200 {
		add(t, x, []Document{{fmt.Sprint(i), []float32{1, 0}}})
	}
	s := x.current.Load()
	if len(s.parts) > 8 || len(s.extents) > maxExtents {
		t.Errorf("%d parts in %d extents", len(s.parts), len(s.extents))
	}
	if err := x.Verify(); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeAddedLeavesTheIndexAsItWas(t *testing.T) {
	x := open(t, newPath(t), Options{Dim: 2, Kind: llama.VectorF16})
	good := []float32{1, 0}
	add(t, x, []Document{{"there", good}})
	before, err := x.Info()
	if err != nil {
		t.Fatal(err)
	}
	for want, docs := range map[string][]Document{
		"is in index":          {{"new", good}, {"there", good}},
		"given twice":          {{"new", good}, {"new", good}},
		"1 to 65536 bytes":     {{"new", good}, {"", good}},
		"of UTF-8":             {{"\xff", good}},
		"no token vectors":     {{"new", []float32{1, 2, 3}}},
		"0 numbers":            {{"new", nil}},
		"f16 has up to 65504":  {{"new", []float32{0, 70000}}},
		"token 1 is not finit": {{"new", []float32{0, 1, float32(inf), 1}}},
	} {
		err := x.Add(bg, docs)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	cancelled, cancel := context.WithCancel(bg)
	cancel()
	if err := x.Add(cancelled, []Document{{"new", good}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled add: %v", err)
	}
	if after, err := x.Info(); err != nil || after != before {
		t.Errorf("%+v, %v, want %+v", after, err, before)
	}
	add(t, x, []Document{{"new", good}})
}

func TestOpeningWhatDoesNotFitIsRefused(t *testing.T) {
	path := newPath(t)
	if _, err := Open(library(t), path, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	nowhere := filepath.Join(path, "of", "no.index")
	_, err := Open(library(t), nowhere, Options{Dim: 8})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), nowhere) {
		t.Errorf("no folder: %v", err)
	}
	open(t, path, Options{Dim: 8})
	_, err = Open(library(t), path, Options{Dim: 9})
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "of 8 numbers, not of 9") {
		t.Errorf("another dimension: %v", err)
	}
	if _, err := Open(library(t), t.TempDir(), Options{Dim: 8}); err == nil {
		t.Error("a folder was opened")
	}
	if _, err := Open(library(t), path, Options{Dim: 1 << 20}); !errors.Is(err, ErrInvalid) {
		t.Errorf("too many dimensions: %v", err)
	}
	os.WriteFile(path, []byte("GGUF"), 0o644)
	if _, err := Open(library(t), path, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("another kind of file: %v", err)
	}
}

func TestAReaderSeesWhatAnotherAdds(t *testing.T) {
	path := newPath(t)
	writer := open(t, path, Options{Dim: 2})
	reader := open(t, path, Options{})
	for i := range 150 { // so often that everything is mapped anew
		add(t, writer, []Document{{fmt.Sprint(i), []float32{float32(i), 1}}})
		got := search(t, reader, []float32{1, 0}, 1, SearchOptions{})
		if len(got) != 1 || got[0].Doc != i {
			t.Fatalf("after document %d the reader finds %v", i, got)
		}
	}
}

func TestReadersOfOneIndexAgreeOnWhatIsNewest(t *testing.T) {
	path := newPath(t)
	writer, reader := open(t, path, Options{Dim: 2}), open(t, path, Options{})
	var work sync.WaitGroup
	done := make(chan struct{})
	for range 8 {
		work.Go(func() {
			for seen := 0; ; {
				info, err := reader.Info()
				if err != nil || info.Documents < seen {
					t.Errorf("%d documents after %d, %v", info.Documents, seen, err)
					return
				}
				seen = info.Documents
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 60 {
		add(t, writer, []Document{{fmt.Sprint(i), []float32{float32(i), 1}}})
	}
	close(done)
	work.Wait()
}

func TestWritersTakeTurnsAndReadersGoOn(t *testing.T) {
	path := newPath(t)
	var work sync.WaitGroup
	for w := range 3 {
		x := open(t, path, Options{Dim: 8}) // its own file, as another process would have
		work.Add(2)
		go func() {
			defer work.Done()
			r := rand.New(rand.NewPCG(7, uint64(w)))
			for i := range 15 {
				id := fmt.Sprintf("%d-%d", w, i)
				if err := x.Add(bg, []Document{{id, unit(r, 3, 8)}}); err != nil {
					t.Error(err)
				}
			}
		}()
		go func() {
			defer work.Done()
			query := unit(rand.New(rand.NewPCG(8, uint64(w))), 4, 8)
			for range 40 {
				if _, err := x.Search(bg, [][]float32{query}, 5, SearchOptions{}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	work.Wait()
	x := open(t, path, Options{})
	if info, err := x.Info(); err != nil || info.Documents != 45 {
		t.Errorf("%+v, %v, want 45 documents", info, err)
	}
	if err := x.Verify(); err != nil {
		t.Error(err)
	}
}

func TestAnInterruptedAddLeavesWhatWasThere(t *testing.T) {
	path := newPath(t)
	r := rand.New(rand.NewPCG(9, 9))
	x := open(t, path, Options{Dim: 4})
	add(t, x, documents(r, 0, 5, 4))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	add(t, x, documents(r, 5, 5, 4))
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Everything but the state is written first, in any part.
	for _, n := range []int{len(before) + 1, len(before) + 100, len(after)} {
		torn := slices.Concat(before, after[len(before):n])
		copy(torn[stateAt[1]:], after[stateAt[1]:][:stateSize/2]) // half a state
		os.WriteFile(path, torn, 0o644)
		y := open(t, path, Options{})
		if info, err := y.Info(); err != nil || info.Documents != 5 {
			t.Fatalf("with %d bytes: %+v, %v, want 5 documents", n, info, err)
		}
		add(t, y, documents(r, 5, 3, 4))
		if err := y.Verify(); err != nil {
			t.Error(err)
		}
		y.Close()
	}
}

func TestAFileThatWasCutIsAnError(t *testing.T) {
	path := newPath(t)
	x := open(t, path, Options{Dim: 4})
	add(t, x, documents(rand.New(rand.NewPCG(1, 9)), 0, 50, 4))
	if err := os.Truncate(path, headerSize+10); err != nil {
		t.Fatal(err)
	}
	_, err := x.Search(bg, [][]float32{{1, 2, 3, 4}}, 1, SearchOptions{})
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("search: %v", err)
	}
	err = x.Add(bg, []Document{{"new", []float32{1, 2, 3, 4}}})
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("add: %v", err)
	}
}

func TestAClosedIndexSaysSo(t *testing.T) {
	x := open(t, newPath(t), Options{Dim: 2})
	add(t, x, []Document{{"a", []float32{1, 0}}})
	for range 2 {
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := x.Search(bg, [][]float32{{1, 0}}, 1, SearchOptions{})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("search: %v", err)
	}
	for _, err := range []error{
		x.Add(bg, []Document{{"b", []float32{1, 0}}}), x.Verify(), x.Train(bg, TrainOptions{}),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%v, want that it is closed", err)
		}
	}
}

func TestAnIndexKeepsWhereItsVectorsComeFrom(t *testing.T) {
	path := newPath(t)
	if err := open(t, path, Options{Dim: 2, Label: "a model"}).Close(); err != nil {
		t.Fatal(err)
	}
	for label, fits := range map[string]bool{"": true, "a model": true, "another": false} {
		x, err := Open(library(t), path, Options{Label: label})
		if fits != (err == nil) {
			t.Errorf("%q: error is %v", label, err)
		}
		if err != nil {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(),
				"has vectors of a model, not of another") {
				t.Errorf("error is %v", err)
			}
			continue
		}
		if info, err := x.Info(); err != nil || info.Label != "a model" {
			t.Errorf("label %q, %v", info.Label, err)
		}
		x.Close()
	}
	long := Options{Dim: 2, Label: strings.Repeat("x", maxLabel+1)}
	if _, err := Open(library(t), newPath(t), long); !errors.Is(err, ErrInvalid) {
		t.Errorf("a long label: %v", err)
	}
}

func TestAnIndexInMemoryBearsThatItsFileIsCut(t *testing.T) {
	path := newPath(t)
	x := open(t, path, Options{Dim: 4, InMemory: true})
	r := rand.New(rand.NewPCG(3, 3))
	add(t, x, documents(r, 0, 300, 4))
	add(t, x, documents(r, 300, 20, 4))
	query := [][]float32{{1, 0, 0, 0}}
	want, err := x.Search(bg, query, 5, SearchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := x.refresh()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := pack(x.lib, llama.QueriesParams{Kind: x.kind, Dim: x.dim}, query)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	if err := os.Truncate(path, headerSize); err != nil {
		t.Fatal(err)
	}
	tops, err := s.score(bg, packed, everything(s.docs), 5) // of a search that has begun
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.results(tops)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("found %v (%v), want %v", got, err, want)
	}
	if _, err := x.Search(bg, query, 5, SearchOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a search after that: %v", err)
	}
	if _, err := mapRange(x.file, headerSize, 2*headerSize, true); !errors.Is(err, ErrDamaged) {
		t.Errorf("reading what is cut off: %v", err)
	}
}
