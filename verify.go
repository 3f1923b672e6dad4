package mullama

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/mullama/mullama/internal/store"
)

// BadBlob is a file of the model store that is not what it should be.
type BadBlob struct {
	Digest string   // empty for a manifest that cannot be read, which Err names
	Models []string // that have it
	Err    error    // what is wrong with it
	Mended bool     // it was fetched anew
}

// VerifyOptions say what Verify does.
type VerifyOptions struct {
	TransferOptions
	Repair bool // fetch what is bad anew, from the registry of a model that has it
}

// Verify computes the digests of all files that the models of the store consist of, and returns
// those that are missing or damaged. It reads every byte.
func (r *Runtime) Verify(ctx context.Context, o *VerifyOptions) ([]BadBlob, error) {
	const op = "verify the models"
	if o == nil {
		o = &VerifyOptions{}
	}
	s, err := r.needStore(op)
	if err != nil {
		return nil, err
	}
	if err := isThere(op, s); err != nil {
		return nil, err
	}
	entries, problems := s.List()
	var bad []BadBlob
	for _, err := range problems {
		bad = append(bad, BadBlob{Err: err})
	}
	owners, layers := map[string][]store.Name{}, []store.Layer{}
	for _, e := range entries {
		for _, l := range e.Manifest.Blobs() {
			if owners[l.Digest] == nil {
				layers = append(layers, l)
			}
			owners[l.Digest] = append(owners[l.Digest], e.Name)
		}
	}
	for _, l := range layers {
		o.tell(Progress{Status: "verifying " + l.Digest, Digest: l.Digest})
		err := s.Verify(ctx, l)
		if ctx.Err() != nil {
			return bad, wrap(op, context.Cause(ctx))
		}
		if err == nil {
			continue
		}
		b := BadBlob{Digest: l.Digest, Err: err}
		for _, n := range owners[l.Digest] {
			b.Models = append(b.Models, n.Short())
		}
		if o.Repair && errors.Is(err, store.ErrCorrupt) {
			b.Err = r.mend(ctx, s, l, owners[l.Digest], o)
			b.Mended = b.Err == nil
		}
		bad = append(bad, b)
	}
	return bad, nil
}

// isThere is an error where the store's folder is missing, which is most likely misspelt.
func isThere(op string, s *store.Store) error {
	info, err := os.Stat(s.Dir())
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", s.Dir())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{Kind: ErrNotFound, Op: op, Err: fmt.Errorf("there is no model store %s",
			s.Dir()), Hint: "name its folder, or pull a model, which makes it"}
	}
	return wrap(op, err)
}

// mend fetches a blob anew from the first registry that has it.
func (r *Runtime) mend(
	ctx context.Context, s *store.Store, l store.Layer, models []store.Name, o *VerifyOptions,
) error {
	c, err := r.transfer(s, &o.TransferOptions)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, n := range models {
		if err = c.Refetch(ctx, n, l); err == nil {
			return nil
		}
	}
	return transferError(fmt.Sprintf("fetch blob %s", l.Digest), models[0].Short(), err)
}

// Prune removes files of the store that no model has and nobody has touched for an age, among them
// what is left of pulls that were given up. It returns how many bytes that were. It may be called
// while models are pulled and loaded.
func (r *Runtime) Prune(age time.Duration) (int64, error) {
	s, err := r.needStore("prune the models")
	if err != nil {
		return 0, err
	}
	if err := isThere("prune the models", s); err != nil {
		return 0, err
	}
	freed, err := s.Prune(age)
	return freed, wrap("prune the models", err)
}
