package maxsim

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/mullama/mullama/internal/llama"
)

// The layout of the file; docs/late-interaction.md has it in words. All numbers are little-endian,
// all checksums CRC-32C.
const (
	magic      = "MULLAMAX"
	version    = 1
	headerSize = 4096 // the first page: what never changes, and two states
	fixedSize  = 512
	stateSize  = 64
	labelAt    = 24
	maxLabel   = 256
	alignment  = 64 // of the vectors of a document, and of everything else

	partMagic     = "MXPART\x00\x00"
	centroidMagic = "MXCENTR\x00"
	blockSize     = 64 // of the headers of parts and centroids
	entrySize     = 24 // of a document in a part
)

// stateAt are the offsets of the two states. A writer overwrites the older one, so that the newer
// is whole whenever it is interrupted.
var stateAt = [2]int64{512, 1024}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crcTable) }

// le reads and appends numbers.
var le = binary.LittleEndian

// shape is what never changes in an index.
type shape struct {
	kind  llama.VectorKind
	dim   int
	label string
}

func (s shape) encode() []byte {
	b := make([]byte, fixedSize)
	copy(b, magic)
	le.PutUint32(b[8:], version)
	le.PutUint32(b[12:], uint32(s.dim))
	le.PutUint32(b[16:], uint32(s.kind))
	le.PutUint32(b[20:], uint32(len(s.label)))
	copy(b[labelAt:], s.label)
	le.PutUint32(b[fixedSize-4:], checksum(b[:fixedSize-4]))
	return b
}

func decodeShape(path string, b []byte) (shape, error) {
	switch {
	case len(b) < headerSize || !bytes.HasPrefix(b, []byte(magic)):
		return shape{}, damaged(path, "it is not an index of token vectors")
	case le.Uint32(b[fixedSize-4:]) != checksum(b[:fixedSize-4]):
		return shape{}, damaged(path, "its header is damaged")
	case le.Uint32(b[8:]) != version:
		return shape{}, damaged(path, "it is of version %d, this program reads %d",
			le.Uint32(b[8:]), version)
	}
	n := le.Uint32(b[20:])
	if n > maxLabel {
		return shape{}, damaged(path, "its header is damaged")
	}
	s := shape{kind: llama.VectorKind(le.Uint32(b[16:])), dim: int(le.Uint32(b[12:])),
		label: string(b[labelAt : labelAt+n])}
	if s.dim < 1 || s.dim > maxDim || s.kind < llama.VectorF32 || s.kind > llama.VectorInt8 {
		return shape{}, damaged(path, "its header is damaged")
	}
	return s, nil
}

// state is what a writer commits: everything before length is written and never changes again.
type state struct {
	sequence  uint64 // one more with each commit
	length    uint64 // bytes of the file that count
	docs      uint64
	tokens    uint64
	part      uint64 // offset of the newest part, 0 if there are no documents
	centroids uint64 // offset of the centroids, 0 if there are none
}

func (s state) encode() []byte {
	b := make([]byte, 0, stateSize)
	for _, n := range []uint64{s.sequence, s.length, s.docs, s.tokens, s.part, s.centroids, 0} {
		b = le.AppendUint64(b, n)
	}
	b = le.AppendUint32(b, checksum(b))
	return le.AppendUint32(b, 0)
}

func decodeState(b []byte) (s state, ok bool) {
	if le.Uint32(b[stateSize-8:]) != checksum(b[:stateSize-8]) {
		return state{}, false
	}
	for i, to := range []*uint64{
		&s.sequence, &s.length, &s.docs, &s.tokens, &s.part, &s.centroids,
	} {
		*to = le.Uint64(b[8*i:])
	}
	// Each document takes that much, so no table that is made for them is larger than the file.
	return s, s.length >= headerSize && s.docs <= min(maxDocs, s.length/alignment)
}

// newest returns the newer of the states in a header.
func newest(path string, header []byte) (state, error) {
	var best state
	found := false
	for _, at := range stateAt {
		s, ok := decodeState(header[at : at+stateSize])
		if ok && (!found || s.sequence > best.sequence) {
			best, found = s, true
		}
	}
	if !found {
		return state{}, damaged(path, "both of its states are damaged")
	}
	return best, nil
}

// spoilt tells whether a header has a state that neither counts nor is empty.
func spoilt(header []byte) bool {
	empty := make([]byte, stateSize)
	return slices.ContainsFunc(stateAt[:], func(at int64) bool {
		b := header[at : at+stateSize]
		_, ok := decodeState(b)
		return !ok && !bytes.Equal(b, empty)
	})
}

// block heads a part or the centroids: what it is, five numbers, and the checksum of the checksums
// that follow it.
type block struct {
	magic   string
	numbers [5]uint64
	sums    uint32
}

func (h block) encode() []byte {
	b := append(make([]byte, 0, blockSize), h.magic...)
	for _, n := range h.numbers {
		b = le.AppendUint64(b, n)
	}
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, h.sums)
	return le.AppendUint32(b, checksum(b))
}

func decodeBlock(b []byte, magic string) (h block, ok bool) {
	if string(b[:8]) != magic || le.Uint32(b[blockSize-4:]) != checksum(b[:blockSize-4]) {
		return block{}, false
	}
	for i := range h.numbers {
		h.numbers[i] = le.Uint64(b[8+8*i:])
	}
	h.sums = le.Uint32(b[blockSize-8:])
	return h, true
}

func alignUp(n uint64) uint64 { return (n + alignment - 1) / alignment * alignment }
