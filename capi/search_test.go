package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// opens runs testdata/opens.c where no engine has been built, and returns what it says.
func opens(t *testing.T, program string) string {
	t.Helper()
	command := exec.Command(program)
	empty := t.TempDir()
	command.Env = append(os.Environ(), "XDG_CACHE_HOME="+empty, "MULLAMA_CACHE="+empty)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestTheEngineIsLookedForBesideTheLibrary(t *testing.T) {
	program := compile(t, "opens")
	dir, err := library()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("MULLAMA_LIBRARY", "")
	want := "library_missing: open the engine: native library libmullama-native.so is not in " +
		strings.Join([]string{dir, filepath.Join(dir, "mullama"), filepath.Dir(program)}, " or ")
	if got := opens(t, program); !strings.HasPrefix(got, want) {
		t.Errorf("without an engine: %s\nwant %s …", got, want)
	}
	named := t.TempDir()
	t.Setenv("MULLAMA_LIBRARY", named)
	for _, folder := range []string{filepath.Join(dir, "mullama"), dir, named} {
		file := filepath.Join(folder, "libmullama-native.so")
		writeText(t, file, "not a library\n") // so that the error says which was taken
		want := "native library " + file + " cannot be loaded"
		if got := opens(t, program); !strings.Contains(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// writeText makes a file, and removes it with its folder, if that is then empty.
func writeText(t *testing.T, file, text string) {
	t.Helper()
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.Remove(file)
		_ = os.Remove(dir)
	})
}
