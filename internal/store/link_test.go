package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/store"
)

// storeAndFile returns an empty store, and a file beside it with what the system says of it.
func storeAndFile(t *testing.T) (*store.Store, string, os.FileInfo) {
	t.Helper()
	dir := t.TempDir()
	path, s := filepath.Join(dir, "file"), store.New(filepath.Join(dir, "models"))
	if err := os.WriteFile(path, []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return s, path, before
}

func TestAFileIsABlobWithoutACopy(t *testing.T) {
	store.ShareBy(t, store.Never)
	s, path, before := storeAndFile(t)
	sum := sha256.Sum256([]byte("weights"))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	symbolic := path + "-symbolic"
	if err := os.Symlink(path, symbolic); err != nil {
		t.Skip(err)
	}
	for range 2 { // the second time it is there
		if err := s.Link(symbolic, digest, before); err != nil {
			t.Fatal(err)
		}
	}
	if !s.HasBlob(store.Layer{Digest: digest, Size: 7}) {
		t.Error("the blob is not there")
	}
	blob, err := s.BlobPath(digest)
	if err != nil {
		t.Fatal(err)
	}
	if there, err := os.Stat(blob); err != nil || !os.SameFile(there, before) {
		t.Errorf("the blob is another file: %v", err)
	}
	entries, _ := os.ReadDir(filepath.Dir(blob))
	if len(entries) != 1 {
		t.Errorf("%v is there beside it", entries)
	}
}

func TestAFileThatChangesIsNotLinked(t *testing.T) {
	s, path, before := storeAndFile(t)
	later := before.ModTime().Add(time.Second)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + hex.EncodeToString(make([]byte, 32))
	if err := s.Link(path, digest, before); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	if s.HasBlob(store.Layer{Digest: digest, Size: 7}) {
		t.Error("it is a blob")
	}
}

// TestAFileThatAnotherStoreMarksAsFreshHasNotChanged has another store touch the file all the time.
func TestAFileThatAnotherStoreMarksAsFreshHasNotChanged(t *testing.T) {
	store.ShareBy(t, store.Never)
	s, path, before := storeAndFile(t)
	sum := sha256.Sum256([]byte("weights"))
	layer := store.Layer{MediaType: store.TypeModel, Size: 7,
		Digest: "sha256:" + hex.EncodeToString(sum[:])}
	other := store.New(filepath.Join(t.TempDir(), "models"))
	if err := other.Link(path, layer.Digest, before); err != nil {
		t.Fatal(err)
	}
	ended, end := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
				other.HasBlob(layer)
			}
		}
	}()
	defer func() { close(end); <-ended }()
	for range 50 {
		d := s.Draft()
		if l, err := d.AddFile(t.Context(), path, store.TypeModel); err != nil || l != layer {
			t.Fatalf("added as %v, %v", l, err)
		}
		d.Discard()
		if err := s.Link(path, layer.Digest, before); err != nil {
			t.Fatal(err)
		}
		if err := s.RemoveBlob(layer); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWritingToAFileWhoseContentIsSharedLeavesTheModelAsItIs(t *testing.T) {
	store.ShareBy(t, store.ByCopy)
	s, path, before := storeAndFile(t)
	sum := sha256.Sum256([]byte("weights"))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	for what, add := range map[string]func() error{
		"create": func() error { return s.Link(path, digest, before) },
		"import": func() error {
			d := s.Draft()
			defer d.Discard()
			l, err := d.AddFile(t.Context(), path, store.TypeModel)
			if err == nil {
				_, err = d.Commit(name(t, "m"), store.Layer{}, []store.Layer{l})
			}
			return err
		},
	} {
		if err := add(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("W"), 0)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(t.Context(), store.Layer{Digest: digest, Size: 7}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		blob, _ := s.BlobPath(digest)
		if info, err := os.Stat(blob); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: the blob is %v, %v", what, info, err)
		}
		if err := s.RemoveBlob(store.Layer{Digest: digest}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("weights"), 0o644); err != nil {
			t.Fatal(err)
		}
		if before, err = os.Stat(path); err != nil {
			t.Fatal(err)
		}
	}
}
