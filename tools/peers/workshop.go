package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mullama/mullama/internal/testmodels"
	"github.com/mullama/mullama/internal/testregistry"
)

// What Ollama's tests pull to quantise, and where they look for a file before they fetch one.
const (
	pulledHost  = "registry.ollama.ai"
	pulledModel = "library/qwen2.5"
	pulledTag   = "0.5b-instruct-fp16"
	fileFolder  = "testdata/models/Llama-3.2-1B-GGUF"
)

// workshop is what tests need that pull models and make them of files: a registry that stands in
// for Ollama's, with a small test model in F16 under the name that they pull, and a test model's
// file where they look for one.
type workshop struct {
	daemonEnv, testEnv []string
	ends               []func()
}

func (w *workshop) open(ctx context.Context, source string) error {
	models, err := testmodels.Dir()
	if err != nil {
		return err
	}
	ours, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	w.testEnv = []string{"OLLAMA_BIN=" + ours}
	file, found := testmodels.Find("qwen05")
	small, alsoFound := testmodels.Find("smollm2")
	if !found || !alsoFound {
		return errors.New("the test models qwen05 and smollm2 are not known")
	}
	folder := filepath.Join(source, "integration", filepath.FromSlash(fileFolder))
	link := filepath.Join(folder, "model.gguf")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(file.Path(models), link); err != nil {
		return err
	}
	r := testregistry.New(w)
	if err := w.fill(ctx, r, small.Path(models)); err != nil {
		return err
	}
	w.daemonEnv = r.StandIn(w, pulledHost)
	return nil
}

// fill puts a model into the registry, in F16.
func (w *workshop) fill(ctx context.Context, r *testregistry.Registry, model string) error {
	dir := w.TempDir()
	wide, store := filepath.Join(dir, "f16.gguf"), filepath.Join(dir, "store")
	for _, args := range [][]string{
		{"quantize", model, wide, "F16", "--allow-requantize"},
		{"import", wide, "made", "--models", store},
	} {
		if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	manifest, err := os.ReadFile(filepath.Join(store, "manifests", pulledHost, "library", "made",
		"latest"))
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(store, "blobs", "sha256-*"))
	if err != nil {
		return err
	}
	var blobs [][]byte
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		blobs = append(blobs, b)
	}
	r.Add(pulledModel, pulledTag, manifest, blobs...)
	return nil
}

func (w *workshop) close() {
	for i := len(w.ends) - 1; i >= 0; i-- {
		w.ends[i]()
	}
}

// Helper makes a workshop a testregistry.Test, with the methods that follow.
func (w *workshop) Helper() {}

// Cleanup keeps what is to be done at the end.
func (w *workshop) Cleanup(end func()) { w.ends = append(w.ends, end) }

// TempDir makes a folder that goes with the workshop.
func (w *workshop) TempDir() string {
	dir, err := os.MkdirTemp("", "mullama-workshop-")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Fatal ends the program.
func (w *workshop) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"peers:"}, args...)...)
	w.close()
	os.Exit(1)
}
