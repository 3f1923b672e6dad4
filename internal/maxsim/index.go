package maxsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/mullama/mullama/internal/llama"
)

// The limits of an index.
const (
	maxDim    = 65536
	maxTokens = 1 << 20 // of a document or query
	maxDocs   = 1<<32 - 2
	maxID     = 1 << 16 // bytes
)

// Options are for [Open].
type Options struct {
	// Dim is how many numbers a vector has. 0 opens only what is there.
	Dim int
	// Kind is how vectors are kept in an index that is made. One that is there keeps its own.
	Kind llama.VectorKind
	// Label says in words where the vectors come from. An index that is made keeps it; one that is
	// there and has another one is not opened. Empty: any.
	Label string
	// InMemory reads the file instead of mapping it: then it may be cut while it is searched.
	InMemory bool
	// Threads is how many threads search. 0: as many as Go runs at once.
	Threads int
	// Kernel is the code to compute with, one of [llama.Library.MaxSimKernels]. Empty: the best.
	Kernel string
	// Device is the name of a device that searches, one of [llama.Library.Devices]. Its memory then
	// holds the documents as half floats. Empty: this machine's threads do.
	Device string
}

// Index is a file of documents.
type Index struct {
	lib      *llama.Library
	path     string
	file     *os.File
	readOnly bool
	options  Options
	shape

	use    sync.RWMutex // held for reading by calls under way, for writing by Close
	closed bool         // guarded by use

	writing sync.Mutex // one writer of this Index; those elsewhere are kept out by a file lock
	loading sync.Mutex // one goroutine makes a snapshot
	current atomic.Pointer[snapshot]
	device  *deviceDocs // nil: none
}

