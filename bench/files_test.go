package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestLargeResultsAreCompressedAndReadBack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.json")
	r := testResult()
	small, err := encode(r)
	if err != nil {
		t.Fatal(err)
	}
	r.Rows[0].Samples = make([]float64, largest/4) // some bytes each
	large, err := encode(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		data        []byte
		file, other string
	}{{small, path, path + compressed}, {large, path + compressed, path},
		{small, path, path + compressed}} {
		if err := writeResult(path, c.data); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(c.other); err == nil {
			t.Errorf("%s is still there", c.other)
		}
		if got, err := readMaybeCompressed(c.file); err != nil || !bytes.Equal(got, c.data) {
			t.Errorf("%d bytes came back, not %d (%v)", len(got), len(c.data), err)
		}
		results, err := ReadResults(dir)
		if err != nil || len(results) != 1 || results[0].name != "r" {
			t.Errorf("results are %v (%v)", results, err)
		}
	}
	if err := os.WriteFile(path+compressed, []byte("no gzip"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadResults(dir); err == nil {
		t.Error("what is not compressed was read")
	}
}
