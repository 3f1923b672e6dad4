package maxsim

import (
	"math"
	"unsafe"
)

// centroids groups the tokens of the documents that the index had when it was trained: a vector for
// each group, and the documents that have a token in it.
type centroids struct {
	at    uint64 // offset in the file
	n     uint64
	docs  uint64 // the first so many documents of the index are in the lists
	lists uint64 // entries of all lists
	dim   uint64
	*region
}

func (c *centroids) endsAt() uint64  { return c.n * c.dim * 4 }
func (c *centroids) listsAt() uint64 { return c.endsAt() + c.n*8 }
func (c *centroids) size() uint64    { return c.listsAt() + c.lists*4 }

// vectors returns the middle of each group.
func (c *centroids) vectors() ([]float32, error) {
	raw, err := c.bytes(0, c.endsAt())
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&raw[0])), len(raw)/4), nil
}

// list returns the documents of a group, 4 bytes each, in ascending order.
func (c *centroids) list(group int) ([]byte, error) {
	at := c.endsAt() + uint64(group)*8
	var start uint64
	if group > 0 {
		raw, err := c.bytes(at-8, at)
		if err != nil {
			return nil, err
		}
		start = le.Uint64(raw)
	}
	raw, err := c.bytes(at, at+8)
	if err != nil {
		return nil, err
	}
	end := le.Uint64(raw)
	if start > end || end > c.lists {
		return nil, damaged(c.path, "its lists of documents are damaged")
	}
	return c.bytes(c.listsAt()+start*4, c.listsAt()+end*4)
}

// loadCentroids finds the centroids of a snapshot.
func (s *snapshot) loadCentroids(old *snapshot) error {
	if s.centroids == 0 {
		return nil
	}
	if old != nil && old.grouped != nil && old.grouped.at == s.centroids &&
		len(old.extents) < maxExtents {
		s.grouped = old.grouped
		return nil
	}
	h, err := s.block(s.centroids, centroidMagic)
	if err != nil {
		return err
	}
	c := &centroids{at: s.centroids, n: h.numbers[0], docs: h.numbers[1], lists: h.numbers[2],
		dim: uint64(s.index.dim)}
	if c.n < 1 || c.n > math.MaxInt32 || c.docs > s.docs || c.lists > s.length {
		return damaged(s.index.path, "its centroids are damaged")
	}
	c.region, err = s.region(s.centroids, c.size(), h.sums)
	s.grouped = c
	return err
}

// encodeCentroids returns centroids as they are written.
func encodeCentroids(vectors []float32, dim int, lists [][]uint32, docs uint64) []byte {
	var data []byte
	for _, f := range vectors {
		data = le.AppendUint32(data, math.Float32bits(f))
	}
	var end uint64
	for _, list := range lists {
		end += uint64(len(list))
		data = le.AppendUint64(data, end)
	}
	for _, list := range lists {
		for _, doc := range list {
			data = le.AppendUint32(data, doc)
		}
	}
	return encodeBlock(centroidMagic, data, uint64(len(vectors)/dim), docs, end)
}
