package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// llamaPrograms are what is built of llama.cpp. Ollama runs the first two.
var llamaPrograms = []string{"llama-server", "llama-quantize", "llama-bench"}

// llamaDefines are the options of our engine (native/engine/CMakeLists.txt): what is measured
// beside it should compute as it does.
var llamaDefines = []string{
	"CMAKE_BUILD_TYPE=Release", "BUILD_SHARED_LIBS=OFF", "GGML_NATIVE=ON", "GGML_OPENMP=OFF",
	"GGML_CCACHE=OFF", "LLAMA_BUILD_TESTS=OFF", "LLAMA_BUILD_EXAMPLES=OFF", "LLAMA_BUILD_TOOLS=ON",
	"LLAMA_BUILD_SERVER=ON", "LLAMA_BUILD_APP=OFF", "LLAMA_BUILD_UI=OFF",
	"LLAMA_USE_PREBUILT_UI=OFF", "LLAMA_OPENSSL=OFF", "LLAMA_ALL_WARNINGS=OFF",
}

// fixesHeader goes in front of llama.cpp's files as it does in front of our engine's.
const fixesHeader = "native/engine/engine_fixes.h"

// buildPeers builds llama-server and Ollama in the cache, lets each answer, and says where they
// are.
func buildPeers(ctx context.Context, out, log io.Writer) error {
	programs, err := buildLlama(ctx, log)
	if err != nil {
		return err
	}
	ollama, err := buildOllama(ctx, log, programs)
	if err != nil {
		return err
	}
	server := filepath.Join(programs, "llama-server")
	if err := tryLlamaServer(ctx, server); err != nil {
		return fmt.Errorf("llama-server: %w", err)
	}
	if err := tryOllama(ctx, ollama); err != nil {
		return fmt.Errorf("ollama: %w", err)
	}
	fmt.Fprintln(out, "llama-server:", server)
	fmt.Fprintln(out, "ollama:      ", ollama)
	return nil
}

// buildLlama builds llama.cpp's programs, once per version, options and header, and returns their
// folder.
func buildLlama(ctx context.Context, log io.Writer) (string, error) {
	source, err := fetchLlama(ctx, log)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(source)
	header, err := os.ReadFile(fixesHeader)
	if err != nil {
		return "", fmt.Errorf("%w; run this in the repository", err)
	}
	build := filepath.Join(dir, "build")
	programs, stamp := filepath.Join(build, "bin"), filepath.Join(build, "stamp")
	key := sha256.Sum256([]byte(strings.Join(llamaDefines, "\n") + string(header)))
	want := hex.EncodeToString(key[:])
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return programs, nil
	}
	copied := filepath.Join(dir, filepath.Base(fixesHeader))
	if err := os.WriteFile(copied, header, 0o644); err != nil {
		return "", err
	}
	fmt.Fprintln(log, "peers: building llama.cpp's programs; this takes some minutes")
	if err := runCMake(ctx, source, build, copied); err != nil {
		return "", err
	}
	return programs, os.WriteFile(stamp, []byte(want), 0o644)
}

func runCMake(ctx context.Context, source, build, header string) error {
	configure := []string{"-S", source, "-B", build, "-Wno-dev",
		"-DCMAKE_C_FLAGS=-include " + header, "-DCMAKE_CXX_FLAGS=-include " + header}
	for _, define := range llamaDefines {
		configure = append(configure, "-D"+define)
	}
	_, err := os.Stat(filepath.Join(build, "CMakeCache.txt"))
	if _, found := exec.LookPath("ninja"); found == nil && err != nil {
		configure = append(configure, "-G", "Ninja")
	}
	compile := append([]string{"--build", build, "--parallel", strconv.Itoa(runtime.NumCPU()),
		"--target"}, llamaPrograms...)
	return errors.Join(os.MkdirAll(build, 0o755), quietly(ctx, build, "cmake", configure...),
		quietly(ctx, build, "cmake", compile...))
}

// quietly runs a program and keeps what it prints in a file, of which an error shows the end.
func quietly(ctx context.Context, dir, program string, args ...string) error {
	path := filepath.Join(dir, "log.txt")
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(path)
		return fmt.Errorf("%s %s: %w\n%s\nthe whole log is %s", program, args[0], err,
			text[max(0, len(text)-2000):], path)
	}
	return nil
}

// buildOllama builds Ollama, once per version, and puts llama.cpp's programs where it looks for
// them, in ../lib/ollama of its own folder. It returns the program. Also stores need them: Ollama's
// create has llama-quantize look at each file.
func buildOllama(ctx context.Context, log io.Writer, programs string) (string, error) {
	source, err := fetchOllama(ctx, log)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(source)
	helpers := filepath.Join(dir, "lib", "ollama")
	if err := os.MkdirAll(helpers, 0o755); err != nil {
		return "", err
	}
	for _, name := range llamaPrograms[:2] {
		link := filepath.Join(helpers, name)
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if err := os.Symlink(filepath.Join(programs, name), link); err != nil {
			return "", err
		}
	}
	binary := filepath.Join(dir, "bin", "ollama")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	fmt.Fprintf(log, "peers: building %s %s\n", ollamaModule, ollamaVersion)
	return binary, goCommand(ctx, source, log, "build", "-o", binary, ".").Run()
}
