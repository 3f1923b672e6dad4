package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Draft collects the blobs of a model that is being written. They have temporary names until
// Commit, so that nobody deletes or uses them.
type Draft struct {
	s      *Store
	staged []staged
}

type staged struct {
	layer Layer
	temp  string // "": the blob is in the store already
}

// Draft begins a model. The caller ends it with Commit, and with Discard in any case.
func (s *Store) Draft() *Draft { return &Draft{s: s} }

// clone is shareContent, which tests replace.
var clone = shareContent

// AddFile adds a file and computes its digest. The file's content is shared, where the disk can do
// that; else it is a hard link, so that writing to the file damages the model; else a copy.
func (d *Draft) AddFile(ctx context.Context, path, mediaType string) (Layer, error) {
	path, err := filepath.EvalSymlinks(path) // a link to a link would stay one
	if err != nil {
		return Layer{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Layer{}, err
	}
	if !info.Mode().IsRegular() {
		return Layer{}, fmt.Errorf("%s is not a regular file", path)
	}
	src, err := os.Open(path)
	if err != nil {
		return Layer{}, err
	}
	defer src.Close()
	temp, err := d.newTemp()
	if err != nil {
		return Layer{}, err
	}
	name := temp.Name()
	shared := clone(temp, src) == nil && finish(temp) == nil
	if temp.Close() == nil && shared || os.Remove(name) == nil && os.Link(path, name) == nil {
		return d.addLink(ctx, name, mediaType)
	}
	return d.Add(ctx, src, mediaType)
}

// addLink computes the digest of a file that has its temporary name already.
func (d *Draft) addLink(ctx context.Context, name, mediaType string) (Layer, error) {
	f, err := os.Open(name)
	if err != nil {
		os.Remove(name)
		return Layer{}, err
	}
	defer f.Close()
	sum, n, err := hashWhole(ctx, f)
	if err != nil {
		os.Remove(name)
		return Layer{}, err
	}
	return d.stage(name, sum, n, mediaType), nil
}

// errChanged is of a file that somebody writes.
var errChanged = errors.New("the file changed while it was read; try again")

// hashWhole computes the digest of a file that may have other names. Its times change also when
// another store, where the file is a blob, marks it as fresh, so a file with new times is read
// again: it changed if it is not the same then.
func hashWhole(ctx context.Context, f *os.File) (sum []byte, size int64, err error) {
	var first []byte
	for {
		before, err := f.Stat()
		if err != nil {
			return nil, 0, err
		}
		hash := sha256.New()
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, 0, err
		}
		n, err := io.Copy(hash, &contextReader{ctx, f})
		if err != nil {
			return nil, 0, err
		}
		after, err := f.Stat()
		if err != nil {
			return nil, 0, err
		}
		sum := hash.Sum(nil)
		if after.Size() != n || first != nil && !bytes.Equal(sum, first) {
			return nil, 0, errChanged
		}
		if first != nil || after.ModTime().Equal(before.ModTime()) {
			return sum, n, nil
		}
		first = sum
	}
}

// Add adds what a reader gives and computes its digest.
func (d *Draft) Add(ctx context.Context, r io.Reader, mediaType string) (Layer, error) {
	temp, err := d.newTemp()
	if err != nil {
		return Layer{}, err
	}
	hash := sha256.New()
	in := &contextReader{ctx, r}
	n, err := io.Copy(io.MultiWriter(temp, hash), in)
	if err == nil {
		err = finish(temp)
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(temp.Name())
		if ctx.Err() != nil {
			return Layer{}, ctx.Err()
		}
		return Layer{}, d.s.writeError(err)
	}
	return d.stage(temp.Name(), hash.Sum(nil), n, mediaType), nil
}

// AddWritten adds a file that write makes at a path, which is there already and empty.
func (d *Draft) AddWritten(
	ctx context.Context, mediaType string, write func(path string) error,
) (Layer, error) {
	temp, err := d.newTemp()
	if err != nil {
		return Layer{}, err
	}
	name := temp.Name()
	err = temp.Chmod(0o644)
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err = d.s.writeError(err); err == nil {
		err = write(name)
	}
	if err != nil {
		os.Remove(name)
		return Layer{}, err
	}
	return d.addLink(ctx, name, mediaType)
}

// Path is where the blob of a layer lies that was added, until Commit.
func (d *Draft) Path(digest string) (string, error) {
	for _, b := range d.staged {
		if b.layer.Digest == digest && b.temp != "" {
			return b.temp, nil
		}
	}
	return d.s.BlobPath(digest)
}

