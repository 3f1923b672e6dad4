package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Store is a folder in Ollama's layout. Its methods may be called by many goroutines, and by many
// programs, at once.
type Store struct {
	dir string
}

// Entry is a model of the store.
type Entry struct {
	Name     Name
	Manifest *Manifest
	Digest   string    // SHA-256 of the manifest's file in hexadecimal; its start is the model's ID
	Modified time.Time // of the manifest's file
	File     string    // of the manifest
}

// New returns the store in a folder, which need not exist. Nothing is read or written yet.
func New(dir string) *Store { return &Store{dir: dir} }

// Dir is the folder of the store.
func (s *Store) Dir() string { return s.dir }

func (s *Store) manifests() string { return filepath.Join(s.dir, "manifests") }
func (s *Store) blobs() string     { return filepath.Join(s.dir, "blobs") }

// BlobPath is where the blob of a digest is, if it is there.
func (s *Store) BlobPath(digest string) (string, error) {
	name, err := blobName(digest)
	if err != nil {
		return "", corrupt("digest", err)
	}
	return filepath.Join(s.blobs(), name), nil
}

// maxSmallBlob bounds what is read into memory: templates, licences and the like, not models.
const maxSmallBlob = 64 << 20

// ReadBlob returns a small blob, such as a template. It does not compute the digest.
func (s *Store) ReadBlob(l Layer) ([]byte, error) {
	path, err := s.BlobPath(l.Digest)
	if err != nil {
		return nil, err
	}
	b, _, err := readFile(path, maxSmallBlob)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &storeError{kind: ErrCorrupt, message: fmt.Sprintf(
			"blob %s is missing", l.Digest)}
	case err != nil:
		return nil, err
	case int64(len(b)) != l.Size:
		return nil, &storeError{kind: ErrCorrupt, message: fmt.Sprintf(
			"blob %s has %d bytes instead of %d",
			l.Digest, len(b), l.Size)}
	}
	return b, nil
}

// ReadConfig returns the config of a model. One without a config has an empty one.
func (s *Store) ReadConfig(m *Manifest) (*Config, error) {
	var c Config
	if m.Config.Digest == "" {
		return &c, nil
	}
	b, err := s.ReadBlob(m.Config)
	if err != nil {
		return nil, err
	}
	if err := decodeFirst(b, &c); err != nil {
		return nil, corrupt("config "+m.Config.Digest, err)
	}
	return &c, nil
}

// Get returns a model. A name in another case than the stored one finds it too, unless there is one
// in just that case; the entry has the stored name.
func (s *Store) Get(n Name) (*Entry, error) {
	if reason := n.problem(); reason != "" {
		return nil, &storeError{kind: ErrName, message: "name is invalid: " + reason}
	}
	found, ok := s.find(n)
	if !ok {
		return nil, notFound(n)
	}
	return s.read(found)
}

func notFound(n Name) error {
	return &storeError{kind: ErrNotFound, message: fmt.Sprintf("model %q not found", n.Short())}
}

// read reads the manifest of a name as it is in the store.
func (s *Store) read(n Name) (*Entry, error) {
	file := filepath.Join(s.manifests(), n.file())
	b, modified, err := readFile(file, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(n)
	}
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	sum := sha256.Sum256(b)
	n.Scheme = ""
	return &Entry{Name: n, Manifest: m, Digest: hex.EncodeToString(sum[:]),
		Modified: modified, File: file}, nil
}

// readFile reads a regular file of at most limit bytes, and when it was written.
func readFile(path string, limit int64) ([]byte, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, time.Time{}, corrupt("file "+path, fmt.Errorf(
			"it must be a regular file of at most %d bytes", limit))
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return b, info.ModTime(), err
}

// List returns the models, newest first, and for each manifest that cannot be used an error. A
// store that does not exist yet is empty.
func (s *Store) List() ([]Entry, []error) {
	names, problems := s.Names()
	var entries []Entry
	found, wrong := s.readAll(names)
	for i, e := range found {
		if errors.Is(wrong[i], ErrNotFound) { // deleted meanwhile
			continue
		}
		if wrong[i] != nil {
			problems = append(problems, wrong[i])
			continue
		}
		entries = append(entries, *e)
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return b.Modified.Compare(a.Modified) })
	return entries, problems
}