// Open opens an index, or makes an empty one if there is none and o.Dim is set.
func Open(lib *llama.Library, path string, o Options) (*Index, error) {
	if o.Dim < 0 || o.Dim > maxDim {
		return nil, invalid("vectors of %d numbers: an index takes 1 to %d", o.Dim, maxDim)
	}
	if len(o.Label) > maxLabel {
		return nil, invalid("a label of %d bytes: at most %d", len(o.Label), maxLabel)
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	x := &Index{lib: lib, path: path, options: o}
	err := x.openFile()
	if errors.Is(err, fs.ErrNotExist) && o.Dim > 0 {
		if err = x.create(shape{o.Kind, o.Dim, o.Label}); err == nil {
			err = x.openFile()
		}
	}
	if err != nil {
		return nil, err
	}
	if err := x.load(); err != nil {
		x.file.Close()
		return nil, err
	}
	err = x.fits(o)
	if err == nil {
		err = x.openDevice()
	}
	if err != nil {
		_ = x.Close() // it was only read
		return nil, err
	}
	return x, nil
}

// openDevice brings the documents to the device that is to search, if there is one.
func (x *Index) openDevice() error {
	if x.options.Device == "" {
		return nil
	}
	x.device = &deviceDocs{index: x}
	s := x.current.Load()
	defer runtime.KeepAlive(s)
	return x.device.upload(context.Background(), s)
}

// fits says why an index is not the one that the options are for.
func (x *Index) fits(o Options) error {
	if o.Dim > 0 && o.Dim != x.dim {
		return invalid("index %s has vectors of %d numbers, not of %d", x.path, x.dim, o.Dim)
	}
	if o.Label != "" && x.label != "" && o.Label != x.label {
		return invalid("index %s has vectors of %s, not of %s", x.path, x.label, o.Label)
	}
	return nil
}

func (x *Index) openFile() (err error) {
	x.file, err = os.OpenFile(x.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) || isReadOnly(err) {
		x.readOnly = true
		x.file, err = os.Open(x.path)
	}
	return err
}

// create puts an empty index in place at once, so that nobody finds half of one.
func (x *Index) create(s shape) error {
	if s.kind < llama.VectorF32 || s.kind > llama.VectorInt8 {
		return invalid("unknown kind of vectors %d", s.kind)
	}
	f, err := os.CreateTemp(filepath.Dir(x.path), ".index-*")
	if err != nil {
		if p := (*fs.PathError)(nil); errors.As(err, &p) {
			p.Path = x.path // which the caller knows
		}
		return err
	}
	defer os.Remove(f.Name())
	header := make([]byte, headerSize)
	copy(header, s.encode())
	first := state{sequence: 1, length: headerSize}
	copy(header[stateAt[1]:], first.encode())
	_, err = f.Write(header)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	err = os.Link(f.Name(), x.path)
	switch {
	case errors.Is(err, fs.ErrExist): // someone else was faster
		return nil
	case err != nil: // a file system without links
		return os.Rename(f.Name(), x.path)
	}
	return nil
}

// load reads the header and all that Open must know.
func (x *Index) load() error {
	header := make([]byte, headerSize)
	n, err := x.file.ReadAt(header, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if x.shape, err = decodeShape(x.path, header[:n]); err != nil {
		return err
	}
	_, err = x.refresh()
	return err
}

// Close gives the file back. It waits for searches under way.
func (x *Index) Close() error {
	x.use.Lock()
	defer x.use.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	if x.device != nil {
		x.device.close()
	}
	if s := x.current.Swap(nil); s != nil {
		for _, e := range s.extents {
			e.mapping.close()
		}
	}
	return x.file.Close()
}

// begin lets a call use the index until end is called.
func (x *Index) begin() (end func(), err error) {
	x.use.RLock()
	if x.closed {
		x.use.RUnlock()
		return nil, &kindError{ErrClosed, fmt.Sprintf("index %s is closed", x.path)}
	}
	return x.use.RUnlock, nil
}

// Info describes an index.
type Info struct {
	Dim       int
	Kind      llama.VectorKind
	Label     string
	Documents int
	Tokens    int
	Bytes     int64
	// Centroids is how many groups [Index.Train] made, and Trained how many documents it saw.
	Centroids, Trained int
	DeviceBytes        int64 // what the documents take on a device
}

// Info returns what the index is now.
func (x *Index) Info() (Info, error) {
	end, err := x.begin()
	if err != nil {
		return Info{}, err
	}
	defer end()
	s, err := x.refresh()
	if err != nil {
		return Info{}, err
	}
	info := Info{Dim: x.dim, Kind: x.kind, Label: x.label, Documents: int(s.docs),
		Tokens: int(s.tokens), Bytes: int64(s.length)}
	if s.grouped != nil {
		info.Centroids, info.Trained = int(s.grouped.n), int(s.grouped.docs)
	}
	if x.device != nil {
		info.DeviceBytes = x.device.bytes()
	}
	return info, nil
}

// Inspect says what is in a file, from its header alone.
func Inspect(path string) (Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return Info{}, err
	}
	defer f.Close() // only read
	header := make([]byte, headerSize)
	n, err := io.ReadFull(f, header)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Info{}, err
	}
	shape, err := decodeShape(path, header[:n])
	if err != nil {
		return Info{}, err
	}
	s, err := newest(path, header)
	if err != nil {
		return Info{}, err
	}
	file, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	if uint64(file.Size()) < s.length {
		return Info{}, cut(path, file.Size(), s.length)
	}
	info := Info{Dim: shape.dim, Kind: shape.kind, Label: shape.label, Documents: int(s.docs),
		Tokens: int(s.tokens), Bytes: int64(s.length)}
	if s.centroids != 0 {
		raw := make([]byte, blockSize)
		if _, err := f.ReadAt(raw, int64(s.centroids)); err != nil {
			return Info{}, damaged(path, "it points outside of itself")
		}
		h, ok := decodeBlock(raw, centroidMagic)
		if !ok {
			return Info{}, damaged(path, "its tables are damaged")
		}
		info.Centroids, info.Trained = int(h.numbers[0]), int(h.numbers[1])
	}
	return info, nil
}

func cut(path string, is int64, should uint64) error {
	return damaged(path, "%d bytes of %d are there", is, should)
}

// Contains reports whether a document is in the index.
func (x *Index) Contains(id string) (bool, error) {
	end, err := x.begin()
	if err != nil {
		return false, err
	}
	defer end()
	s, err := x.refresh()
	if err != nil {
		return false, err
	}
	defer runtime.KeepAlive(s)
	return s.contains(id)
}

// Verify reads the whole index and compares all checksums.
func (x *Index) Verify() error {
	end, err := x.begin()
	if err != nil {
		return err
	}
	defer end()
	s, err := x.refresh()
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(s)
	if s.grouped != nil {
		if _, err := s.grouped.all(); err != nil {
			return err
		}
	}
	for _, p := range s.parts {
		if _, err := p.all(); err != nil {
			return err
		}
		for i := range p.n {
			if _, err := s.document(p, i, true); err != nil {
				return err
			}
			if _, err := p.id(i); err != nil {
				return err
			}
		}
	}
	return x.checkStates()
}
