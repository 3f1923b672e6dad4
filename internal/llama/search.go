package llama

// #include "shim.h"
import "C"

import (
	"os"
	"path/filepath"
	"slices"
)

// SearchDirs returns the folders where Open looks, in order: the one that MULLAMA_LIBRARY names;
// that of libmullama, if this code is part of it, and mullama in it; that of the executable, and
// ../lib and ../lib/mullama of it; and the caches where `make native` puts the library. If
// MULLAMA_LIBRARY names what is not there, nothing else is searched: it is a mistake.
func SearchDirs() []string {
	var dirs []string
	if name := os.Getenv("MULLAMA_LIBRARY"); name != "" {
		info, err := os.Stat(name)
		if err != nil {
			return []string{name}
		}
		if !info.IsDir() { // libmullama itself
			name = filepath.Dir(name)
		}
		dirs = append(dirs, name)
	}
	if file := C.shim_file(); file != nil {
		dir := realDir(C.GoString(file))
		dirs = append(dirs, dir, filepath.Join(dir, "mullama"))
	}
	if exe, err := os.Executable(); err == nil {
		dir := realDir(exe)
		dirs = append(dirs, dir, filepath.Join(dir, "../lib"), filepath.Join(dir, "../lib/mullama"))
	}
	for _, cache := range cacheDirs() {
		dirs = append(dirs, filepath.Join(cache, "native", "current", "lib"))
	}
	return unique(dirs)
}

// realDir is the folder of a file, or of what the file is a link to.
func realDir(file string) string {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	return filepath.Dir(file)
}

// cacheDirs are where `make native` may have built: $MULLAMA_CACHE, and mullama in the user's cache
// folder, because the variable may have been set after the build, or for something else.
func cacheDirs() []string {
	var dirs []string
	if dir := os.Getenv("MULLAMA_CACHE"); dir != "" {
		dirs = append(dirs, dir)
	}
	if dir, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(dir, "mullama"))
	}
	return dirs
}

func unique(list []string) []string {
	var kept []string
	for _, s := range list {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}
