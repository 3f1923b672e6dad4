package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/store"
)

func TestStoreThatDoesNotExistIsEmpty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "models")
	s := store.New(dir)
	if names := listed(t, s); names != nil {
		t.Errorf("it has %q", names)
	}
	_, err := s.Get(name(t, "x"))
	wantError(t, err, store.ErrNotFound, `model "x:latest" not found`)
	wantError(t, s.Delete(name(t, "x")), store.ErrNotFound)
	_, err = s.Copy(name(t, "x"), name(t, "y"))
	wantError(t, err, store.ErrNotFound, `"x:latest"`)
	if exists(dir) {
		t.Error("looking made a folder")
	}
}

func TestCommittedModelIsRead(t *testing.T) {
	s := store.New(filepath.Join(t.TempDir(), "models"))
	e := put(t, s, "user/m:1", "hello", "world")
	got, err := s.Get(name(t, "user/m:1"))
	if err != nil {
		t.Fatal(err)
	}
	file, _ := os.ReadFile(filepath.Join(s.Dir(), "manifests", "registry.ollama.ai", "user", "m",
		"1"))
	if want := fmt.Sprintf("%x", sha256.Sum256(file)); got.Digest != want || e.Digest != want {
		t.Errorf("digests are %s and %s; want %s", got.Digest, e.Digest, want)
	}
	for i, text := range []string{"hello", "world"} {
		l := got.Manifest.Layers[i]
		if want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))); l.Digest != want {
			t.Errorf("layer %d is %s; want %s", i, l.Digest, want)
		}
		if b, err := s.ReadBlob(l); string(b) != text || err != nil {
			t.Errorf("layer %d holds %q, %v", i, b, err)
		}
	}
	if n := len(tree(t, s.Dir())); n != 4 {
		t.Errorf("%d files; want a manifest, a config and two layers", n)
	}
	blob, _ := s.BlobPath(got.Manifest.Layers[0].Digest)
	for _, path := range []string{blob, got.File} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o444 != 0o444 {
			t.Errorf("%s has mode %v: others cannot read it", path, info.Mode())
		}
	}
}

