package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/store"
)

func TestCopyHasTheSameManifest(t *testing.T) {
	s := store.New(t.TempDir())
	a := put(t, s, "a", "x")
	// Ollama keeps what it does not know; so does a copy.
	text := `{"new":1,` + strings.TrimPrefix(readText(t, a.File), "{")
	write(t, text, a.File)
	b, err := s.Copy(name(t, "A"), name(t, "user/b:2"))
	if err != nil {
		t.Fatal(err)
	}
	if b.Name.Short() != "user/b:2" || readText(t, b.File) != text {
		t.Errorf("the copy is %+v", b)
	}
	if same, err := s.Copy(name(t, "a"), name(t, "A")); err != nil || same.File != a.File {
		t.Errorf("a copy to itself gives %+v, %v", same, err)
	}
	if got := sorted(listed(t, s)); !slices.Equal(got, []string{"a:latest", "user/b:2"}) {
		t.Errorf("the models are %q", got)
	}
	put(t, s, "c", "y")
	if _, err := s.Copy(name(t, "a"), name(t, "c")); err != nil || readText(t, a.File) !=
		readText(t, filepath.Join(filepath.Dir(filepath.Dir(a.File)), "c", "latest")) {
		t.Errorf("a copy over another model: %v", err)
	}
}

func readText(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDeleteKeepsWhatOthersUse(t *testing.T) {
	s := store.New(t.TempDir())
	put(t, s, "user/b", "shared")
	before := tree(t, s.Dir())
	a := put(t, s, "a:1", "shared", "own")
	hex := strings.TrimPrefix(a.Manifest.Layers[1].Digest, "sha256:")
	partial := write(t, "half", s.Dir(), "blobs", "sha256-"+hex+"-partial")
	part0 := write(t, "{}", s.Dir(), "blobs", "sha256-"+hex+"-partial-0")
	if err := s.Delete(name(t, "A:1")); err != nil {
		t.Fatal(err)
	}
	if !exists(partial) || !exists(part0) {
		t.Error("a partial download is gone")
	}
	os.Remove(partial)
	os.Remove(part0)
	sameTree(t, tree(t, s.Dir()), before)
	if exists(filepath.Dir(a.File)) {
		t.Error("an empty folder is left")
	}
	if err := s.Delete(name(t, "user/b")); err != nil {
		t.Fatal(err)
	}
	if files := tree(t, s.Dir()); len(files) > 0 {
		t.Errorf("%q are left", files)
	}
	if !exists(filepath.Join(s.Dir(), "manifests")) {
		t.Error("the manifests folder itself is gone")
	}
}

func TestDamagedManifestsKeepTheirBlobs(t *testing.T) {
	s := store.New(t.TempDir())
	a := put(t, s, "a", "shared", "own")
	b := put(t, s, "b", "shared")
	text := readText(t, b.File)
	write(t, text[:len(text)-4], b.File)
	write(t, text, s.Dir(), "manifests", "registry.ollama.ai", "library", "b", ".odd name")
	entries, problems := s.List()
	if len(entries) != 1 || len(problems) != 1 {
		t.Fatalf("%d models and problems %v; want one of each", len(entries), problems)
	}
	wantError(t, problems[0], store.ErrCorrupt, b.File, "cut off")
	_, err := s.Get(name(t, "b"))
	wantError(t, err, store.ErrCorrupt, b.File)
	if err := s.Delete(name(t, "a")); err != nil {
		t.Fatal(err)
	}
	shared, _ := s.BlobPath(a.Manifest.Layers[0].Digest)
	own, _ := s.BlobPath(a.Manifest.Layers[1].Digest)
	if !exists(shared) || exists(own) {
		t.Errorf("the shared blob is there: %v, the own one: %v", exists(shared), exists(own))
	}
	if err := s.Delete(name(t, "b")); err != nil || exists(b.File) || !exists(shared) {
		t.Errorf("deleting a damaged model: %v; its blobs must stay", err)
	}
}

func TestNothingIsDeletedWhenAManifestCannotBeRead(t *testing.T) {
	if os.Getuid() == 0 {
		// The superuser may read everything, but not a file that is too large.
		t.Log("with a large file in place of one that may not be read")
	}
	s := store.New(t.TempDir())
	put(t, s, "a", "x")
	big := write(t, "", s.Dir(), "manifests", "registry.ollama.ai", "library", "b", "latest")
	if err := os.Truncate(big, 1<<30); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.Delete(name(t, "a")), store.ErrCorrupt, "nothing was deleted", big)
	if _, err := s.Get(name(t, "a")); err != nil {
		t.Error(err)
	}
}