// readAll reads manifests on all cores.
func (s *Store) readAll(names []Name) ([]*Entry, []error) {
	found, wrong := make([]*Entry, len(names)), make([]error, len(names))
	eachOf(len(names), func(i int) { found[i], wrong[i] = s.read(names[i]) })
	return found, wrong
}

// eachOf calls do with the numbers below n, on all cores.
func eachOf(n int, do func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

// Names returns the names that the manifests folder has, in alphabetic order.
func (s *Store) Names() ([]Name, []error) {
	var names []Name
	problems := s.walk(func(parts []string) {
		n := Name{Host: parts[0], Namespace: parts[1], Model: parts[2], Tag: parts[3]}
		if n.problem() == "" {
			names = append(names, n)
		}
	})
	return names, problems
}

// walk calls fn with the parts of each path of four parts under the manifests folder that is not a
// folder, in alphabetic order. It follows symbolic links.
func (s *Store) walk(fn func(parts []string)) []error {
	var problems []error
	paths := [][]string{nil}
	for level := 1; level <= 4; level++ {
		found, wrong := make([][][]string, len(paths)), make([][]error, len(paths))
		eachOf(len(paths), func(i int) { found[i], wrong[i] = s.below(paths[i], level < 4) })
		paths, problems = slices.Concat(found...), append(problems, slices.Concat(wrong...)...)
	}
	for _, parts := range paths {
		fn(parts)
	}
	return problems
}

// below lists the folders in a folder under manifests, or else what is none.
func (s *Store) below(parts []string, folders bool) (found [][]string, problems []error) {
	path := filepath.Join(append([]string{s.manifests()}, parts...)...)
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, []error{err}
	}
	for _, e := range entries {
		isDir, err := isFolder(path, e)
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted meanwhile, or a broken link
		case err != nil:
			problems = append(problems, err)
		case isDir == folders:
			found = append(found, append(slices.Clone(parts), e.Name()))
		}
	}
	return found, problems
}

// isFolder reports whether an entry of a folder is a folder, or a link to one.
func isFolder(dir string, e fs.DirEntry) (bool, error) {
	if e.Type().IsDir() || e.Type().IsRegular() {
		return e.IsDir(), nil
	}
	info, err := os.Stat(filepath.Join(dir, e.Name()))
	return err == nil && info.IsDir(), err
}

// find looks for the stored name of a model. At each level it tries the spelling as given first.
func (s *Store) find(n Name) (Name, bool) {
	want := n.parts()
	var down func(dir string, i int, n Name) (Name, bool)
	down = func(dir string, i int, n Name) (Name, bool) {
		for _, spelling := range spellings(dir, want[i]) {
			n := n.with(i, spelling)
			path := filepath.Join(dir, spelling)
			info, err := os.Stat(path)
			if err != nil || info.IsDir() != (i < 3) {
				continue
			}
			if i == 3 {
				return n, true
			}
			if found, ok := down(path, i+1, n); ok {
				return found, true
			}
		}
		return Name{}, false
	}
	return down(s.manifests(), 0, n)
}

// place is the name under which a new model is stored: that of the model that it replaces, or else
// the given one, with the folders that are there in their spelling.
func (s *Store) place(n Name) Name {
	if found, ok := s.find(n); ok {
		return found
	}
	dir := s.manifests()
	for i, part := range n.parts() {
		all := spellings(dir, part)
		if len(all) == 0 {
			break
		}
		n = n.with(i, all[0])
		dir = filepath.Join(dir, all[0])
	}
	return n
}

// spellings lists the entries of a folder that are the same word, the one as given first.
func spellings(dir, word string) []string {
	entries, _ := os.ReadDir(dir)
	var all []string
	for _, e := range entries {
		if e.Name() == word {
			all = slices.Insert(all, 0, word)
		} else if strings.EqualFold(e.Name(), word) {
			all = append(all, e.Name())
		}
	}
	return all
}

// with replaces one part.
func (n Name) with(i int, part string) Name {
	*[]*string{&n.Host, &n.Namespace, &n.Model, &n.Tag}[i] = part
	return n
}
