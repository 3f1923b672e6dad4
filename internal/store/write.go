package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// replaceManifest writes a manifest and removes the blobs that only the one before it named. Those
// that cannot be removed stay; they do no harm. The caller holds the lock.
func (s *Store) replaceManifest(n Name, b []byte) error {
	before, err := s.read(n)
	replaced := err == nil
	if err := s.writeManifest(n, b); err != nil || !replaced {
		return err
	}
	if used, err := s.used(Name{}); err == nil {
		_ = s.removeBlobs(before.Manifest.all(), used)
	}
	return nil
}

// writeManifest puts a manifest in its place, by way of a temporary file beside it, so that a
// reader sees the old one or the new one. The caller holds the lock.
func (s *Store) writeManifest(n Name, b []byte) error {
	file := filepath.Join(s.manifests(), n.file())
	dir := filepath.Dir(file)
	var err error
	for range 3 { // Ollama may remove the folder while it is empty
		if err = os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		removeStale(dir)
		if err = replaceFile(file, b); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return err
	}
	for dir != s.dir && len(dir) > len(s.dir) { // folders may be new too
		if err := syncDir(dir); err != nil {
			return err
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

func replaceFile(file string, b []byte) error {
	temp, err := createTemp(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails when it was renamed
	_, err = temp.Write(b)
	if err == nil {
		err = finish(temp)
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), file)
}

// finish lets everybody read a file, and makes sure that it outlives a power failure.
func finish(f *os.File) error {
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes sure that new names in a folder outlive a power failure.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // has no such call for folders
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !isInvalid(err) {
		return err
	}
	return nil
}

// tempPrefix begins the names of files that are not complete; the time follows. Ollama takes them
// neither for manifests nor for blobs.
const tempPrefix = ".mullama-"

// staleAfter is the age at which a temporary file is taken for a leftover of a program that died.
const staleAfter = 24 * time.Hour

// createTemp creates a temporary file with its time in the name. (That of a hard link is the time
// of the file that it links to.)
func createTemp(dir string) (*os.File, error) {
	return os.CreateTemp(dir, fmt.Sprintf("%s%d-*", tempPrefix, time.Now().Unix()))
}

// removeStale removes temporary files that a program that died has left in a folder.
func removeStale(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), tempPrefix)
		digits, _, _ := strings.Cut(rest, "-")
		seconds, err := strconv.ParseInt(digits, 10, 64)
		if ours && err == nil && time.Since(time.Unix(seconds, 0)) > staleAfter {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// Copy gives a model a second name. A model that has that name is replaced. Both have the same
// manifest, byte for byte.
func (s *Store) Copy(src, dst Name) (*Entry, error) {
	if reason := dst.problem(); reason != "" {
		return nil, &storeError{kind: ErrName, message: "name is invalid: " + reason}
	}
	if _, err := s.Get(src); err != nil { // before the lock makes a folder
		return nil, err
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	from, err := s.Get(src)
	if err != nil {
		return nil, err
	}
	to := s.place(dst)
	if to.parts() == from.Name.parts() {
		return from, nil
	}
	b, _, err := readFile(from.File, maxManifest)
	if err != nil {
		return nil, err
	}
	if err := s.replaceManifest(to, b); err != nil {
		return nil, s.writeError(err)
	}
	return s.read(to)
}

// Delete removes a model and those of its blobs that no other manifest names. A manifest that is
// corrupt is removed alone, because what belongs to it is unknown. Nothing is removed when it
// cannot be told what other models use.
func (s *Store) Delete(n Name) error {
	if reason := n.problem(); reason != "" {
		return &storeError{kind: ErrName, message: "name is invalid: " + reason}
	}
	if _, ok := s.find(n); !ok {
		return notFound(n)
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	found, ok := s.find(n)
	if !ok {
		return notFound(n)
	}
	var layers []Layer
	if e, err := s.read(found); err == nil {
		layers = e.Manifest.all()
	} else if !errors.Is(err, ErrCorrupt) {
		return err
	}
	used, err := s.used(found)
	if err != nil {
		return err
	}
	file := filepath.Join(s.manifests(), found.file())
	if err := os.Remove(file); err != nil {
		return s.writeError(err)
	}
	s.removeEmpty(filepath.Dir(file))
	return s.writeError(s.removeBlobs(layers, used))
}

// removeEmpty removes a folder and those above it, up to manifests, while they are empty.
func (s *Store) removeEmpty(dir string) {
	for range 3 {
		if os.Remove(dir) != nil {
			_ = syncDir(dir) // so that the manifest goes before the blobs do
			return
		}
		dir = filepath.Dir(dir)
	}
	_ = syncDir(dir)
}

func (s *Store) removeBlobs(layers []Layer, used map[string]bool) error {
	var failed error
	for _, l := range layers {
		path, err := s.BlobPath(l.Digest)
		if err != nil || used[digestKey(l.Digest)] {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = err
		}
	}
	return failed
}

var anyDigest = regexp.MustCompile(`(?i)sha256[:-][0-9a-f]{64}`)

// used returns the digests that manifests other than that of one name mention. It looks at the
// text, so that a manifest that is damaged, or that a newer Ollama wrote, keeps its blobs too.
func (s *Store) used(except Name) (map[string]bool, error) {
	used := map[string]bool{}
	var failed error
	problems := s.walk(func(parts []string) {
		if [4]string(parts) == except.parts() {
			return
		}
		file := filepath.Join(append([]string{s.manifests()}, parts...)...)
		b, _, err := readFile(file, maxManifest)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = err
		}
		for _, digest := range anyDigest.FindAllString(string(b), -1) {
			used[digestKey(digest)] = true
		}
	})
	if len(problems) > 0 {
		failed = problems[0]
	}
	if failed != nil {
		return nil, fmt.Errorf("cannot tell what other models use, so nothing was deleted: %w",
			failed)
	}
	return used, nil
}

// digestKey makes spellings of one digest equal.
func digestKey(digest string) string {
	return strings.ToLower(strings.Replace(digest, "-", ":", 1))
}