func TestStoreThatCannotBeWrittenSaysSo(t *testing.T) {
	dir := t.TempDir()
	s := store.New(filepath.Join(write(t, "", dir, "file"), "models"))
	_, err := tryPut(t, s, "m", "x")
	wantError(t, err, store.ErrWrite, "write to the model store", dir)

	s = store.New(dir)
	put(t, s, "m", "x")
	before := tree(t, dir)
	write(t, "in the way", dir, "manifests", "registry.ollama.ai", "user")
	_, err = tryPut(t, s, "user/m", "x")
	wantError(t, err, store.ErrWrite)
	_, err = s.Copy(name(t, "m"), name(t, "user/m"))
	wantError(t, err, store.ErrWrite)
	os.Remove(filepath.Join(dir, "manifests", "registry.ollama.ai", "user"))
	sameTree(t, tree(t, dir), before)
}

func TestLeftoversOfADeadProgramAreRemoved(t *testing.T) {
	s := store.New(t.TempDir())
	e := put(t, s, "m", "x")
	day := time.Now().Add(-25 * time.Hour).Unix()
	var stale, fresh []string
	for _, dir := range []string{filepath.Join(s.Dir(), "blobs"), filepath.Dir(e.File)} {
		stale = append(stale, write(t, "", dir, fmt.Sprintf(".mullama-%d-1", day)))
		fresh = append(fresh, write(t, "", dir, fmt.Sprintf(".mullama-%d-2", time.Now().Unix())),
			write(t, "", dir, ".mullama-x"))
	}
	put(t, s, "m", "x")
	for _, path := range stale {
		if exists(path) {
			t.Errorf("%s is still there", path)
		}
	}
	for _, path := range fresh {
		if !exists(path) {
			t.Errorf("%s is gone; its writer may be alive", path)
		}
	}
	listed(t, s)
}

func TestSecondWriterWaits(t *testing.T) {
	s := store.New(t.TempDir())
	put(t, s, "a", "x")
	unlock, err := store.New(s.Dir()).Lock()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := s.Copy(name(t, "a"), name(t, "b"))
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	listed(t, s) // readers do not wait
	unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestWritersDoNotHurtEachOther lets several stores on one folder write and delete models that
// share a blob. Whatever is listed in between must be whole.
func TestWritersDoNotHurtEachOther(t *testing.T) {
	dir := t.TempDir()
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		writers.Go(func() {
			s := store.New(dir)
			model := fmt.Sprintf("m%d", i)
			for range 15 {
				put(t, s, model, "shared", model)
				if err := s.Delete(name(t, model)); err != nil {
					t.Error(err)
				}
			}
			put(t, s, model, "shared", model)
		})
	}
	readers.Go(func() {
		s := store.New(dir)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				listed(t, s)
			}
		}
	})
	writers.Wait()
	close(stop)
	readers.Wait()
	s := store.New(dir)
	if got := sorted(listed(t, s)); len(got) != 4 {
		t.Errorf("the models are %q", got)
	}
	entries, _ := s.List()
	for _, e := range entries {
		for _, l := range e.Manifest.Layers {
			if _, err := s.ReadBlob(l); err != nil {
				t.Errorf("%s: %v", e.Name, err)
			}
		}
	}
}
