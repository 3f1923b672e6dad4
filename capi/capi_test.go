package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// library builds libmullama once, as `make lib` does.
var library = sync.OnceValues(func() (dir string, err error) {
	dir, err = os.MkdirTemp("", "libmullama")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("sh", "build.sh", dir).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build.sh: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	// This process is a Go program, whose race detector calls exit() where no Go code may run.
	watchExit = func() {}
	code := m.Run()
	if dir, err := library(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// compile makes a C or C++ program of testdata that uses the library.
func compile(t *testing.T, name string, flags ...string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the C programs are built for Linux only so far")
	}
	dir, err := library()
	if err != nil {
		t.Fatal(err)
	}
	compiler, source := []string{"cc", "-std=c11"}, "testdata/"+name+".c"
	if _, err := os.Stat(source); err != nil {
		compiler, source = []string{"c++", "-std=c++17"}, "testdata/"+name+".cpp"
	}
	program := filepath.Join(t.TempDir(), name)
	args := slices.Concat(compiler[1:], []string{"-Wall", "-Wextra", "-Werror", "-g",
		"-D_GNU_SOURCE", "-I../include", source, "-o", program, "-L" + dir, "-lmullama",
		"-lpthread", "-Wl,-rpath," + dir}, flags)
	out, err := exec.Command(compiler[0], args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", compiler[0], err, out)
	}
	return program
}

func expectOK(t *testing.T, program string, args ...string) {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "ok, ") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func TestEveryFunctionFromC(t *testing.T) {
	expectOK(t, compile(t, "echo"))
}

func TestEveryFunctionUnderTheAddressSanitizer(t *testing.T) {
	expectOK(t, compile(t, "echo", "-fsanitize=address,undefined"))
}

func TestEmbeddingsUnderTheAddressSanitizer(t *testing.T) {
	expectOK(t, compile(t, "embed", "-fsanitize=address,undefined"))
}

func TestSignalsArriveWhenTheProgramTookItsSignalStackAway(t *testing.T) {
	expectOK(t, compile(t, "signals"))
}

func TestARealModelFromC(t *testing.T) {
	expectOK(t, compile(t, "real"), testmodels.Path(t, "smollm2"))
}

func TestAProgramMayHaveAnOperatorNewOfItsOwn(t *testing.T) {
	expectOK(t, compile(t, "allocator"), testmodels.Path(t, "smollm2"))
}

func TestALoadLeavesNothingBehind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := synth.TinyFile(file, synth.Options{}); err != nil {
		t.Fatal(err)
	}
	testmodels.Path(t, "smollm2") // where it is, the engine is
	expectOK(t, compile(t, "loads"), file)
}

func TestTheProcessEndsWhileAModelAnswers(t *testing.T) {
	program := compile(t, "exit")
	for range 20 {
		expectOK(t, program, testmodels.Path(t, "smollm2"))
	}
}

func TestTheProcessEndsWhileAModelEmbeds(t *testing.T) {
	program := compile(t, "exit_embed")
	for range 5 {
		expectOK(t, program, testmodels.Path(t, "minilm-q8"))
	}
}

// The header is C++, too.
func TestTheHeaderIsCAndCPlusPlus(t *testing.T) {
	for _, compiler := range [][]string{
		{"cc", "-std=c99", "-x", "c"}, {"cc", "-std=c2x", "-x", "c"},
		{"c++", "-std=c++11", "-x", "c++"}, {"c++", "-std=c++20", "-x", "c++"},
	} {
		args := slices.Concat(compiler[1:], []string{"-Wall", "-Wextra", "-Wpedantic", "-Werror",
			"-fsyntax-only", "../include/mullama.h"})
		out, err := exec.Command(compiler[0], args...).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", compiler, err, out)
		}
	}
}

// Every function of the header is in the library, and nothing else is.
func TestTheLibraryExportsTheHeader(t *testing.T) {
	dir, err := library()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("nm", "-D", "--defined-only", filepath.Join(dir, "libmullama.so")).
		Output()
	if err != nil {
		t.Fatal(err)
	}
	var exported []string
	for line := range strings.Lines(string(out)) {
		exported = append(exported, strings.Fields(line)[2])
	}
	header, err := os.ReadFile("../include/mullama.h")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^[a-z].*?\b(mullama_\w+)\(`).
		FindAllStringSubmatch(string(header), -1)
	var names []string
	for _, d := range declared {
		if !strings.HasPrefix(d[0], "typedef") {
			names = append(names, d[1])
		}
	}
	slices.Sort(exported)
	slices.Sort(names)
	if !slices.Equal(exported, names) {
		t.Errorf("exported\n%s\ndeclared\n%s", exported, names)
	}
}

func TestAPanicIsAnErrorAndPoisonsTheLibrary(t *testing.T) {
	defer poisoned.Store(nil)
	if status := call(nil, func() error { panic("oh") }); status != statusInternal {
		t.Errorf("the status is %d", status)
	}
	ran := false
	status := call(nil, func() error { ran = true; return nil })
	if ran || status != statusInternal {
		t.Errorf("a later call ran: %v, and its status is %d", ran, status)
	}
}

func TestHandlesAreUsedOnce(t *testing.T) {
	table := newTable[int]("number")
	a := table.add(1)
	if n, err := table.get(a); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if n, ok := table.remove(a); n != 1 || !ok {
		t.Errorf("removed %d, %v", n, ok)
	}
	if _, ok := table.remove(a); ok {
		t.Error("it was removed twice")
	}
	if b := table.add(2); b == a {
		t.Error("the number came again")
	}
	if _, err := table.get(a); err == nil || !strings.Contains(err.Error(), "number is closed") {
		t.Errorf("got %v", err)
	}
}

func TestKindsHaveTheNamesOfTheHeader(t *testing.T) {
	for kind, want := range map[error]string{
		mullama.ErrNotFound: "not_found", mullama.ErrNotGGUF: "not_gguf",
		mullama.ErrUnsupported: "unsupported", mullama.ErrContextFull: "context_full",
		mullama.ErrInvalidOption: "invalid", mullama.ErrTemplate: "template",
		mullama.ErrGrammar: "grammar", mullama.ErrOutOfMemory: "out_of_memory",
		mullama.ErrBusy: "busy", mullama.ErrStore: "store",
		mullama.ErrLibraryMissing: "library_missing", mullama.ErrClosed: "closed",
		mullama.ErrCancelled: "cancelled", mullama.ErrInternal: "internal",
		mullama.ErrUnreachable: "unreachable",
		errTooSmall:            "too_small", context.Canceled: "cancelled",
		errors.New("other"): "internal",
	} {
		code, _ := explain(fmt.Errorf("in a test: %w", kind))
		if statusName(code) != want {
			t.Errorf("%v is %s in C, want %s", kind, statusName(code), want)
		}
	}
	closed := &mullama.Error{Kind: mullama.ErrClosed, Err: context.Canceled}
	if code, _ := explain(closed); statusName(code) != "closed" {
		t.Errorf("what a close cancelled is %s in C", statusName(code))
	}
}
