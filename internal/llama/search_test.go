package llama_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

// places sets the variables that say where the library may be, and returns empty folders for them.
func places(t *testing.T) (named, cache, userCache string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the user's cache folder is set as on Linux")
	}
	named, cache, userCache = t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("MULLAMA_LIBRARY", named)
	t.Setenv("MULLAMA_CACHE", cache)
	t.Setenv("XDG_CACHE_HOME", userCache)
	return named, cache, userCache
}

func TestMissingLibraryNamesAllSearchedFoldersInOrder(t *testing.T) {
	named, cache, userCache := places(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Dir(exe)
	want := []string{named, bin, filepath.Join(bin, "../lib"), filepath.Join(bin, "../lib/mullama"),
		filepath.Join(cache, "native/current/lib"),
		filepath.Join(userCache, "mullama/native/current/lib")}
	if got := llama.SearchDirs(); !slices.Equal(got, want) {
		t.Errorf("searched are %q, want %q", got, want)
	}
	_, err = llama.Open("")
	wantError(t, err, llama.ErrLibrary, append(want, "make native", "MULLAMA_LIBRARY")...)
}

func TestTheFirstFolderThatHasTheLibraryIsTaken(t *testing.T) {
	named, cache, userCache := places(t)
	for _, dir := range []string{filepath.Join(userCache, "mullama/native/current/lib"),
		filepath.Join(cache, "native/current/lib"), named} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, libraryName())
		writeFile(t, file, "not a library\n") // so that the error says which was taken
		_, err := llama.Open("")
		wantError(t, err, llama.ErrLibrary, "cannot be loaded", file)
	}
}

func TestTheVariableMayNameLibmullamaItself(t *testing.T) {
	named, _, _ := places(t)
	file := filepath.Join(named, "libmullama.so")
	writeFile(t, file, "")
	t.Setenv("MULLAMA_LIBRARY", file)
	if got := llama.SearchDirs()[0]; got != named {
		t.Errorf("the first folder is %s, want %s", got, named)
	}
}

func TestAVariableThatNamesNothingIsAMistake(t *testing.T) {
	named, cache, _ := places(t)
	nowhere := filepath.Join(named, "nowhere")
	t.Setenv("MULLAMA_LIBRARY", nowhere)
	dir := filepath.Join(cache, "native/current/lib")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, libraryName()), "not a library\n")
	_, err := llama.Open("")
	wantError(t, err, llama.ErrLibrary, "is not in "+nowhere+";")
}
