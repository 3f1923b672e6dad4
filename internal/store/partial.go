package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// partialDir holds blobs that are being fetched. It is not the blobs folder, because an Ollama that
// starts removes what it does not know from there.
const partialDir = ".mullama-partial"

// Partial is a blob that is being fetched: a file of any content, which outlives the program, and
// beside it a journal of what is in it. Only one program at a time has it.
type Partial struct {
	// Path is the file, Journal a second one. Neither need exist.
	Path, Journal string

	s      *Store
	layer  Layer
	unlock func()
}

// Partial waits until nobody else fetches a blob, and returns it for fetching. While it waits it
// calls waiting, with the path of the other's journal. The caller ends it with Place or Keep.
func (s *Store) Partial(
	ctx context.Context, l Layer, waiting func(journal string),
) (*Partial, error) {
	name, err := blobName(l.Digest)
	if err != nil {
		return nil, corrupt("digest", err)
	}
	dir := filepath.Join(s.dir, partialDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, s.writeError(err)
	}
	path := filepath.Join(dir, name)
	p := &Partial{Path: path, Journal: s.Journal(l), s: s, layer: l}
	for {
		p.unlock, err = tryLock(path + ".lock")
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, errHeld) {
			return nil, s.writeError(err)
		}
		waiting(p.Journal)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Journal is where the journal of a blob is while the blob is fetched, or "".
func (s *Store) Journal(l Layer) string {
	name, err := blobName(l.Digest)
	if err != nil {
		return ""
	}
	return filepath.Join(s.dir, partialDir, name+".journal")
}

// Keep leaves what there is for the next one who fetches the blob.
func (p *Partial) Keep() { p.unlock() }

// Place makes the file, whose digest the caller has verified, a blob of the store.
func (p *Partial) Place() error {
	defer p.unlock()
	to, err := p.s.BlobPath(p.layer.Digest)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return p.s.writeError(err)
	}
	if err := os.Chmod(p.Path, 0o644); err != nil {
		return p.s.writeError(err)
	}
	if err := os.Rename(p.Path, to); err != nil {
		return p.s.writeError(err)
	}
	os.Remove(p.Journal)
	return p.s.writeError(syncDir(filepath.Dir(to)))
}

// WriteError is an error of writing into the store, with its kind and the store's folder.
func (s *Store) WriteError(err error) error { return s.writeError(err) }

// HasBlob reports whether the blob of a layer is in the store, in its full size. It marks it as
// fresh, so that nobody takes it for unused before the manifest is there.
func (s *Store) HasBlob(l Layer) bool {
	path, err := s.BlobPath(l.Digest)
	if err != nil || s.checkBlob(l) != nil {
		return false
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now)
	return true
}

// ReadManifest returns the manifest of a model as it is in the file.
func (s *Store) ReadManifest(n Name) (*Entry, []byte, error) {
	e, err := s.Get(n)
	if err != nil {
		return nil, nil, err
	}
	b, _, err := readFile(e.File, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, notFound(n)
	}
	if err != nil {
		return nil, nil, err
	}
	if e.Manifest, err = ParseManifest(b); err != nil {
		return nil, nil, err
	}
	return e, b, nil
}

// PutManifest writes a manifest as it is, if all its blobs are there; otherwise it returns an
// ErrCorrupt. A model that has the name is replaced.
func (s *Store) PutManifest(n Name, b []byte) (*Entry, error) {
	if reason := n.problem(); reason != "" {
		return nil, &storeError{kind: ErrName, message: "name is invalid: " + reason}
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, l := range m.all() {
		if err := s.checkBlob(l); err != nil {
			return nil, err
		}
	}
	n = s.place(n)
	if err := s.replaceManifest(n, b); err != nil {
		return nil, s.writeError(err)
	}
	return s.read(n)
}

// Blobs are the layers and the config of a manifest, each digest once.
func (m *Manifest) Blobs() []Layer {
	var blobs []Layer
	seen := map[string]bool{}
	for _, l := range m.all() {
		if !seen[digestKey(l.Digest)] {
			seen[digestKey(l.Digest)] = true
			blobs = append(blobs, l)
		}
	}
	return blobs
}

// RemoveUnused removes the blobs of layers that no manifest names.
func (s *Store) RemoveUnused(layers []Layer) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	used, err := s.used(Name{})
	if err != nil {
		return err
	}
	return s.writeError(s.removeBlobs(layers, used))
}

// Prune removes blobs that no manifest names, and what is left of fetches that were given up, if
// they are older than an age. It returns how many bytes that were.
func (s *Store) Prune(age time.Duration) (int64, error) {
	unlock, err := s.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	used, err := s.used(Name{})
	if err != nil {
		return 0, err
	}
	freed := s.removeOld(s.blobs(), age, func(name string) bool {
		_, err := blobName(name)
		return err == nil && !used[digestKey(name)]
	})
	return freed + s.removeOld(filepath.Join(s.dir, partialDir), age, s.isAbandoned), nil
}

// removeOld removes the files of a folder that are old enough and that unwanted says so of.
func (s *Store) removeOld(dir string, age time.Duration, unwanted func(string) bool) int64 {
	entries, _ := os.ReadDir(dir)
	var freed int64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < age ||
			!unwanted(e.Name()) {
			continue
		}
		if os.Remove(filepath.Join(dir, e.Name())) == nil {
			freed += info.Size()
		}
	}
	return freed
}

// isAbandoned reports whether nobody fetches the blob that a file of the partial folder is of. Lock
// files stay: someone may be about to lock one.
func (s *Store) isAbandoned(file string) bool {
	const digits = len("sha256-") + 64
	if len(file) < digits || filepath.Ext(file) == ".lock" {
		return false
	}
	unlock, err := tryLock(filepath.Join(s.dir, partialDir, file[:digits]+".lock"))
	if err != nil {
		return false
	}
	unlock()
	return true
}

// Verify computes the digest of a layer's blob. One that is missing or damaged is an ErrCorrupt.
func (s *Store) Verify(ctx context.Context, l Layer) error {
	if err := s.checkBlob(l); err != nil {
		return err
	}
	path, err := s.BlobPath(l.Digest)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, &contextReader{ctx, f}); err != nil {
		return err
	}
	if got := "sha256:" + hex.EncodeToString(hash.Sum(nil)); got != digestKey(l.Digest) {
		return &storeError{kind: ErrCorrupt, message: fmt.Sprintf(
			"blob %s is damaged: its digest is %s", l.Digest, got)}
	}
	return nil
}

// RemoveBlob removes a blob that is damaged.
func (s *Store) RemoveBlob(l Layer) error {
	path, err := s.BlobPath(l.Digest)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.writeError(err)
	}
	return nil
}
