package bench

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// compressed is how the name of a compressed result ends, after ".json".
const compressed = ".gz"

// largest is the size from which on a result is compressed.
const largest = 1 << 20

// encode returns a value as indented JSON with a line's end.
func encode(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode the result: %w", err)
	}
	return append(data, '\n'), nil
}

// writeResult writes a result as JSON; a large one compressed, with ".gz" after its name. The other
// of the two, of a run before, is removed.
func writeResult(path string, data []byte) error {
	other := path + compressed
	if len(data) > largest {
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		path, other, data = other, path, b.Bytes()
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	if err := os.Remove(other); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readMaybeCompressed reads a file that is JSON, or compressed JSON.
func readMaybeCompressed(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, compressed) {
		return data, err
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if data, err = io.ReadAll(r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// ReadResults reads all results of a folder, sorted by file name.
func ReadResults(dir string) ([]*Result, error) {
	paths, err := resultFiles(dir)
	if err != nil {
		return nil, err
	}
	return readFiles(paths)
}

// resultFiles are the paths of the results of a folder, sorted.
func resultFiles(dir string) ([]string, error) {
	var all []string
	for _, pattern := range []string{"*.json", "*.json" + compressed} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		all = append(all, paths...)
	}
	all = slices.DeleteFunc(all, func(path string) bool { return filepath.Base(path) == suiteFile })
	slices.Sort(all)
	return all, nil
}

// syntheticFiles are the names under which models of random weights were measured.
var syntheticFiles = []string{"1b.gguf", "3b.gguf", "7b.gguf", "13b.gguf"}

func readFiles(paths []string) ([]*Result, error) {
	var results []*Result
	for _, path := range paths {
		data, err := readMaybeCompressed(path)
		if err != nil {
			return nil, err
		}
		r := &Result{name: strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), compressed),
			".json")}
		if err := json.Unmarshal(data, r); err != nil {
			return nil, fmt.Errorf("%s is no result of mullama bench: %w", path, err)
		}
		if len(r.Rounds) > 0 {
			r.Rows = rowsOf(r.Config, r.counted()) // older files lack some
		}
		if slices.Contains(syntheticFiles, r.Model.File) {
			r.Model.Synthetic = true // older files do not say
		}
		r.boundRatios()
		r.Command = strings.NewReplacer("=[", "=", "]", "").Replace(r.Command) // of older files
		if r.Schema != SchemaVersion {
			return nil, fmt.Errorf("%s: schema %d, but this report reads %d: measure again", path,
				r.Schema, SchemaVersion)
		}
		results = append(results, r)
	}
	return results, nil
}