// Drop takes a layer that was added off again.
func (d *Draft) Drop(digest string) {
	d.staged = slices.DeleteFunc(d.staged, func(b staged) bool {
		if b.layer.Digest != digest {
			return false
		}
		if b.temp != "" {
			os.Remove(b.temp)
		}
		return true
	})
}

// AddJSON adds a value as JSON, in Ollama's form.
func (d *Draft) AddJSON(ctx context.Context, v any, mediaType string) (Layer, error) {
	b, err := Encode(v)
	if err != nil {
		return Layer{}, err
	}
	return d.Add(ctx, bytes.NewReader(b), mediaType)
}

// AddLayer adds a layer whose blob is in the store. from names the model that it comes from, if
// any.
func (d *Draft) AddLayer(l Layer, from string) (Layer, error) {
	if err := d.s.checkBlob(l); err != nil {
		return Layer{}, err
	}
	l.From = from
	d.staged = append(d.staged, staged{layer: l})
	return l, nil
}

func (d *Draft) stage(temp string, sum []byte, size int64, mediaType string) Layer {
	l := Layer{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum), Size: size}
	d.staged = append(d.staged, staged{l, temp})
	return l
}

// newTemp creates a temporary file in the blobs folder.
func (d *Draft) newTemp() (*os.File, error) {
	if err := os.MkdirAll(d.s.blobs(), 0o755); err != nil {
		return nil, d.s.writeError(err)
	}
	f, err := createTemp(d.s.blobs())
	return f, d.s.writeError(err)
}

// Discard removes what was added and not committed. After Commit it does nothing.
func (d *Draft) Discard() {
	for _, b := range d.staged {
		if b.temp != "" {
			os.Remove(b.temp)
		}
	}
	d.staged = nil
}

// Commit gives the blobs their names and writes the manifest, which replaces one of the same name.
// The layers are those that the manifest lists, in its order. A model is there whole or not at all.
func (d *Draft) Commit(n Name, config Layer, layers []Layer) (*Entry, error) {
	if reason := n.problem(); reason != "" {
		return nil, &storeError{kind: ErrName, message: "name is invalid: " + reason}
	}
	b, err := Encode(Manifest{SchemaVersion: 2, MediaType: TypeManifest, Config: config,
		Layers: layers})
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, err
	}
	unlock, err := d.s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := d.placeBlobs(); err != nil {
		return nil, d.s.writeError(err)
	}
	for _, l := range m.all() {
		if err := d.s.checkBlob(l); err != nil {
			return nil, err
		}
	}
	removeStale(d.s.blobs())
	n = d.s.place(n)
	if err := d.s.replaceManifest(n, b); err != nil {
		return nil, d.s.writeError(err)
	}
	return d.s.read(n)
}

// placeBlobs gives the staged blobs their names. One that is there already stays, and is marked as
// fresh, so that an Ollama that starts now does not take it for unused.
func (d *Draft) placeBlobs() error {
	for i := range d.staged {
		b := &d.staged[i]
		path, err := d.s.BlobPath(b.layer.Digest)
		if err != nil {
			return err
		}
		if d.s.checkBlob(b.layer) == nil {
			now := time.Now()
			_ = os.Chtimes(path, now, now) // someone else's file may refuse; the commit is quick
		} else if b.temp != "" {
			if err := os.Rename(b.temp, path); err != nil {
				return err
			}
		}
		if b.temp != "" {
			os.Remove(b.temp) // is still there when both were links to one file
			b.temp = ""
		}
	}
	return syncDir(d.s.blobs())
}

// checkBlob looks whether the blob of a layer is there in its full size.
func (s *Store) checkBlob(l Layer) error {
	path, err := s.BlobPath(l.Digest)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &storeError{kind: ErrCorrupt, message: fmt.Sprintf("blob %s is missing", l.Digest)}
	case err != nil:
		return err
	case info.Size() != l.Size || !info.Mode().IsRegular():
		return &storeError{kind: ErrCorrupt, message: fmt.Sprintf(
			"blob %s has %d bytes instead of %d", l.Digest, info.Size(), l.Size)}
	}
	return nil
}

// contextReader ends with the error of a context that is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Place gives the staged blobs their names without a model, for one that is made later.
func (d *Draft) Place() error {
	unlock, err := d.s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return d.s.writeError(d.placeBlobs())
}
