package mullama

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mullama/mullama/internal/registry"
	"github.com/mullama/mullama/internal/store"
)

// TransferOptions say how models come and go. The zero value is ready to use.
type TransferOptions struct {
	// Insecure allows registries without encryption, and asks those whose name has no scheme so.
	Insecure bool
	// Parallel is how many requests fetch a blob at once. 0: 8.
	Parallel int
	// BytesPerSecond limits the network; 0: not.
	BytesPerSecond int64
	// Progress is told how far it is, by one goroutine at a time.
	Progress func(Progress)
}

// Progress is how far a pull, a push or a create is. The texts are Ollama's.
type Progress struct {
	Status           string // "pulling manifest"
	Digest           string // of the blob that is on its way, or ""
	Total, Completed int64  // bytes of it
}

func (o *TransferOptions) tell(p Progress) {
	if o.Progress != nil {
		o.Progress(p)
	}
}

// transfer makes a client of registries.
func (r *Runtime) transfer(s *store.Store, o *TransferOptions) (*registry.Client, error) {
	keys := r.keyDir
	if keys == "" {
		var err error
		if keys, err = registry.DefaultKeyDir(); err != nil {
			return nil, err
		}
	}
	return registry.New(s, registry.Options{
		KeyDir: keys, Insecure: o.Insecure, Parallel: o.Parallel,
		BytesPerSecond: o.BytesPerSecond, Log: r.log,
		HubURL: r.hubURL, HubToken: r.hubToken,
		UserAgent: fmt.Sprintf("mullama/%s (%s %s) Go/%s", Version(), runtime.GOARCH,
			runtime.GOOS, runtime.Version()),
		Progress: func(p registry.Progress) { o.tell(Progress(p)) },
	}), nil
}

// needStore returns the model store.
func (r *Runtime) needStore(op string) (*store.Store, error) {
	s, ok := r.catalog.store()
	if !ok {
		return nil, &Error{Kind: ErrStore, Op: op, Hint: "set Options.ModelsDir",
			Err: errors.New("there is no model store")}
	}
	return s, nil
}

// Pull fetches a model into the store. The name is that of a model of a registry, as in
// "llama3.2:1b" or "hf.co/user/repository:Q4_K_M"; "hf:user/repository[:file][@revision]" for GGUF
// files of a repository that is none of models; or "file:path" for a GGUF file of this machine.
// What is there already is not fetched again, and a pull that was cut off, even by the end of the
// program, goes on where it was. Errors: ErrNotFound, ErrUnreachable, ErrStore, ErrInvalidOption,
// ErrCancelled.
func (r *Runtime) Pull(ctx context.Context, name string, o *TransferOptions) (*StoredModel, error) {
	if o == nil {
		o = &TransferOptions{}
	}
	op := "pull " + name
	s, err := r.needStore(op)
	if err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		return r.Import(ctx, nameOfFile(path), path)
	}
	c, err := r.transfer(s, o)
	if err != nil {
		return nil, wrap(op, err)
	}
	defer c.Close()
	if strings.HasPrefix(name, registry.HubPrefix) {
		return r.pullHub(ctx, s, c, name, o)
	}
	n, err := store.ParseName(name)
	if err != nil {
		return nil, wrap("", err)
	}
	entry, err := c.Pull(ctx, n)
	if err != nil {
		return nil, transferError(op, name, err)
	}
	m, err := r.catalog.describe(s, entry)
	return m, wrap(op, err)
}

// nameOfFile is the name of a model that is imported under none.
func nameOfFile(path string) string {
	base := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".gguf")
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' {
			return c
		}
		return '-'
	}, base)
	return strings.Trim(name, "-.")
}

// Push sends a model of the store to the registry that its name says. Errors are those of Pull.
func (r *Runtime) Push(ctx context.Context, name string, o *TransferOptions) error {
	if o == nil {
		o = &TransferOptions{}
	}
	op := "push " + name
	n, err := store.ParseName(name)
	if err != nil {
		return wrap("", err)
	}
	s, err := r.needStore(op)
	if err != nil {
		return err
	}
	c, err := r.transfer(s, o)
	if err != nil {
		return wrap(op, err)
	}
	defer c.Close()
	err = c.Push(ctx, n)
	if errors.Is(err, store.ErrNotFound) {
		return notFound(name, err)
	}
	return transferError(op, name, err)
}

// transferError gives an error of a registry its kind and what to do.
func transferError(op, name string, err error) error {
	hint := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, registry.ErrNotFound) && strings.HasPrefix(op, "pull "):
		return &Error{Kind: ErrNotFound, Op: op, Err: err,
			Hint: fmt.Sprintf("the registry has no %s that this user may read; is it spelled "+
				"right?", name)}
	case errors.Is(err, registry.ErrDenied):
		hint = "does the registry know the key of this user, ~/.ollama/id_ed25519.pub?"
	}
	wrapped := wrap(op, err)
	if e := (*Error)(nil); hint != "" && errors.As(wrapped, &e) {
		e.Hint = hint
	}
	return wrapped
}

// HasBlob reports whether the store has the blob of a digest, "sha256:…".
func (r *Runtime) HasBlob(digest string) (bool, error) {
	s, err := r.needStore("look for a blob")
	if err != nil {
		return false, err
	}
	path, err := s.BlobPath(digest)
	if err != nil {
		return false, invalid("", err.Error())
	}
	_, err = os.Stat(path)
	return err == nil, nil
}

// AddBlob puts what a reader gives into the store, for [Runtime.Create]. It must have the digest.
func (r *Runtime) AddBlob(ctx context.Context, digest string, from io.Reader) error {
	s, err := r.needStore("add a blob")
	if err != nil {
		return err
	}
	if _, err := s.BlobPath(digest); err != nil {
		return invalid("", err.Error())
	}
	d := s.Draft()
	defer d.Discard()
	l, err := d.Add(ctx, from, "")
	if err != nil {
		return wrap("add a blob", err)
	}
	if !strings.EqualFold(l.Digest, strings.Replace(digest, "-", ":", 1)) {
		return invalid("", fmt.Sprintf("digest mismatch: what came has %s, and %s was expected",
			l.Digest, digest))
	}
	return wrap("add a blob", d.Place())
}
