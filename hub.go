package mullama

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/registry"
	"github.com/mullama/mullama/internal/store"
)

// pullHub fetches GGUF files of a hub and makes a model of them.
func (r *Runtime) pullHub(
	ctx context.Context, s *store.Store, c *registry.Client, name string, o *TransferOptions,
) (*StoredModel, error) {
	op := "pull " + name
	h, err := registry.ParseHubName(name)
	if err != nil {
		return nil, wrap("", err)
	}
	parts, err := c.FetchHub(ctx, h)
	if err != nil {
		return nil, transferError(op, name, err)
	}
	n, err := h.Name(parts[0].Name)
	if err != nil {
		return nil, wrap(op, err)
	}
	b := &builder{r: r, s: s, op: op, draft: s.Draft(), fresh: map[string]bool{},
		o: &CreateOptions{}}
	defer b.draft.Discard()
	if len(parts) > 1 {
		o.tell(Progress{Status: fmt.Sprintf("merging %d parts", len(parts))})
		err = b.merge(ctx, parts)
	} else {
		err = b.file(parts[0].Name, parts[0].Layer.Digest, false)
	}
	if err != nil {
		return nil, wrap(op, err)
	}
	o.tell(Progress{Status: "writing manifest"})
	entry, err := b.commit(ctx, n)
	if err != nil {
		return nil, wrap(op, err)
	}
	if len(parts) > 1 {
		var layers []store.Layer
		for _, part := range parts {
			layers = append(layers, part.Layer)
		}
		if err := s.RemoveUnused(layers); err != nil {
			r.log.Warn("the parts of a merged model are left", "error", err)
		}
	}
	m, err := r.catalog.describe(s, entry)
	if err != nil {
		return nil, wrap(op, err)
	}
	o.tell(Progress{Status: "stored as " + m.Name})
	o.tell(Progress{Status: "success"})
	return m, nil
}

// merge makes one file of the parts of a model: the store has one blob for a model.
func (b *builder) merge(ctx context.Context, parts []registry.HubPart) error {
	var w gguf.Writer
	for i, part := range parts {
		path, err := b.s.BlobPath(part.Layer.Digest)
		if err != nil {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		f, err := gguf.Read(file, part.Layer.Size)
		if err != nil {
			return fmt.Errorf("%s: %w", part.Name, err)
		}
		if i == 0 {
			if err := copyKeys(&w, f); err != nil {
				return err
			}
		}
		for _, t := range f.Tensors {
			data := io.NewSectionReader(file, f.DataOffset+t.Offset, t.Size)
			w.Add(t.Name, t.Type, t.Dims, func(out io.Writer) error {
				_, err := io.Copy(out, data)
				return err
			})
		}
	}
	read, write := io.Pipe()
	go func() { // ends when the draft has read all, or closed its side
		_, err := w.WriteTo(write)
		_ = write.CloseWithError(err)
	}()
	l, err := b.draft.Add(ctx, read, store.TypeModel)
	_ = read.Close()
	if err != nil {
		return err
	}
	return b.merged(parts, l)
}

// copyKeys copies the keys of the first part that say something of the whole.
func copyKeys(w *gguf.Writer, f *gguf.File) error {
	for _, key := range f.Keys {
		if strings.HasPrefix(key.Name, "split.") || key.Name == gguf.AlignmentKey {
			continue
		}
		value := key.Value.Any()
		if value == nil {
			var err error
			if value, err = f.Array(key.Name); err != nil {
				return err
			}
		}
		w.Set(key.Name, value)
	}
	if f.Alignment != gguf.DefaultAlignment {
		w.Alignment = uint32(f.Alignment) //nolint:gosec // the reader has checked it
	}
	return nil
}

// merged describes the model as its first part does, but for the number of parameters.
func (b *builder) merged(parts []registry.HubPart, l store.Layer) error {
	var parameters int64
	for i, part := range parts {
		path, err := b.s.BlobPath(part.Layer.Digest)
		if err != nil {
			return err
		}
		info, _, err := inspect(path)
		if err != nil {
			return err
		}
		if i == 0 {
			b.config = configOf(info)
		}
		parameters += info.Parameters
	}
	b.config.ModelType = parameterSize(parameters)
	b.layers = append(b.layers, l)
	return nil
}
