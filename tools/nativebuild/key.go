package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// recipeFiles are the files of native/engine that say how llama.cpp is built.
var recipeFiles = []string{
	"CMakeLists.txt", "engine_fixes.h", "cuda_fixes.h", "embedding_fixes.h", "rpc_fixes.h",
	"rpc_losses.h", "rpc_losses.cpp", "gelu_fixes.h", "amx_tiles.h", "amx_f16.cpp",
	"amx_attention.cpp",
}

// vulkanFiles are those of builds with Vulkan.
var vulkanFiles = []string{"vulkan.cmake", "vulkan_fixes.h"}

// recipeFor lists the files of native/engine for a build with some backends.
func recipeFor(backends []string) []string {
	if slices.Contains(backends, "vulkan") {
		return slices.Concat(recipeFiles, vulkanFiles)
	}
	return recipeFiles
}

// readRecipe returns the content of all files of recipeFor.
func readRecipe(native string, backends []string) ([]byte, error) {
	var recipe []byte
	for _, name := range recipeFor(backends) {
		content, err := os.ReadFile(filepath.Join(native, "engine", name))
		if err != nil {
			return nil, err
		}
		recipe = append(append(recipe, content...), 0)
	}
	return recipe, nil
}

// engineInputs is everything that the engine build depends on. Two machines or moments with equal
// inputs may share one build.
type engineInputs struct {
	Pin       string // package, version and checksum; or checkout and revision
	Portable  bool
	Backends  []string
	CUDA      string   `json:",omitempty"` // architectures
	Compilers []string // command and version of the C and C++ compilers
	Flags     []string // compiler flags from the environment
	CPU       string   // model and features; empty when portable
	Recipe    string   // hash of the files of recipeFor
}

// key names the engine build of these inputs.
func (in engineInputs) key() string {
	in.Backends = slices.Sorted(slices.Values(in.Backends))
	text, err := json.Marshal(in)
	if err != nil {
		panic(err) // strings and booleans always marshal
	}
	return shortHash(text)
}

// facadeKey names the facade built from the sources under native on top of one engine.
func facadeKey(engineKey, native string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, engineKey)
	err := filepath.WalkDir(native, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(native, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			if rel == "engine" { // part of the engine's key
				return filepath.SkipDir
			}
			return nil
		}
		if !isFacadeSource(rel) {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d\n", rel, len(text))
		h.Write(text)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("sources of the native library: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil))[:keyLength], nil
}

func isFacadeSource(rel string) bool {
	name := path.Base(rel)
	return !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "Cargo.") &&
		path.Ext(name) != ".md"
}

const keyLength = 12

func shortHash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:keyLength]
}

// cpuIdentity tells the CPUs apart for which the compiler makes different code.
func cpuIdentity() string {
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		return runtime.GOARCH + " " + cpuFromProc(string(text))
	}
	brand := firstLine(outputOf("sysctl", "-n", "machdep.cpu.brand_string"))
	features := firstLine(outputOf("sysctl", "-n", "machdep.cpu.features"))
	return strings.TrimSpace(runtime.GOARCH + " " + brand + " " + features)
}

// cpuFromProc returns the model and the features of the first CPU in the text of /proc/cpuinfo,
// the features sorted, as their order is no difference.
func cpuFromProc(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(line, ":")
		if !found {
			if strings.TrimSpace(line) == "" && len(parts) > 0 {
				break
			}
			continue
		}
		switch strings.TrimSpace(name) {
		case "model name", "CPU implementer", "CPU part":
			parts = append(parts, strings.TrimSpace(value))
		case "flags", "Features":
			words := strings.Fields(value)
			slices.Sort(words)
			parts = append(parts, strings.Join(words, " "))
		}
	}
	return strings.Join(parts, "; ")
}