func TestNewestModelIsListedFirst(t *testing.T) {
	s := store.New(t.TempDir())
	for i, model := range []string{"a", "b", "c"} {
		at := time.Now().Add(-time.Duration(i) * time.Hour)
		if model == "b" {
			at = time.Now().Add(time.Hour)
		}
		if err := os.Chtimes(put(t, s, model, model).File, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if got := listed(t, s); !slices.Equal(got, []string{"b:latest", "a:latest", "c:latest"}) {
		t.Errorf("the order is %q", got)
	}
}

func TestFileIsLinkedNotCopied(t *testing.T) {
	store.ShareBy(t, store.Never)
	dir := t.TempDir()
	s := store.New(filepath.Join(dir, "models"))
	path := write(t, "weights", dir, "m.gguf")
	link := filepath.Join(dir, "link.gguf")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	d := s.Draft()
	defer d.Discard()
	l, err := d.AddFile(t.Context(), link, store.TypeModel)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(name(t, "m"), store.Layer{}, []store.Layer{l}); err != nil {
		t.Fatal(err)
	}
	blob, _ := s.BlobPath(l.Digest)
	a, _ := os.Stat(path)
	if b, err := os.Lstat(blob); err != nil || !os.SameFile(a, b) {
		t.Errorf("the blob is no hard link to the file: %v", err)
	}
	if err := s.Delete(name(t, "m")); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "weights" {
		t.Errorf("deleting the model left %q in the user's file", b)
	}
	// Twice the same file: the rename finds a link to itself.
	for range 2 {
		d := s.Draft()
		l, err := d.AddFile(t.Context(), path, store.TypeModel)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Commit(name(t, "m"), store.Layer{}, []store.Layer{l}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(tree(t, s.Dir())); n != 2 {
		t.Errorf("%d files; want a manifest and a layer", n)
	}
}

func TestUnfitFilesAreRefused(t *testing.T) {
	d := store.New(t.TempDir()).Draft()
	defer d.Discard()
	_, err := d.AddFile(t.Context(), t.TempDir(), store.TypeModel)
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder gives %v", err)
	}
	_, err = d.AddFile(t.Context(), filepath.Join(t.TempDir(), "none"), store.TypeModel)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file gives %v", err)
	}
}

func TestDiscardedDraftLeavesNothing(t *testing.T) {
	s := store.New(t.TempDir())
	put(t, s, "kept", "a")
	before := tree(t, s.Dir())
	d := s.Draft()
	if _, err := d.Add(t.Context(), strings.NewReader("b"), store.TypeModel); err != nil {
		t.Fatal(err)
	}
	path := write(t, "c", t.TempDir(), "c")
	if _, err := d.AddFile(t.Context(), path, store.TypeModel); err != nil {
		t.Fatal(err)
	}
	d.Discard()
	sameTree(t, tree(t, s.Dir()), before)
}

func TestFailingReaderLeavesNothing(t *testing.T) {
	s := store.New(t.TempDir())
	d := s.Draft()
	defer d.Discard()
	cause := errors.New("the disk is on fire")
	r := io.MultiReader(strings.NewReader("abc"), errReader{cause})
	if _, err := d.Add(t.Context(), r, store.TypeModel); !errors.Is(err, cause) {
		t.Errorf("got %v; want %v", err, cause)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Add(ctx, strings.NewReader("abc"), store.TypeModel); !errors.Is(err, ctx.Err()) {
		t.Errorf("got %v; want %v", err, ctx.Err())
	}
	path := write(t, "c", t.TempDir(), "c")
	if _, err := d.AddFile(ctx, path, store.TypeModel); !errors.Is(err, ctx.Err()) {
		t.Errorf("got %v; want %v", err, ctx.Err())
	}
	if files := tree(t, s.Dir()); len(files) > 0 {
		t.Errorf("%q are left", files)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestModelWithAMissingBlobIsNotWritten(t *testing.T) {
	s := store.New(t.TempDir())
	e := put(t, s, "m", "a")
	before := tree(t, s.Dir())
	gone := e.Manifest.Layers[0]
	gone.Digest = digest
	d := s.Draft()
	_, err := d.Commit(name(t, "m"), e.Manifest.Config, []store.Layer{gone})
	wantError(t, err, store.ErrCorrupt, digest, "missing")
	_, err = d.AddLayer(gone, "")
	wantError(t, err, store.ErrCorrupt, "missing")
	short := e.Manifest.Layers[0]
	short.Size++
	_, err = d.Commit(name(t, "m"), e.Manifest.Config, []store.Layer{short})
	wantError(t, err, store.ErrCorrupt, "1 bytes instead of 2")
	sameTree(t, tree(t, s.Dir()), before)
}

func TestBlobThatWasCutOffIsReplaced(t *testing.T) {
	s := store.New(t.TempDir())
	e := put(t, s, "m", "abc")
	blob, _ := s.BlobPath(e.Manifest.Layers[0].Digest)
	write(t, "a", blob)
	_, err := s.ReadBlob(e.Manifest.Layers[0])
	wantError(t, err, store.ErrCorrupt, "1 bytes instead of 3")
	put(t, s, "m", "abc")
	if b, _ := os.ReadFile(blob); string(b) != "abc" {
		t.Errorf("the blob holds %q", b)
	}
	os.Remove(blob)
	_, err = s.ReadBlob(e.Manifest.Layers[0])
	wantError(t, err, store.ErrCorrupt, "missing")
}

func TestLayerOfAnotherModelIsShared(t *testing.T) {
	s := store.New(t.TempDir())
	base := put(t, s, "base", "weights")
	d := s.Draft()
	defer d.Discard()
	l, err := d.AddLayer(base.Manifest.Layers[0], "base:latest")
	if err != nil || l.From != "base:latest" {
		t.Fatalf("layer is %+v, %v", l, err)
	}
	system, err := d.Add(t.Context(), strings.NewReader("Be brief."), store.TypeSystem)
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Commit(name(t, "child"), base.Manifest.Config, []store.Layer{l, system})
	if err != nil || e.Manifest.Layers[0].From != "base:latest" {
		t.Errorf("entry is %+v, %v", e, err)
	}
}

func TestNamesFindTheModelInAnyCase(t *testing.T) {
	s := store.New(t.TempDir())
	put(t, s, "HF.co/User/Repo:Q4_K_M", "a")
	if e, err := s.Get(name(t, "hf.co/user/repo:q4_k_m")); err != nil ||
		e.Name.Short() != "HF.co/User/Repo:Q4_K_M" {
		t.Errorf("got %+v, %v", e, err)
	}
	put(t, s, "hf.co/USER/REPO:q4_k_m", "b") // replaces it
	put(t, s, "hf.CO/user/repo:Q8_0", "c")   // goes beside it
	put(t, s, "hf.CO/user/other", "d")
	want := []string{"HF.co/User/Repo:Q4_K_M", "HF.co/User/Repo:Q8_0", "HF.co/User/other:latest"}
	if got := listed(t, s); !slices.Equal(sorted(got), want) {
		t.Errorf("the models are %q; want %q", got, want)
	}
}

func TestSpellingAsGivenIsPreferred(t *testing.T) {
	s := store.New(t.TempDir())
	text, err := os.ReadFile(put(t, s, "model", "a").File)
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(s.Dir(), "manifests", "registry.ollama.ai", "library")
	write(t, string(text), library, "MODEL", "latest")
	write(t, string(text), s.Dir(), "manifests", "registry.ollama.ai", "LIBRARY", "only", "here")
	if got := listed(t, s); len(got) < 3 {
		t.Skip("this file system has no case")
	}
	for text, want := range map[string]string{"model": "model:latest", "MODEL": "MODEL:latest",
		"mOdEl": "MODEL:latest", "library/ONLY:here": "only:here"} {
		if e, err := s.Get(name(t, text)); err != nil || e.Name.Short() != want {
			t.Errorf("%q is %+v, %v; want %q", text, e, err, want)
		}
	}
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
