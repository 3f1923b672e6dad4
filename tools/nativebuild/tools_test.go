package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeTool puts a shell script called name into dir.
func fakeTool(t *testing.T, dir, name, body string) {
	t.Helper()
	text := "#!/bin/sh\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// onlyTools makes a folder the whole PATH, with working stand-ins for the named tools.
func onlyTools(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		body := "exit 0"
		if name == "cmake" {
			body = "echo 'cmake version 3.25.1'"
		}
		fakeTool(t, dir, name, body)
	}
	t.Setenv("PATH", dir)
	t.Setenv("CC", "")
	t.Setenv("CXX", "")
	return dir
}

func TestFindToolsNamesEveryMissingToolWithItsPackage(t *testing.T) {
	onlyTools(t)
	_, err := findTools(true)
	if err == nil {
		t.Fatal("no error with an empty PATH")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 4 {
		t.Fatalf("got %d lines, want one for each of the tools:\n%v", len(lines), err)
	}
	for i, want := range []string{
		"apt install cmake", "dnf install gcc-c++", "brew install ninja", "cargo",
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d = %q, want it to contain %q", i, lines[i], want)
		}
	}
}

func TestFindToolsNeedsNoCargoForACheckout(t *testing.T) {
	dir := onlyTools(t, "cmake", "cc", "c++", "make")
	tools, err := findTools(false)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tools.cxx[0], filepath.Join(dir, "c++"); got != want {
		t.Errorf("compiler = %q, want %q", got, want)
	}
	if got, want := tools.generator(), "Unix Makefiles"; got != want {
		t.Errorf("generator = %q, want %q", got, want)
	}
	if _, err := findTools(true); err == nil || !strings.Contains(err.Error(), "LLAMA_CPP_DIR") {
		t.Errorf("error without cargo = %v, want one that names LLAMA_CPP_DIR", err)
	}
}

func TestFindToolsPrefersNinja(t *testing.T) {
	onlyTools(t, "cmake", "gcc", "g++", "make", "ninja")
	tools, err := findTools(false)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tools.generator(), "Ninja"; got != want {
		t.Errorf("generator = %q, want %q", got, want)
	}
}

func TestFindToolsRefusesOldTools(t *testing.T) {
	for _, tt := range []struct{ name, tool, body, want string }{
		{"cmake", "cmake", "echo 'cmake version 3.16.3'", "CMake 3.20 or newer"},
		{"cmake without version", "cmake", "exit 1", "CMake 3.20 or newer"},
		{"compiler", "c++", "exit 1", "C++17"},
		{"C++ library", "c++", "echo libstdc++.a", "dnf install libstdc++-static"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := onlyTools(t, "cmake", "cc", "c++", "ninja")
			fakeTool(t, dir, tt.tool, tt.body)
			_, err := findTools(false)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one about %q", err, tt.want)
			}
		})
	}
}

func TestCompilerCommandTakesTheEnvironmentFirst(t *testing.T) {
	dir := onlyTools(t, "cc", "ccache")
	t.Setenv("CC", "ccache gcc-12")
	got := compilerCommand("CC", "cc")
	if strings.Join(got, " ") != "ccache gcc-12" {
		t.Errorf("compilerCommand = %q", got)
	}
	t.Setenv("CC", "not-there")
	if got := compilerCommand("CC", "cc"); got != nil {
		t.Errorf("compilerCommand = %q for a compiler that is not there, want nil", got)
	}
	t.Setenv("CC", "")
	if got := compilerCommand("CC", "cc"); len(got) != 1 || got[0] != filepath.Join(dir, "cc") {
		t.Errorf("compilerCommand = %q, want the one on PATH", got)
	}
}

func TestRecentCMake(t *testing.T) {
	for version, want := range map[string]bool{
		"cmake version 3.19.9": false, "cmake version 3.20.0": true, "cmake version 4.0.1": true,
		"no version": false,
	} {
		dir := onlyTools(t)
		fakeTool(t, dir, "cmake", "echo '"+version+"'")
		if got := recentCMake(filepath.Join(dir, "cmake")); got != want {
			t.Errorf("recentCMake of %q = %v, want %v", version, got, want)
		}
	}
}
