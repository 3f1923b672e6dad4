package store

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Link makes a file a blob without a copy: its content is shared, where the disk can do that, or
// else the blob is a second name for it. The caller has computed the digest, and says what the file
// was before that: one that has changed meanwhile is refused.
func (s *Store) Link(path, digest string, before fs.FileInfo) error {
	to, err := s.BlobPath(digest)
	if err != nil {
		return err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil { // a link to a link would stay one
		return err
	}
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	d := s.Draft()
	temp, err := d.newTemp()
	if err != nil {
		return err
	}
	name := temp.Name()
	defer os.Remove(name) // fails when it was renamed
	shared := clone(temp, src) == nil && finish(temp) == nil
	if err := temp.Close(); err != nil {
		return s.writeError(err)
	}
	if !shared {
		if err := errors.Join(os.Remove(name), os.Link(path, name)); err != nil {
			return s.writeError(err)
		}
	}
	after, err := s.unchanged(src, name, digest, shared, before)
	if err != nil {
		return err
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if s.checkBlob(Layer{Digest: digest, Size: after.Size()}) == nil {
		return nil
	}
	if err := os.Rename(name, to); err != nil {
		return s.writeError(err)
	}
	return s.writeError(syncDir(s.blobs()))
}

// unchanged looks whether a file is still what it was before, after it was taken as name. One that
// has other times only, as another store with the same file gives it, is read.
func (s *Store) unchanged(
	src *os.File, name, digest string, shared bool, before fs.FileInfo,
) (after fs.FileInfo, err error) {
	if shared {
		after, err = src.Stat()
	} else {
		after, err = os.Stat(name)
	}
	if err != nil {
		return nil, s.writeError(err)
	}
	same := os.SameFile(before, after) && after.Mode().IsRegular() &&
		after.Size() == before.Size()
	if same && !after.ModTime().Equal(before.ModTime()) {
		sum, _, err := hashWhole(context.Background(), src)
		same = err == nil && "sha256:"+hex.EncodeToString(sum) == digest
	}
	if !same {
		return nil, &storeError{kind: ErrCorrupt,
			message: src.Name() + " changed while it was read"}
	}
	return after, nil
}
