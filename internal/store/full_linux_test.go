package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of its own with little room, where the user may.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// put writes a model whose weights have so many bytes.
func put(t *testing.T, s *Store, name string, size int) error {
	t.Helper()
	n, err := ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	d := s.Draft()
	defer d.Discard()
	weights := bytes.Repeat([]byte(name), size/len(name)+1)[:size]
	layer, err := d.Add(t.Context(), bytes.NewReader(weights), TypeModel)
	if err != nil {
		return err
	}
	config, err := d.AddJSON(t.Context(), Config{ModelFormat: "gguf"}, TypeConfig)
	if err != nil {
		return err
	}
	_, err = d.Commit(n, config, []Layer{layer})
	return err
}

// wantWrite checks that an error says what is wrong with which store.
func wantWrite(t *testing.T, err, cause error, dir string) {
	t.Helper()
	if !errors.Is(err, ErrWrite) || !errors.Is(err, cause) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want one of writing to %s with the cause %v", err, dir, cause)
	}
}

func TestAFullDiskIsSaidAndLeavesNothing(t *testing.T) {
	dir := smallDisk(t)
	s := New(dir)
	if err := put(t, s, "small", 1000); err != nil {
		t.Fatal(err)
	}
	wantWrite(t, put(t, s, "large", 1<<20), syscall.ENOSPC, dir)
	blobs, err := os.ReadDir(s.blobs())
	if err != nil || len(blobs) != 2 {
		t.Errorf("%d blobs are there, want those of one model: %v, %v", len(blobs), blobs, err)
	}
	filler := filepath.Join(dir, "filler")
	_ = os.WriteFile(filler, make([]byte, 1<<20), 0o644) // as much as goes in
	small, other := Name{Model: "small"}, Name{Model: "other"}
	fill(&small)
	fill(&other)
	_, err = s.Copy(small, other)
	wantWrite(t, err, syscall.ENOSPC, dir)
	if _, err := s.Get(other); !errors.Is(err, ErrNotFound) {
		t.Errorf("half a model is there: %v", err)
	}
	if err := s.Delete(small); err != nil {
		t.Errorf("a full disk keeps its models: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := put(t, s, "small", 1000); err != nil {
		t.Errorf("after there was room again: %v", err)
	}
}

// fill puts in the parts of a name that are left out.
func fill(n *Name) { n.Host, n.Namespace, n.Tag = DefaultHost, DefaultNamespace, DefaultTag }

func TestAStoreThatIsReadOnlyIsRead(t *testing.T) {
	dir := smallDisk(t)
	s := New(dir)
	if err := put(t, s, "small", 1000); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("cannot make a disk read-only: %v", err)
	}
	small, other := Name{Model: "small"}, Name{Model: "other"}
	fill(&small)
	fill(&other)
	if entries, problems := s.List(); len(entries) != 1 || len(problems) != 0 {
		t.Errorf("the store has %v, %v", entries, problems)
	}
	wantWrite(t, put(t, s, "new", 10), syscall.EROFS, dir)
	_, err := s.Copy(small, other)
	wantWrite(t, err, syscall.EROFS, dir)
	wantWrite(t, s.Delete(small), syscall.EROFS, dir)
	if _, err := s.Get(small); err != nil {
		t.Errorf("the model is gone: %v", err)
	}
}
