package mullama

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/convert"
	"github.com/mullama/mullama/internal/safetensors"
	"github.com/mullama/mullama/internal/store"
)

// isPublished reports whether files are those of a model in safetensors.
func isPublished(files map[string]string) bool {
	for name := range files {
		if strings.HasSuffix(strings.ToLower(name), ".safetensors") {
			return true
		}
	}
	return false
}

// convert makes a GGUF file of a model in safetensors.
func (b *builder) convert(ctx context.Context) error {
	folder := blobFolder{}
	for name, digest := range b.o.Files {
		path, err := b.s.BlobPath(digest)
		if err != nil {
			return invalid(b.op, err.Error())
		}
		folder[name] = path
	}
	if folder["config.json"] == "" || folder["tokenizer.json"] == "" {
		return invalid(b.op, "a model in safetensors needs its config.json and its tokenizer.json")
	}
	b.o.tell(Progress{Status: "converting model"})
	name, _, _ := strings.Cut(path.Base(strings.TrimPrefix(b.op, "create ")), ":")
	l, err := b.draft.AddWritten(ctx, store.TypeModel, func(path string) error {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		err = convert.Model(&contextWriter{ctx, file}, folder, name)
		return errors.Join(err, file.Sync(), file.Close())
	})
	if err != nil {
		return b.explainConvert(ctx, err)
	}
	at, err := b.draft.Path(l.Digest)
	if err != nil {
		return err
	}
	info, _, err := inspect(at)
	if err != nil {
		return err
	}
	b.config = configOf(info)
	b.converted = true
	b.fresh[l.Digest] = true
	b.layers = append(b.layers, l)
	return nil
}

// explainConvert gives an error of a conversion its kind.
func (b *builder) explainConvert(ctx context.Context, err error) error {
	kind, hint := ErrInvalidOption, "fetch the files again"
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, convert.ErrUnsupported):
		kind, hint = ErrUnsupported, "convert it to GGUF with llama.cpp's convert_hf_to_gguf.py"
	case errors.Is(err, safetensors.ErrFormat):
	case errors.Is(err, store.ErrWrite):
		return err
	}
	files := strings.Join(slices.Sorted(maps.Keys(b.o.Files)), ", ")
	if len(files) > 80 {
		files = files[:80] + "…"
	}
	return &Error{Kind: kind, Op: b.op, Hint: hint, Err: fmt.Errorf("convert %s: %w", files, err)}
}

// blobFolder shows blobs under the names of files, as paths by name.
type blobFolder map[string]string

// Open opens a file by its name.
func (b blobFolder) Open(name string) (fs.File, error) {
	path, ok := b[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	file, err := os.Open(path)
	if err != nil { // where the store has it, is not for every client to know
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return file, nil
}

// Glob lists the names that match a pattern.
func (b blobFolder) Glob(pattern string) (names []string, err error) {
	for name := range b {
		matches, err := path.Match(pattern, name)
		if err != nil {
			return nil, err
		}
		if matches {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// contextWriter ends with the error of a context that is done.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c *contextWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}
