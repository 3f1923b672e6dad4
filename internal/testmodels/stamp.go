package testmodels

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// stamp remembers that a set was verified: with which pin, and how its files looked then.
type stamp struct {
	SHA256 string
	Files  map[string]fileMark // by path in the models folder
}

// fileMark changes when a file is written again.
type fileMark struct {
	Size     int64
	Modified int64 // nanoseconds since 1970
}

func stampPath(dir, name string) string {
	return filepath.Join(dir, ".stamps", name+".json")
}

func gonePath(dir, name string) string {
	return filepath.Join(dir, ".stamps", name+".gone")
}

// Complete reports whether all of the set's files are in the models folder dir, by their sizes or
// number. It does not hash them.
func (s Set) Complete(dir string) bool {
	if s.Folder == "" {
		info, err := os.Stat(s.Path(dir))
		return err == nil && info.Mode().IsRegular() && info.Size() == s.Size
	}
	files, err := s.files(dir)
	return err == nil && len(files) == s.Count
}

// Verified reports whether the set was verified against its present pin and not changed since.
func (s Set) Verified(dir string) bool {
	b, err := os.ReadFile(stampPath(dir, s.Name))
	if err != nil {
		return false
	}
	var was stamp
	if json.Unmarshal(b, &was) != nil || was.SHA256 != s.SHA256 {
		return false
	}
	now, err := s.marks(dir)
	if err != nil || len(now) != len(was.Files) {
		return false
	}
	for name, mark := range now {
		if was.Files[name] != mark {
			return false
		}
	}
	return s.Complete(dir)
}

// MarkVerified remembers that the files of the set are as pinned.
func (s Set) MarkVerified(dir string) error {
	marks, err := s.marks(dir)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(stamp{SHA256: s.SHA256, Files: marks}, "", "  ")
	if err != nil {
		return err
	}
	if err := s.ClearGone(dir); err != nil {
		return err
	}
	return writeStamp(stampPath(dir, s.Name), b)
}

// MarkGone remembers that a package of the set is no longer in the index.
func (s Set) MarkGone(dir, pkg string) error {
	return writeStamp(gonePath(dir, s.Name), []byte(pkg+"\n"))
}

// ClearGone forgets that a package of the set was gone.
func (s Set) ClearGone(dir string) error {
	err := os.Remove(gonePath(dir, s.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Gone returns the package that was missing from the index when the set was last fetched, or "".
func Gone(dir, name string) string {
	b, err := os.ReadFile(gonePath(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func writeStamp(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp := path + ".tmp"
	if err := os.WriteFile(temp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func (s Set) marks(dir string) (map[string]fileMark, error) {
	files, err := s.files(dir)
	if err != nil {
		return nil, err
	}
	marks := make(map[string]fileMark, len(files))
	for _, name := range files {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		marks[filepath.ToSlash(name)] = fileMark{info.Size(), info.ModTime().UnixNano()}
	}
	return marks, nil
}

// files lists the set's files as paths in the models folder.
func (s Set) files(dir string) ([]string, error) {
	if s.Folder == "" {
		return []string{s.File}, nil
	}
	entries, err := os.ReadDir(s.Path(dir))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", s.Name, err)
	}
	var files []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			files = append(files, filepath.Join(s.Folder, e.Name()))
		}
	}
	return files, nil
}
