package synth

import (
	"encoding/binary"
	"fmt"
	"os"
)

// Truncate cuts the last n bytes off the file, as an interrupted download does.
func Truncate(path string, n int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if n < 0 || n > info.Size() {
		return fmt.Errorf("cut %d bytes off %s: it has %d", n, path, info.Size())
	}
	return os.Truncate(path, info.Size()-n)
}

// SetVersion changes the GGUF version that the file states and nothing else.
func SetVersion(path string, version uint32) error {
	return patch(path, 4, binary.LittleEndian.AppendUint32(nil, version))
}

// SwapByteOrder makes the file state its version in big-endian order, by which such files are told
// from others.
func SwapByteOrder(path string) error {
	return patch(path, 4, binary.BigEndian.AppendUint32(nil, 3))
}

// patch replaces bytes of the file from the given offset on.
func patch(path string, at int64, b []byte) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err = file.WriteAt(b, at); err != nil {
		_ = file.Close() // the first error says more
		return err
	}
	return file.Close()
}
