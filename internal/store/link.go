package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Link makes a file a blob, as a second name for it. The caller has computed the digest, and says
// what the file was before that: one that has changed meanwhile is refused.
func (s *Store) Link(path, digest string, before fs.FileInfo) error {
	to, err := s.BlobPath(digest)
	if err != nil {
		return err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil { // a link to a link would stay one
		return err
	}
	d := s.Draft()
	temp, err := d.newTemp()
	if err != nil {
		return err
	}
	name := temp.Name()
	defer os.Remove(name) // fails when it was renamed
	if err := errors.Join(temp.Close(), os.Remove(name), os.Link(path, name)); err != nil {
		return s.writeError(err)
	}
	after, err := os.Stat(name)
	if err != nil {
		return s.writeError(err)
	}
	if !os.SameFile(before, after) || !after.Mode().IsRegular() ||
		after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return &storeError{kind: ErrCorrupt, message: path + " changed while it was read"}
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
