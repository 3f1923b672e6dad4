package maxsim

import (
	"fmt"
	"io"
	"math/bits"
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// maxExtents is how many ranges are mapped before they are mapped as one.
const maxExtents = 64

// snapshot is the index after one commit. It never changes, but for what is known to be whole.
type snapshot struct {
	state
	index   *Index
	extents []extent
	parts   []*part // oldest first
	grouped *centroids
	checked []atomic.Uint32 // a bit for each document whose vectors were compared with their sum
}

// refresh returns the newest snapshot.
func (x *Index) refresh() (*snapshot, error) {
	st, err := x.committed()
	if err != nil {
		return nil, err
	}
	if s := x.current.Load(); s != nil && s.state == st {
		return s, nil
	}
	x.loading.Lock()
	defer x.loading.Unlock()
	// Read again: meanwhile another goroutine may have loaded a newer state than the one above.
	if st, err = x.committed(); err != nil {
		return nil, err
	}
	old := x.current.Load()
	if old != nil && old.state == st {
		return old, nil
	}
	if old != nil && st.sequence <= old.sequence {
		return nil, damaged(x.path, "another program has written over it")
	}
	s, err := x.snapshot(st, old)
	if err != nil {
		return nil, err
	}
	x.current.Store(s)
	return s, nil
}

// header reads the header of the file.
func (x *Index) header() ([]byte, error) {
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(io.NewSectionReader(x.file, 0, headerSize), header); err != nil {
		return nil, damaged(x.path, "its header cannot be read (%v)", err)
	}
	return header, nil
}

// checkStates looks at both states. Where one is damaged the other counts, as after an Add that was
// interrupted, so that nothing else would tell that documents are missing.
func (x *Index) checkStates() error {
	for range 3 { // another program may be writing a state
		header, err := x.header()
		if err != nil || !spoilt(header) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return &kindError{ErrDamaged, fmt.Sprintf("index %s: one of the two states of its header is "+
		"damaged, so what was added last may be missing; add it again", x.path)}
}

// committed reads the newest state in the file.
func (x *Index) committed() (state, error) {
	header, err := x.header()
	if err != nil {
		return state{}, err
	}
	st, err := newest(x.path, header)
	if err != nil {
		return state{}, err
	}
	info, err := x.file.Stat()
	if err != nil {
		return state{}, err
	}
	if uint64(info.Size()) < st.length {
		return state{}, cut(x.path, info.Size(), st.length)
	}
	return st, nil
}

// snapshot maps what is new since an older one.
func (x *Index) snapshot(st state, old *snapshot) (*snapshot, error) {
	s := &snapshot{state: st, index: x, checked: make([]atomic.Uint32, (st.docs+31)/32)}
	from := uint64(headerSize)
	if old != nil {
		if st.length < old.length || st.docs < old.docs {
			return nil, damaged(x.path, "another program has written over it")
		}
		for i := range old.checked {
			s.checked[i].Store(old.checked[i].Load())
		}
		if len(old.extents) < maxExtents {
			s.extents = slices.Clone(old.extents)
			from = old.length
		}
	}
	if st.length > from {
		e, err := mapRange(x.file, from, st.length, x.options.InMemory)
		if err != nil {
			return nil, err
		}
		s.extents = append(s.extents, e)
	}
	if err := s.loadParts(old); err != nil {
		return nil, err
	}
	return s, s.loadCentroids(old)
}

// loadParts follows the chain of parts from the newest to the oldest.
func (s *snapshot) loadParts(old *snapshot) error {
	left := s.docs
	for at := s.part; at != 0; {
		p, err := s.loadPart(at, old)
		if err != nil {
			return err
		}
		if p.n == 0 || p.first+p.n != left || p.previous >= at {
			return damaged(s.index.path, "its tables do not fit together")
		}
		s.parts = append(s.parts, p)
		left, at = p.first, p.previous
	}
	if left != 0 {
		return damaged(s.index.path, "its tables do not fit together")
	}
	slices.Reverse(s.parts)
	return nil
}

func (s *snapshot) loadPart(at uint64, old *snapshot) (*part, error) {
	if old != nil {
		for _, p := range old.parts {
			if p.at == at && len(old.extents) < maxExtents {
				return p, nil
			}
		}
	}
	h, err := s.block(at, partMagic)
	if err != nil {
		return nil, err
	}
	p := &part{at: at, first: h.numbers[0], n: h.numbers[1], previous: h.numbers[2],
		idBytes: h.numbers[3], slots: h.numbers[4]}
	if p.n > s.docs || p.first > s.docs || p.idBytes > s.length || p.slots > s.length ||
		bits.OnesCount64(p.slots) != 1 {
		return nil, damaged(s.index.path, "its tables are damaged")
	}
	p.region, err = s.region(at, p.size(), h.sums)
	return p, err
}

// block reads the header of a part or of the centroids.
func (s *snapshot) block(at uint64, magic string) (block, error) {
	raw, err := s.bytes(at, blockSize)
	if err != nil {
		return block{}, err
	}
	h, ok := decodeBlock(raw, magic)
	if !ok {
		return block{}, damaged(s.index.path, "its tables are damaged")
	}
	return h, nil
}

// region returns the data after a header.
func (s *snapshot) region(at, size uint64, sum uint32) (*region, error) {
	if size > s.length {
		return nil, damaged(s.index.path, "its tables are damaged")
	}
	nSums := uint64(4 * pages(int(size)))
	sums, err := s.bytes(at+blockSize, nSums)
	if err != nil {
		return nil, err
	}
	if checksum(sums) != sum {
		return nil, damaged(s.index.path, "its checksums are damaged")
	}
	data, err := s.bytes(alignUp(at+blockSize+nSums), size)
	if err != nil {
		return nil, err
	}
	return newRegion(s.index.path, data, sums), nil
}

// extent returns the range that has n bytes at an offset.
func (s *snapshot) extent(at, n uint64) (*extent, error) {
	i := sort.Search(len(s.extents), func(i int) bool { return s.extents[i].end > at })
	if i == len(s.extents) || at < s.extents[i].start || n > s.extents[i].end-at {
		return nil, damaged(s.index.path, "it points outside of itself")
	}
	return &s.extents[i], nil
}

func (s *snapshot) bytes(at, n uint64) ([]byte, error) {
	e, err := s.extent(at, n)
	if err != nil {
		return nil, err
	}
	return e.data[at-e.start : at-e.start+n : at-e.start+n], nil
}

// found is where the vectors of a document are.
type found struct {
	extent *extent
	offset uint64 // in the extent
	tokens uint32
}

// document returns where a document of a part is, after checking it if it has not been, or anew.
func (s *snapshot) document(p *part, local uint64, anew bool) (found, error) {
	raw, err := p.entries(local, local+1)
	if err != nil {
		return found{}, err
	}
	e := decodeEntry(raw)
	if e.tokens == 0 || e.tokens > maxTokens || e.offset%alignment != 0 {
		return found{}, damaged(s.index.path, "its tables are damaged")
	}
	size := uint64(s.index.lib.VectorBytes(s.index.kind, s.index.dim, int(e.tokens)))
	x, err := s.extent(e.offset, size)
	if err != nil {
		return found{}, err
	}
	at := found{x, e.offset - x.start, e.tokens}
	doc := p.first + local
	word, bit := &s.checked[doc/32], uint32(1)<<(doc%32)
	if word.Load()&bit == 0 || anew {
		if checksum(x.data[at.offset:at.offset+size]) != e.sum {
			return found{}, damaged(s.index.path, "the vectors of document %d have changed", doc)
		}
		word.Or(bit)
	}
	return at, nil
}

// partOf returns the part that has a document.
func (s *snapshot) partOf(doc uint64) *part {
	i := sort.Search(len(s.parts), func(i int) bool { return s.parts[i].first > doc })
	return s.parts[i-1]
}

func (s *snapshot) id(doc uint64) (string, error) {
	p := s.partOf(doc)
	return p.id(doc - p.first)
}

func (s *snapshot) contains(id string) (bool, error) {
	for _, p := range s.parts {
		_, ok, err := p.find(id)
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
