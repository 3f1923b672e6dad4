package llama_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

func libraryName() string {
	if runtime.GOOS == "darwin" {
		return "libmullama-native.dylib"
	}
	return "libmullama-native.so"
}

func TestMissingLibraryNamesFoldersAndCommand(t *testing.T) {
	dir := t.TempDir()
	_, err := llama.Open(dir)
	wantError(t, err, llama.ErrLibrary, dir, libraryName(), "make native")
}

func TestForeignFilesAreNotTheLibrary(t *testing.T) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("cc is not installed")
	}
	for _, tt := range []struct{ name, source, want string }{
		{name: "text", want: "cannot be loaded"},
		{name: "another library", source: "int answer(void) { return 42; }",
			want: "mullama_native_table"},
		{name: "another ABI", source: "void *mullama_native_table(unsigned a) { return 0; }",
			want: "ABI"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, libraryName())
			if tt.source == "" {
				writeFile(t, path, "not a library\n")
			} else {
				source := filepath.Join(dir, "other.c")
				writeFile(t, source, tt.source)
				out, err := exec.Command(compiler, "-shared", "-fPIC", "-o", path,
					source).CombinedOutput()
				if err != nil {
					t.Fatalf("cc: %v\n%s", err, out)
				}
			}
			_, err := llama.Open(dir)
			wantError(t, err, llama.ErrLibrary, tt.want, path, "make native")
		})
	}
}

func TestLibraryThatIsAFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, libraryName()), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := llama.Open(dir)
	wantError(t, err, llama.ErrLibrary, "make native")
}

func TestOpenGivesOneLibrary(t *testing.T) {
	first := library(t)
	byPath, err := llama.Open(filepath.Dir(first.Path()))
	if err != nil {
		t.Fatal(err)
	}
	if byPath != first {
		t.Error("opening the same file twice gives two libraries")
	}
	libs := make([]*llama.Library, 16)
	var group sync.WaitGroup
	for i := range libs {
		group.Go(func() { libs[i], _ = llama.Open("") })
	}
	group.Wait()
	for i, lib := range libs {
		if lib != first {
			t.Errorf("concurrent open %d gives another library", i)
		}
	}
}

func TestLibraryDescribesItself(t *testing.T) {
	lib := library(t)
	for _, text := range []string{lib.Version(), lib.SystemInfo(), lib.Path()} {
		if text == "" {
			t.Error("version, system info or path is empty")
		}
	}
	devices := lib.Devices()
	if len(devices) == 0 {
		t.Fatal("no devices, want at least the CPU")
	}
	hasCPU := false
	for _, d := range devices {
		if d.Name == "" || d.Description == "" {
			t.Errorf("device without name or description: %+v", d)
		}
		if d.Kind == llama.DeviceCPU {
			hasCPU = true
			if d.MemoryTotal == 0 || d.MemoryFree > d.MemoryTotal {
				t.Errorf("memory of the CPU is %d of %d", d.MemoryFree, d.MemoryTotal)
			}
		}
	}
	if !hasCPU {
		t.Errorf("no CPU among %+v", devices)
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
