package maxsim

import (
	"errors"
	"io"
	"os"
	"runtime"
)

// extent is a range of the file in memory. Extents begin and end where commits did, so nothing that
// belongs together lies in two.
type extent struct {
	start, end uint64
	data       []byte
	mapping    *mapping
}

// mapping is what an extent keeps mapped. It goes when nobody has it any more, so whoever reads an
// extent must keep its snapshot until the end: the collector does not see pointers into a mapping.
type mapping struct {
	raw     []byte
	cleanup runtime.Cleanup
}

// close ends it at once.
func (m *mapping) close() {
	m.cleanup.Stop()
	unmap(m.raw)
}

// mapRange maps a range of the file that has been committed, or reads it into memory of its own.
func mapRange(f *os.File, start, end uint64, inMemory bool) (extent, error) {
	from := start / uint64(os.Getpagesize()) * uint64(os.Getpagesize())
	open := mapFile
	if inMemory {
		open = readFile
	}
	raw, err := open(f, int64(from), int(end-from))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return extent{}, damaged(f.Name(), "another program has cut it")
	}
	if err != nil {
		return extent{}, &os.PathError{Op: "read", Path: f.Name(), Err: err}
	}
	m := &mapping{raw: raw}
	m.cleanup = runtime.AddCleanup(m, unmap, raw)
	return extent{start: start, end: end, data: raw[start-from:], mapping: m}, nil
}
