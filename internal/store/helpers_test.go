package store_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/store"
)

// name parses a name that is right.
func name(t testing.TB, text string) store.Name {
	t.Helper()
	n, err := store.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// put writes a model with one layer of each text, and a config.
func put(t testing.TB, s *store.Store, model string, texts ...string) *store.Entry {
	t.Helper()
	e, err := tryPut(t, s, model, texts...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func tryPut(t testing.TB, s *store.Store, model string, texts ...string) (*store.Entry, error) {
	d := s.Draft()
	defer d.Discard()
	var layers []store.Layer
	for _, text := range texts {
		l, err := d.Add(t.Context(), strings.NewReader(text), store.TypeModel)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	config, err := d.AddJSON(t.Context(), store.Config{ModelFormat: "gguf"}, store.TypeConfig)
	if err != nil {
		return nil, err
	}
	return d.Commit(name(t, model), config, layers)
}

// tree returns the files under a folder with their contents, the lock aside.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

// sameTree fails the test where two trees differ.
func sameTree(t testing.TB, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("the store has\n %q; want\n %q", slices.Sorted(maps.Keys(got)),
			slices.Sorted(maps.Keys(want)))
	}
}

// listed returns the short names in the order of the list; it fails on a problem.
func listed(t testing.TB, s *store.Store) []string {
	t.Helper()
	entries, problems := s.List()
	if len(problems) > 0 {
		t.Errorf("listing had problems: %v", problems)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name.Short())
	}
	return names
}

// wantError checks an error's kind and words, and that it is one line.
func wantError(t testing.TB, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got error %v; want kind %q", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not contain %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q has more than one line", err)
	}
}

func write(t testing.TB, text string, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
