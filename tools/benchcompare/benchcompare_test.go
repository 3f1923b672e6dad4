package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFoldersWithBenchmarksAreFound(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"a_test.go":          "package a\n\nfunc BenchmarkOne(b *testing.B) {}\n",
		"b/b_test.go":        "package b\n\nfunc TestBenchmark(t *testing.T) {}\n",
		"c/d/d_test.go":      "package d\n\nfunc BenchmarkTwo(b *testing.B) {}\n",
		"c/d/e_test.go":      "package d\n\nfunc BenchmarkMore(b *testing.B) {}\n",
		"testdata/x_test.go": "package x\n\nfunc BenchmarkNo(b *testing.B) {}\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := withBenchmarks(root)
	if want := []string{".", filepath.Join("c", "d")}; err != nil || !slices.Equal(got, want) {
		t.Errorf("folders %v (%v), want %v", got, err, want)
	}
}

func TestRowsBecomeLinesOfBenchmarks(t *testing.T) {
	got, err := throughputLines([]byte(`{"rows": [
		{"name": "tg128", "unit": "tokens/s", "value": 262.5},
		{"name": "rss_mb", "unit": "MB", "value": 328}]}`))
	want := "pkg: bench throughput\nBenchmark/tg128 1 262.5 tokens/s\nBenchmark/rss_mb 1 328 MB\n"
	if err != nil || string(got) != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	if _, err := throughputLines([]byte("no JSON")); err == nil {
		t.Error("what is no JSON was read")
	}
}

func TestACommitMustBeNamed(t *testing.T) {
	for _, args := range [][]string{{}, {""}, {"a", "b"}, {"-rounds", "0", "a"}} {
		if _, err := readOptions(args); err == nil {
			t.Errorf("%q was taken", strings.Join(args, " "))
		}
	}
	o, err := readOptions([]string{"-rounds", "3", "main"})
	if err != nil || o.ref != "main" || o.rounds != 3 {
		t.Errorf("options are %+v (%v)", o, err)
	}
}
