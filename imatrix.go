package mullama

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/mullama/mullama/internal/gguf"
)

// checkImatrix refuses a file that is no importance matrix. llama.cpp reads them, too, but takes
// the numbers in one at their word, and all memory with it.
func checkImatrix(op, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return wrap(op, fmt.Errorf("importance matrix %s: %w", path, withoutPath(err, path)))
	}
	defer file.Close()
	var magic [4]byte
	if _, err := io.ReadFull(file, magic[:]); err == nil && string(magic[:]) == "GGUF" {
		return checkGGUFMatrix(op, path)
	}
	info, err := file.Stat()
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return wrap(op, err)
	}
	if !isOldMatrix(bufio.NewReader(file), info.Size()) {
		return invalid(op, path+" is not an importance matrix")
	}
	return nil
}

func checkGGUFMatrix(op, path string) error {
	f, err := gguf.Open(path)
	if err != nil {
		return wrap(op, fmt.Errorf("importance matrix %s: %w", path, withoutPath(err, path)))
	}
	if kind := f.String("general.type"); kind != "imatrix" {
		return invalid(op, path+" is a GGUF file, but not an importance matrix")
	}
	for i := range f.Tensors {
		if f.Tensors[i].Type != gguf.F32 {
			return invalid(op, fmt.Sprintf("importance matrix %s: malformed: its %s is of type %s",
				path, f.Tensors[i].Name, f.Tensors[i].Type))
		}
	}
	for _, key := range []string{
		"imatrix.chunk_count", "imatrix.chunk_size", "imatrix.n_layer_nextn",
	} {
		if v, ok := f.Value(key); ok && v.Type != gguf.TypeUint32 {
			return invalid(op, fmt.Sprintf("importance matrix %s: malformed: its %s is a %s", path,
				key, v.Type))
		}
	}
	if v, ok := f.Value("imatrix.datasets"); ok && v.Elem != gguf.TypeString {
		return invalid(op, fmt.Sprintf("importance matrix %s: malformed: its imatrix.datasets is "+
			"a %s", path, v.Type))
	}
	return nil
}

// isOldMatrix reports whether a file of so many bytes has the form from before GGUF: a count, and
// for each entry a name and numbers, each with its length before it.
func isOldMatrix(r *bufio.Reader, size int64) bool {
	number := func() int64 {
		var b [4]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return -1
		}
		return int64(int32(binary.LittleEndian.Uint32(b[:]))) //nolint:gosec // it has a sign
	}
	skip := func(n int64) bool {
		if n < 0 || n > size {
			return false
		}
		_, err := io.CopyN(io.Discard, r, n)
		return err == nil
	}
	entries := number()
	for range entries {
		if !skip(number()) || number() < 0 || !skip(4*number()) {
			return false
		}
	}
	return entries > 0
}
