package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// toolchain is what the build runs, found by findTools.
type toolchain struct {
	cmake string
	cargo string   // empty when a checkout of llama.cpp is used
	ninja string   // empty when only make is there
	cc    []string // command line of the C compiler
	cxx   []string // and of the C++ compiler
}

// install says how to get a tool on the systems that people build on.
type install struct{ debian, fedora, macos string }

func (i install) String() string {
	return fmt.Sprintf("Debian/Ubuntu: apt install %s; Fedora: dnf install %s; macOS: %s",
		i.debian, i.fedora, i.macos)
}

var (
	installCMake    = install{"cmake", "cmake", "brew install cmake"}
	installCompiler = install{"g++", "gcc-c++", "xcode-select --install"}
	installCXX      = install{"libstdc++-12-dev or newer", "libstdc++-static", "not needed"}
	installCargo    = install{"cargo (or rustup)", "cargo", "brew install rust"}
	installNinja    = install{"ninja-build", "ninja-build", "brew install ninja"}
)

// findTools finds everything that the build runs, or says in one line per tool what is missing.
func findTools(needCargo bool) (toolchain, error) {
	var t toolchain
	var missing []error
	need := func(problem string, i install) {
		missing = append(missing, fmt.Errorf("%s. %s", problem, i))
	}
	if t.cmake = lookFirst("cmake"); !recentCMake(t.cmake) {
		need("CMake 3.20 or newer is missing", installCMake)
	}
	t.cc = compilerCommand("CC", "cc", "gcc", "clang")
	t.cxx = compilerCommand("CXX", "c++", "g++", "clang++")
	if t.cc == nil || t.cxx == nil || !compilesCXX17(t.cxx) {
		need("a C and C++17 compiler is missing (GCC 9 or Clang 10 or newer)", installCompiler)
	}
	if t.cxx != nil && !hasStaticCXX(t.cxx) {
		need("libstdc++.a, which goes into the library, is missing", installCXX)
	}
	t.ninja = lookFirst("ninja", "ninja-build")
	if t.ninja == "" && lookFirst("make", "gmake") == "" {
		need("a build program is missing, Ninja or make", installNinja)
	}
	if needCargo {
		if t.cargo = lookFirst("cargo"); t.cargo == "" {
			need("cargo, which fetches the sources of llama.cpp, is missing "+
				"(not needed with LLAMA_CPP_DIR)", installCargo)
		}
	}
	return t, errors.Join(missing...)
}

// lookFirst returns the path of the first of the names that is on PATH, or "".
func lookFirst(names ...string) string {
	for _, name := range names {
		if file, err := exec.LookPath(name); err == nil {
			return file
		}
	}
	return ""
}

// compilerCommand returns the command in the environment variable, as CMake reads it too, or the
// first name on PATH.
func compilerCommand(variable string, names ...string) []string {
	if words := strings.Fields(os.Getenv(variable)); len(words) > 0 {
		if _, err := exec.LookPath(words[0]); err != nil {
			return nil
		}
		return words
	}
	if file := lookFirst(names...); file != "" {
		return []string{file}
	}
	return nil
}

func compilesCXX17(cxx []string) bool {
	args := append(cxx[1:len(cxx):len(cxx)], "-std=c++17", "-fsyntax-only", "-x", "c++", "-")
	cmd := exec.Command(cxx[0], args...)
	cmd.Stdin = strings.NewReader("#include <filesystem>\n#include <optional>\n")
	return cmd.Run() == nil
}

// hasStaticCXX reports whether -static-libstdc++ of native/CMakeLists.txt will find what it wants.
// A compiler answers with the bare name if it has no such file.
func hasStaticCXX(cxx []string) bool {
	const name = "libstdc++.a"
	args := append(cxx[1:len(cxx):len(cxx)], "-print-file-name="+name)
	return runtime.GOOS != "linux" || firstLine(outputOf(cxx[0], args...)) != name
}

var versionNumber = regexp.MustCompile(`(\d+)\.(\d+)`)

func recentCMake(cmake string) bool {
	if cmake == "" {
		return false
	}
	m := versionNumber.FindStringSubmatch(firstLine(outputOf(cmake, "--version")))
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major > 3 || major == 3 && minor >= 20
}

// compilerVersions identifies both compilers for the engine's key.
func (t toolchain) compilerVersions() []string {
	var versions []string
	for _, command := range [][]string{t.cc, t.cxx} {
		args := append(command[1:len(command):len(command)], "--version")
		version := firstLine(outputOf(command[0], args...))
		versions = append(versions, strings.Join(command, " ")+": "+version)
	}
	return versions
}

// generator is the CMake generator to configure with.
func (t toolchain) generator() string {
	if t.ninja != "" {
		return "Ninja"
	}
	return "Unix Makefiles"
}

// environment is the compiler flags that CMake takes from the environment.
func environment() []string {
	var flags []string
	for _, name := range []string{"CFLAGS", "CXXFLAGS", "LDFLAGS", "CUDAARCHS", "CUDACXX"} {
		if value := os.Getenv(name); value != "" {
			flags = append(flags, name+"="+value)
		}
	}
	return flags
}

// outputOf returns what a command prints, or "" when it cannot be run.
func outputOf(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}

func isFile(path ...string) bool {
	info, err := os.Stat(filepath.Join(path...))
	return err == nil && info.Mode().IsRegular()
}
