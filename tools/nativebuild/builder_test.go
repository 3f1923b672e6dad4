package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeCMake answers as CMake would: it notes its arguments, counts two steps, and leaves a library.
// A file called broken in the repository makes building fail.
const fakeCMake = `PATH=/usr/bin:/bin
case "$1" in
--version) echo 'cmake version 3.25.1'; exit ;;
--build) ;;
*) echo "$@" >> %[1]s/configured; exit ;;
esac
echo "$@" >> %[1]s/built
if [ -e %[1]s/broken ]; then echo 'FAILED: x.o'; echo 'error: no such type'; exit 1; fi
echo '[1/2] x'; echo '[2/2] y'
mkdir -p "$2/lib" && echo "$2" > "$2/lib/libmullama-native.so"`

// fakeRepo makes a repository and a PATH of stand-ins, and returns the repository's folder.
func fakeRepo(t *testing.T) string {
	t.Helper()
	files := map[string]string{
		"native/Cargo.lock": testLock, "native/Cargo.toml": "", "native/CMakeLists.txt": "",
		"native/x.cpp":                    "int x;",
		"crate/llama.cpp/include/llama.h": "",
	}
	for _, name := range recipeFor([]string{"vulkan"}) {
		files["native/engine/"+name] = ""
	}
	repo := writeTree(t, files)
	dir := onlyTools(t, "cc", "c++", "ninja")
	fakeTool(t, dir, "cmake", fmt.Sprintf(fakeCMake, repo))
	fakeTool(t, dir, "cargo", fmt.Sprintf(
		`echo '{"packages":[{"name":"%s","manifest_path":"%s/crate/Cargo.toml"}]}'`,
		pinnedPackage, repo))
	t.Setenv("MULLAMA_CACHE", filepath.Join(repo, "cache"))
	t.Setenv("LLAMA_CPP_DIR", "")
	return repo
}

func build(t *testing.T, repo string, flags ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := mainErr(context.Background(), append([]string{"--repo", repo}, flags...), &out)
	return out.String(), err
}

func lineCount(t *testing.T, path ...string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

func TestBuildMakesEngineAndFacadeOnceEach(t *testing.T) {
	repo := fakeRepo(t)
	out, err := build(t, repo)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"llama-cpp-sys-2 0.1.161", "llama.cpp 2/2", "facade 2/2", "built in",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	library := filepath.Join(repo, "cache", "native", current, "lib", "libmullama-native.so")
	if _, err := os.Stat(library); err != nil {
		t.Error(err)
	}
	out, err = build(t, repo)
	if err != nil || !strings.Contains(out, "up to date") {
		t.Errorf("second build = %q, %v; want up to date", out, err)
	}
	if got := lineCount(t, repo, "built"); got != 2 {
		t.Errorf("%d builds ran, want 2", got)
	}
}

func TestEditedSourceRebuildsOnlyTheFacade(t *testing.T) {
	repo := fakeRepo(t)
	if _, err := build(t, repo); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Readlink(filepath.Join(repo, "cache", "native", current))
	source := filepath.Join(repo, "native", "x.cpp")
	if err := os.WriteFile(source, []byte("int y;"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := build(t, repo, "--print-dir"); err == nil {
		t.Error("--print-dir names a library of older sources")
	}
	if _, err := build(t, repo); err != nil {
		t.Fatal(err)
	}
	after, _ := os.Readlink(filepath.Join(repo, "cache", "native", current))
	if before == after {
		t.Error("current did not move to the new library")
	}
	if got := lineCount(t, repo, "built"); got != 3 {
		t.Errorf("%d builds ran, want 3: engine once, facade twice", got)
	}
	out, err := build(t, repo, "--print-dir")
	want := filepath.Join(repo, "cache", "native", after, "lib") + "\n"
	if err != nil || out != want {
		t.Errorf("--print-dir = %q, %v; want %q", out, err, want)
	}
}

func TestSourceSavedWhileBuildingIsBuiltAgain(t *testing.T) {
	repo := fakeRepo(t)
	cmake := filepath.Join(os.Getenv("PATH"), "cmake")
	text, err := os.ReadFile(cmake)
	if err != nil {
		t.Fatal(err)
	}
	save := fmt.Sprintf("[ \"$1\" = --build ] && echo 'int z;' > %s/native/x.cpp\n", repo)
	if err := os.WriteFile(cmake, append(text, "\n"+save...), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := build(t, repo); err != nil {
		t.Fatal(err)
	}
	if out, err := build(t, repo); err != nil || !strings.Contains(out, "up to date") {
		t.Errorf("the library is not named by the sources it was built from: %q, %v", out, err)
	}
	if got := lineCount(t, repo, "built"); got != 3 {
		t.Errorf("%d builds ran, want 3: engine once, facade twice", got)
	}
}

func TestOptionsReachCMakeAndChangeTheBuild(t *testing.T) {
	repo := fakeRepo(t)
	for _, flags := range [][]string{
		{}, {"--backends", "cuda, vulkan", "--cuda-archs", "80,90a", "--jobs", "3"},
	} {
		if _, err := build(t, repo, flags...); err != nil {
			t.Fatal(err)
		}
	}
	configured, err := os.ReadFile(filepath.Join(repo, "configured"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(configured)), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d configurations, want engine and facade twice", len(lines))
	}
	for _, want := range []string{
		"-DMULLAMA_PORTABLE=ON", "-DGGML_CUDA=ON", "-DGGML_VULKAN=ON", "-G Ninja",
		"-DCMAKE_CUDA_ARCHITECTURES=80;90a", "/src/vulkan.cmake",
	} {
		if !strings.Contains(lines[2], want) {
			t.Errorf("engine configured with %q, want %q", lines[2], want)
		}
	}
	if strings.Contains(lines[0], "vulkan") {
		t.Errorf("an engine without Vulkan is configured with %q", lines[0])
	}
	if want := "-DMULLAMA_ENGINE_DIR="; !strings.Contains(lines[3], want) {
		t.Errorf("facade configured with %q, want %q", lines[3], want)
	}
}

func TestFailedBuildShowsTheErrorAndIsTriedAgain(t *testing.T) {
	repo := fakeRepo(t)
	broken := filepath.Join(repo, "broken")
	if err := os.WriteFile(broken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := build(t, repo)
	if err == nil {
		t.Fatal("no error from a failed build")
	}
	for _, want := range []string{"llama.cpp: build", "error: no such type", "build.log"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if _, err := build(t, repo); err != nil {
		t.Errorf("after mending: %v", err)
	}
}

func TestBadOptionsAreNamed(t *testing.T) {
	for _, tt := range []struct{ flags, want string }{
		{"--backends=tpu", "tpu"}, {"--jobs=0", "--jobs 0"}, {"extra", "extra"},
		{"--cuda-archs=90a", "--backends cuda"},
		{"--backends=cuda --cuda-archs=hopper", "hopper"},
	} {
		if _, err := readOptions(strings.Fields(tt.flags)); err == nil ||
			!strings.Contains(err.Error(), tt.want) {
			t.Errorf("readOptions(%q) error = %v, want one that names %q", tt.flags, err, tt.want)
		}
	}
}
