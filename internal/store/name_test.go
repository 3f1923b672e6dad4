package store_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/store"
)

// goldenName is a line of testdata/names.jsonl: what Ollama makes of a text.
type goldenName struct {
	In, Full, Short, File, Scheme string
	Valid                         bool
}

func goldenNames(t testing.TB) []goldenName {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "names.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []goldenName
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var g goldenName
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	return all
}

func TestNamesAreReadAsOllamaReadsThem(t *testing.T) {
	for _, g := range goldenNames(t) {
		n, err := store.ParseName(g.In)
		if (err == nil) != g.Valid {
			t.Errorf("%q gives error %v; want valid = %v", g.In, err, g.Valid)
			continue
		}
		if err != nil {
			wantError(t, err, store.ErrName, "is invalid: its ")
			continue
		}
		if n.String() != g.Full || n.Short() != g.Short {
			t.Errorf("%q is %q, %q; want %q, %q", g.In, n, n.Short(), g.Full, g.Short)
		}
		if n.Scheme != g.Scheme && n.Scheme != "https" {
			t.Errorf("%q has scheme %q; want %q", g.In, n.Scheme, g.Scheme)
		}
		file := filepath.FromSlash(g.File)
		if got := filepath.Join(n.Host, n.Namespace, n.Model, n.Tag); got != file {
			t.Errorf("%q is at %q; want %q", g.In, got, file)
		}
	}
}

func TestNamesInOtherCaseAreTheSame(t *testing.T) {
	if !name(t, "SmolLM2").Same(name(t, "Library/smollm2:LATEST")) {
		t.Error("the same name in another case is another model")
	}
	if name(t, "a:x").Same(name(t, "a:y")) {
		t.Error("another tag is the same model")
	}
}

// FuzzParseName checks that a name that is accepted stays inside the store and reads back as
// itself.
func FuzzParseName(f *testing.F) {
	for _, g := range goldenNames(f) {
		f.Add(g.In)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := store.ParseName(text)
		if err != nil {
			wantError(t, err, store.ErrName, "is invalid")
			return
		}
		file := filepath.Join(n.Host, n.Namespace, n.Model, n.Tag)
		if !filepath.IsLocal(file) || strings.Count(file, string(filepath.Separator)) != 3 {
			t.Fatalf("%q would be at %q", text, file)
		}
		for _, again := range []string{n.String(), n.Short()} {
			m, err := store.ParseName(again)
			if m.Scheme = n.Scheme; err != nil || !m.Same(n) {
				t.Fatalf("%q is %v, and %q is %v, %v", text, n, again, m, err)
			}
		}
	})
}
