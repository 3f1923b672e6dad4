package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

const testLock = `version = 4

[[package]]
name = "cc"
version = "1.2.3"
checksum = "aa"

[[package]]
name = "llama-cpp-sys-2"
version = "0.1.161"
source = "registry"
checksum = "e9be"
dependencies = [
 "cc",
]

[[package]]
name = "ours"
version = "0.0.0"
`

func TestLockedPackageReadsVersionAndChecksum(t *testing.T) {
	version, checksum, err := lockedPackage(testLock, pinnedPackage)
	if err != nil || version != "0.1.161" || checksum != "e9be" {
		t.Errorf("lockedPackage = %q, %q, %v", version, checksum, err)
	}
	for _, name := range []string{"ours", "absent"} {
		if _, _, err := lockedPackage(testLock, name); err == nil ||
			!strings.Contains(err.Error(), name) {
			t.Errorf("lockedPackage(%q) error = %v, want one that names it", name, err)
		}
	}
}

func TestFindSourceTakesThePinFromTheLock(t *testing.T) {
	native := writeTree(t, map[string]string{"Cargo.lock": testLock})
	s, err := findSource("", native)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.pin, "llama-cpp-sys-2 0.1.161 e9be"; got != want {
		t.Errorf("pin = %q, want %q", got, want)
	}
	if s.editable {
		t.Error("the pinned package is taken for one that may change")
	}
	if _, err := findSource("", t.TempDir()); err == nil {
		t.Error("no error without a lock file")
	}
}

func TestFindSourceTakesACheckout(t *testing.T) {
	dir := writeTree(t, map[string]string{"include/llama.h": ""})
	s, err := findSource(dir, "unused")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.pin, dir) || !s.editable {
		t.Errorf("source = %+v, want the folder, without revision and so editable", s)
	}
	got, err := s.dir(context.Background(), "no-cargo", "unused")
	if err != nil || got != dir {
		t.Errorf("dir = %q, %v; want %q", got, err, dir)
	}
	if _, err := findSource(t.TempDir(), ""); err == nil ||
		!strings.Contains(err.Error(), "LLAMA_CPP_DIR") {
		t.Errorf("error = %v, want one that names LLAMA_CPP_DIR", err)
	}
}

func TestSourceFolderFindsThePackage(t *testing.T) {
	dir := writeTree(t, map[string]string{"llama.cpp/include/llama.h": ""})
	metadata, err := json.Marshal(map[string]any{"packages": []map[string]string{
		{"name": "cc", "manifest_path": "elsewhere/Cargo.toml"},
		{"name": pinnedPackage, "manifest_path": filepath.Join(dir, "Cargo.toml")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := sourceFolder(metadata)
	if err != nil || got != filepath.Join(dir, "llama.cpp") {
		t.Errorf("sourceFolder = %q, %v", got, err)
	}
	for _, bad := range []string{"", "{}", `{"packages":[{"name":"llama-cpp-sys-2"}]}`} {
		if _, err := sourceFolder([]byte(bad)); err == nil {
			t.Errorf("sourceFolder(%q) gave no error", bad)
		}
	}
}

func TestCargoErrorsCarryWhatCargoSaid(t *testing.T) {
	dir := onlyTools(t)
	fakeTool(t, dir, "cargo", "echo 'error: checksum changed' >&2; exit 101")
	_, err := source{}.dir(context.Background(), filepath.Join(dir, "cargo"), dir)
	if err == nil || !strings.Contains(err.Error(), "checksum changed") ||
		!strings.Contains(err.Error(), "cargo fetch") {
		t.Errorf("error = %v, want cargo's words and the command", err)
	}
}
