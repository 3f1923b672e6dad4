package maxsim

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

var inf = math.Inf(1)

// sample writes a small index with everything in it and returns its bytes.
func sample(t testing.TB) []byte {
	t.Helper()
	path := newPath(t)
	r := rand.New(rand.NewPCG(11, 11))
	x := open(t, path, Options{Dim: 3, Kind: llama.VectorInt8})
	docs := documents(r, 0, 6, 3)
	for i := range docs {
		docs[i].Vectors = docs[i].Vectors[:3*min(len(docs[i].Vectors)/3, 4)]
	}
	add(t, x, docs[:4])
	if err := x.Train(bg, TrainOptions{Centroids: 3}); err != nil {
		t.Fatal(err)
	}
	add(t, x, docs[4:])
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// useAll does with a file what can be done, and returns what was found and the first error.
func useAll(t testing.TB, path string, raw []byte) ([]Result, error) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	x, err := Open(library(t), path, Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	defer x.Close()
	query := make([]float32, 2*x.dim)
	query[0] = 1
	var all []Result
	for _, o := range []SearchOptions{{}, {Probe: 2, Candidates: 4}} {
		found, searchErr := x.Search(bg, [][]float32{query}, 10, o)
		err = errors.Join(err, searchErr)
		if searchErr == nil {
			all = append(all, found[0]...)
		}
	}
	_, containsErr := x.Contains("doc-3")
	return all, errors.Join(err, containsErr, x.Verify())
}

func TestEveryTruncationIsAnError(t *testing.T) {
	raw, path := sample(t), newPath(t)
	for n := range len(raw) {
		if n > 600 && n < headerSize-10 && n%64 != 0 {
			continue // nothing but zeros
		}
		if _, err := useAll(t, path, raw[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("with %d of %d bytes: %v", n, len(raw), err)
		}
	}
}

func TestEveryChangedByteIsNoticedOrMeansNothing(t *testing.T) {
	raw, path := sample(t), newPath(t)
	want, err := useAll(t, path, raw)
	if err != nil {
		t.Fatal(err)
	}
	silent := 0
	for at := range raw {
		if at > 1200 && at < headerSize-10 {
			continue // nothing but zeros
		}
		changed := slices.Clone(raw)
		changed[at] ^= 0x41
		got, err := useAll(t, path, changed)
		switch {
		case err != nil && !errors.Is(err, ErrDamaged):
			t.Fatalf("byte %d: %v", at, err)
		case err == nil && !slices.Equal(got, want):
			t.Fatalf("byte %d: found %v, want %v", at, got, want)
		case err == nil:
			silent++
		}
	}
	t.Logf("%d bytes of %d mean nothing", silent, len(raw))
}

// reseal makes all checksums of a changed file right that can be found, so that what comes behind
// them is reached.
func reseal(raw []byte, offsets []uint64, sizes []uint64) {
	le.PutUint32(raw[fixedSize-4:], checksum(raw[:fixedSize-4]))
	for i, at := range offsets {
		data := alignUp(at + blockSize + uint64(4*pages(int(sizes[i]))))
		sums := sumsOf(raw[data : data+sizes[i]])
		copy(raw[at+blockSize:], sums)
		le.PutUint32(raw[at+blockSize-8:], checksum(sums))
		le.PutUint32(raw[at+blockSize-4:], checksum(raw[at:at+blockSize-4]))
	}
	for _, at := range stateAt {
		le.PutUint32(raw[at+stateSize-8:], checksum(raw[at:at+stateSize-8]))
	}
}

// FuzzIndex changes bytes of an index whose checksums are then made right again: six bytes of input
// are an offset, what to put there, and how many times.
func FuzzIndex(f *testing.F) {
	raw := sample(f)
	x := open(f, writeTemp(f, raw), Options{})
	s := x.current.Load()
	var offsets, sizes []uint64
	for _, p := range s.parts {
		offsets, sizes = append(offsets, p.at), append(sizes, p.size())
	}
	offsets, sizes = append(offsets, s.grouped.at), append(sizes, s.grouped.size())
	f.Add([]byte{})
	for _, at := range append(slices.Clone(offsets), uint64(stateAt[0]), uint64(stateAt[1]), 8) {
		for field := range uint64(8) {
			pos := at + 8*field
			f.Add([]byte{byte(pos), byte(pos >> 8), 0xff, 8})
			f.Add([]byte{byte(pos), byte(pos >> 8), 0x07, 1})
		}
	}
	path := newPath(f)
	f.Fuzz(func(t *testing.T, edits []byte) {
		changed := slices.Clone(raw)
		for ; len(edits) >= 4; edits = edits[4:] {
			at := int(edits[0]) | int(edits[1])<<8
			for i := range int(edits[3]) {
				if at+i < len(changed) {
					changed[at+i] = edits[2]
				}
			}
		}
		reseal(changed, offsets, sizes)
		if _, err := useAll(t, path, changed); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}

func writeTemp(t testing.TB, raw []byte) string {
	t.Helper()
	path := newPath(t)
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
