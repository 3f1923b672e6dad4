package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keptBuilds is how many folders of each kind stay in the cache: libraries, facades and engines.
const keptBuilds = 3

// current is the link in the cache folder to the newest library.
const current = "current"

// pointCurrent makes the link current point at the folder name, in one step for every reader.
func pointCurrent(cache, name string) error {
	link := filepath.Join(cache, current)
	if target, err := os.Readlink(link); err == nil && target == name {
		return nil
	}
	fresh := fmt.Sprintf("%s.%d", link, os.Getpid())
	if err := os.Symlink(name, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, link); err != nil {
		os.Remove(fresh)
		return err
	}
	return nil
}

// prune removes the folders with the prefix except the newest ones and the one to keep.
func prune(cache, prefix, keep string) error {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	type folder struct {
		name string
		used time.Time
	}
	var folders []folder
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), prefix) {
			folders = append(folders, folder{entry.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(folders, func(a, b folder) int { return b.used.Compare(a.used) })
	for i, f := range folders {
		if i < keptBuilds || f.name == keep {
			continue
		}
		if err := os.RemoveAll(filepath.Join(cache, f.name)); err != nil {
			return err
		}
	}
	return nil
}

// installFiles copies the results in the folders, all but static libraries, into a new folder that
// appears under its name only when it is whole.
func installFiles(dest string, folders ...string) error {
	fresh := fmt.Sprintf("%s.%d", dest, os.Getpid())
	defer os.RemoveAll(fresh)
	lib := filepath.Join(fresh, "lib")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		return err
	}
	for _, folder := range folders {
		if err := copyResults(lib, folder); err != nil {
			return fmt.Errorf("install from %s: %w", folder, err)
		}
	}
	if err := os.RemoveAll(dest); err != nil {
		return err
	}
	return os.Rename(fresh, dest)
}

func copyResults(dest, folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() || filepath.Ext(entry.Name()) == ".a" {
			continue
		}
		from, to := filepath.Join(folder, entry.Name()), filepath.Join(dest, entry.Name())
		if entry.Type()&fs.ModeSymlink != 0 {
			err = copyLink(to, from)
		} else {
			err = copyFile(to, from)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyLink(to, from string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	return os.Symlink(target, to)
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// cleanCache removes every build, finished or not.
func cleanCache(ctx context.Context, cache string, out io.Writer) error {
	unlock, err := lockCache(ctx, cache, out)
	if err != nil {
		return err
	}
	defer unlock()
	entries, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == lockName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(cache, entry.Name())); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "native: %s is empty\n", cache)
	return nil
}
