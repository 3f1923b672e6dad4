package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// stage is one CMake project to configure and build.
type stage struct {
	label   string   // in progress lines
	source  string   // folder of CMakeLists.txt
	build   string   // build folder; a half-built one is continued
	log     string   // file for everything that CMake and the compilers print
	defines []string // NAME=VALUE
	target  string   // empty: everything
}

// runStage configures and builds a stage. The error of a failed one ends with the log's interesting
// part and where all of it is.
func (b *builder) runStage(ctx context.Context, s stage) error {
	if err := b.dropForeignBuild(s.build); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.log), 0o755); err != nil {
		return err
	}
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	err = b.configureAndBuild(ctx, s, log)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: interrupted; the next build goes on from here", s.label)
	}
	if err == nil {
		return nil
	}
	text, readErr := os.ReadFile(s.log)
	if readErr != nil {
		return fmt.Errorf("%s: %w", s.label, err)
	}
	return fmt.Errorf("%s: %w\n%s\nnative: the whole log is %s",
		s.label, err, excerpt(string(text)), s.log)
}

func (b *builder) configureAndBuild(ctx context.Context, s stage, log io.Writer) error {
	configure := exec.CommandContext(ctx, b.tools.cmake, b.configureArgs(s)...)
	configure.Stdout, configure.Stderr = log, log
	if err := configure.Run(); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	p := &progress{label: s.label, log: log, out: b.out, live: b.live, since: time.Now(),
		last: time.Now()}
	defer p.finish()
	args := []string{"--build", s.build, "--parallel", strconv.Itoa(b.opts.jobs)}
	if s.target != "" {
		args = append(args, "--target", s.target)
	}
	build := exec.CommandContext(ctx, b.tools.cmake, args...)
	build.Env = append(os.Environ(), "NINJA_STATUS=[%f/%t] ")
	build.Stdout, build.Stderr = p, p
	if err := build.Run(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	return nil
}

func (b *builder) configureArgs(s stage) []string {
	args := []string{"-S", s.source, "-B", s.build, "-G", b.tools.generator(), "-Wno-dev",
		"-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"}
	if os.Getenv("CC") == "" { // else CMake reads CC and CXX itself
		args = append(args, "-DCMAKE_C_COMPILER="+b.tools.cc[0])
	}
	if os.Getenv("CXX") == "" {
		args = append(args, "-DCMAKE_CXX_COMPILER="+b.tools.cxx[0])
	}
	for _, define := range s.defines {
		args = append(args, "-D"+define)
	}
	return args
}

// dropForeignBuild removes a build folder that another generator made, as CMake refuses to go on
// in it.
func (b *builder) dropForeignBuild(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "CMakeCache.txt"))
	if err != nil {
		return nil // nothing there yet
	}
	if strings.Contains(string(text), "\nCMAKE_GENERATOR:INTERNAL="+b.tools.generator()+"\n") {
		return nil
	}
	return os.RemoveAll(dir)
}
