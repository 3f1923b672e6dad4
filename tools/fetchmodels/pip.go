package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// pip is the package index behind this machine's pip, with the index and proxies it is configured
// for.
type pip struct {
	command []string // how to call it, found at the first download
}

// callings are the ways to call pip, in the order in which they are tried.
var callings = [][]string{
	{"python3", "-m", "pip"}, {"python", "-m", "pip"}, {"pip3"}, {"pip"}, {"py", "-m", "pip"},
}

func (p *pip) find(ctx context.Context) error {
	if p.command != nil {
		return nil
	}
	for _, c := range callings {
		args := append(c[1:len(c):len(c)], "--version")
		if exec.CommandContext(ctx, c[0], args...).Run() == nil {
			p.command = c
			return nil
		}
	}
	return errors.New("pip is missing; install Python's pip (package python3-pip on Debian)")
}

func (p *pip) download(ctx context.Context, pkg, backend, folder string) (string, error) {
	if err := p.find(ctx); err != nil {
		return "", err
	}
	args := []string{"download", "--quiet", "--no-deps", "--no-cache-dir", "--no-input",
		"--disable-pip-version-check", "--progress-bar", "off"}
	env := append(os.Environ(), "TMPDIR="+folder, "TEMP="+folder) // the second is for Windows
	got := filepath.Join(folder, "got")
	if backend == "" {
		args = append(args, "--only-binary=:all:")
	} else {
		stub, err := writeBackend(folder, pkg, backend)
		if err != nil {
			return "", err
		}
		args = append(args, "--no-binary=:all:", "--no-build-isolation")
		env = append(env, "PYTHONPATH="+stub)
	}
	args = append(args, "--dest", got, pkg)
	if err := p.call(ctx, args, env, pkg); err != nil {
		return "", err
	}
	return onlyFile(got)
}

// call runs pip. Its output is shown only in the error, because a fetch that works needs none.
func (p *pip) call(ctx context.Context, args, env []string, pkg string) error {
	cmd := exec.CommandContext(ctx, p.command[0], append(p.command[1:len(p.command):len(p.command)],
		args...)...)
	cmd.Env = env
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &output
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("fetch %s: %w", pkg, context.Cause(ctx))
	}
	text := strings.TrimSpace(output.String())
	if isGone(text) {
		return &goneError{pkg}
	}
	return fmt.Errorf("pip download %s: %w\n%s", pkg, err, text)
}

// isGone tells a package the index does not have from an index that does not answer: pip ends with
// the same sentence, but in the second case it first reports each retry.
func isGone(output string) bool {
	return strings.Contains(output, "No matching distribution found for") &&
		!strings.Contains(output, "Retrying (") &&
		!strings.Contains(output, "Could not fetch URL")
}

func onlyFile(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("pip fetched %d files, want 1", len(entries))
	}
	return filepath.Join(folder, entries[0].Name()), nil
}

// backendSource answers the one question that pip asks of a source archive before it hands it
// over: its name and version. The real build module would look for compilers first, which takes
// minutes and is of no use here.
const backendSource = `import os

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    name = "%[1]s-%[2]s.dist-info"
    os.makedirs(os.path.join(folder, name))
    with open(os.path.join(folder, name, "METADATA"), "w") as f:
        f.write("Metadata-Version: 2.1\nName: %[1]s\nVersion: %[2]s\n")
    return name
`

// writeBackend writes a stand-in for the build module into a new folder in folder and returns it.
func writeBackend(folder, pkg, backend string) (string, error) {
	name, version, ok := strings.Cut(pkg, "==")
	if !ok {
		return "", fmt.Errorf("package %q has no version", pkg)
	}
	stub := filepath.Join(folder, "backend")
	parts := strings.Split(backend, ".")
	module := filepath.Join(append([]string{stub}, parts...)...)
	if err := os.MkdirAll(filepath.Dir(module), 0o755); err != nil {
		return "", err
	}
	text := fmt.Sprintf(backendSource, strings.ReplaceAll(name, "-", "_"), version)
	return stub, os.WriteFile(module+".py", []byte(text), 0o644)
}
