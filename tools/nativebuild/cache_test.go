package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPointCurrentReplacesTheLink(t *testing.T) {
	cache := t.TempDir()
	for _, name := range []string{"lib-a", "lib-b", "lib-b"} {
		if err := pointCurrent(cache, name); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(filepath.Join(cache, current)); err != nil || got != name {
			t.Errorf("current -> %q, %v; want %q", got, err, name)
		}
	}
	if got := names(t, cache); !slices.Equal(got, []string{current}) {
		t.Errorf("cache holds %q, want only the link", got)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

func TestPruneKeepsTheNewestAndTheOneInUse(t *testing.T) {
	cache := t.TempDir()
	for i, name := range []string{"lib-1", "lib-2", "lib-3", "lib-4", "lib-5", "engine-0"} {
		dir := filepath.Join(cache, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(dir, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := prune(cache, "lib-", "lib-1"); err != nil {
		t.Fatal(err)
	}
	want := []string{"engine-0", "lib-1", "lib-3", "lib-4", "lib-5"}
	if got := names(t, cache); !slices.Equal(got, want) {
		t.Errorf("cache holds %q, want %q", got, want)
	}
}

func TestInstallFilesLeavesStaticLibrariesOut(t *testing.T) {
	engine := writeTree(t, map[string]string{"libllama.a": "a", "libggml-base.so.0": "shared"})
	link := filepath.Join(engine, "libggml-base.so")
	if err := os.Symlink("libggml-base.so.0", link); err != nil {
		t.Fatal(err)
	}
	facade := writeTree(t, map[string]string{"libmullama-native.so": "ours", "sub/x": ""})
	dest := filepath.Join(t.TempDir(), "lib-key")
	for range 2 { // a second time replaces the first
		if err := installFiles(dest, engine, facade); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"libggml-base.so", "libggml-base.so.0", "libmullama-native.so"}
	if got := names(t, filepath.Join(dest, "lib")); !slices.Equal(got, want) {
		t.Errorf("installed %q, want %q", got, want)
	}
	text, err := os.ReadFile(filepath.Join(dest, "lib", "libggml-base.so"))
	if err != nil || string(text) != "shared" {
		t.Errorf("the link reads %q, %v", text, err)
	}
	if got := names(t, filepath.Dir(dest)); !slices.Equal(got, []string{"lib-key"}) {
		t.Errorf("left behind %q", got)
	}
}

func TestLockMakesASecondBuildWait(t *testing.T) {
	cache := t.TempDir()
	var out bytes.Buffer
	unlock, err := lockCache(context.Background(), cache, &out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := lockCache(ctx, cache, &out); err == nil {
		t.Error("the lock was taken twice")
	}
	if !strings.Contains(out.String(), "waiting") {
		t.Errorf("said %q while waiting", out.String())
	}
	unlock()
	unlock, err = lockCache(context.Background(), cache, &out)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	unlock()
}

func TestCleanRemovesEverythingButTheLock(t *testing.T) {
	cache := writeTree(t, map[string]string{"engine-a/complete": "", "lib-b/lib/x.so": ""})
	if err := pointCurrent(cache, "lib-b"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := cleanCache(context.Background(), cache, &out); err != nil {
		t.Fatal(err)
	}
	if got := names(t, cache); !slices.Equal(got, []string{lockName}) {
		t.Errorf("cache holds %q, want only the lock", got)
	}
}
