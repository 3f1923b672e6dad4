package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// pinnedPackage is the Rust package that carries the sources of llama.cpp.
const pinnedPackage = "llama-cpp-sys-2"

// source is where the sources of llama.cpp come from.
type source struct {
	pin      string // identity, part of the engine's key
	label    string // for people, and in the library's version
	checkout string // empty: the pinned package, fetched by cargo
	editable bool   // the files may change without the pin changing
}

// findSource identifies the sources without fetching them.
func findSource(checkout, native string) (source, error) {
	if checkout != "" {
		return checkoutSource(checkout)
	}
	text, err := os.ReadFile(filepath.Join(native, "Cargo.lock"))
	if err != nil {
		return source{}, fmt.Errorf("the pin of llama.cpp: %w; run this in the repository", err)
	}
	version, checksum, err := lockedPackage(string(text), pinnedPackage)
	if err != nil {
		return source{}, fmt.Errorf("native/Cargo.lock: %w", err)
	}
	label := pinnedPackage + " " + version
	return source{pin: label + " " + checksum, label: label}, nil
}

func checkoutSource(dir string) (source, error) {
	if !isFile(dir, "include", "llama.h") {
		return source{}, fmt.Errorf("LLAMA_CPP_DIR (%s) does not hold llama.cpp: "+
			"include/llama.h is missing", dir)
	}
	revision := firstLine(outputOf("git", "-C", dir, "describe", "--always", "--dirty"))
	return source{
		pin:      dir + " " + revision,
		label:    strings.TrimSpace("llama.cpp checkout " + revision),
		checkout: dir,
		editable: revision == "" || strings.HasSuffix(revision, "-dirty"),
	}, nil
}

// lockedPackage returns the version and checksum that the text of a Cargo.lock has for a package.
func lockedPackage(lock, name string) (version, checksum string, err error) {
	for block := range strings.SplitSeq(lock, "[[package]]") {
		fields := make(map[string]string)
		for line := range strings.Lines(block) {
			if key, value, found := strings.Cut(strings.TrimSpace(line), " = "); found {
				fields[key] = strings.Trim(value, `"`)
			}
		}
		if fields["name"] != name {
			continue
		}
		if fields["version"] == "" || fields["checksum"] == "" {
			return "", "", fmt.Errorf("package %s has no version or no checksum", name)
		}
		return fields["version"], fields["checksum"], nil
	}
	return "", "", fmt.Errorf("package %s is not in it", name)
}

// dir returns the folder of llama.cpp. For the pinned package cargo fetches it, once per machine,
// and refuses it when its checksum is not the one in Cargo.lock.
func (s source) dir(ctx context.Context, cargo, native string) (string, error) {
	if s.checkout != "" {
		return s.checkout, nil
	}
	manifest := filepath.Join(native, "Cargo.toml")
	_, err := runCargo(ctx, cargo, "fetch", "--locked", "--manifest-path", manifest)
	if err != nil {
		return "", err
	}
	text, err := runCargo(ctx, cargo, "metadata", "--locked", "--offline", "--format-version", "1",
		"--manifest-path", manifest)
	if err != nil {
		return "", err
	}
	return sourceFolder(text)
}

// sourceFolder finds llama.cpp in what cargo metadata prints.
func sourceFolder(metadata []byte) (string, error) {
	var found struct {
		Packages []struct {
			Name         string `json:"name"`
			ManifestPath string `json:"manifest_path"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(metadata, &found); err != nil {
		return "", fmt.Errorf("read what cargo metadata printed: %w", err)
	}
	for _, p := range found.Packages {
		if p.Name != pinnedPackage {
			continue
		}
		dir := filepath.Join(filepath.Dir(p.ManifestPath), "llama.cpp")
		if !isFile(dir, "include", "llama.h") {
			return "", fmt.Errorf("%s does not hold llama.cpp: include/llama.h is missing", dir)
		}
		return dir, nil
	}
	return "", fmt.Errorf("cargo metadata does not list %s", pinnedPackage)
}

func runCargo(ctx context.Context, cargo string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, cargo, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(
			fmt.Errorf("cargo %s: %w; it needs the network once, and a cargo of 1.85 or newer",
				args[0], err),
			errors.New(strings.TrimSpace(stderr.String())))
	}
	return out, nil
}
