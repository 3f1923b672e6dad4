package maxsim

import "sync/atomic"

// pageSize is the unit of checksums in a region.
const pageSize = 16 << 10

// region is a range of the file with a checksum for each page. A page is checked when it is first
// read, so opening a large index reads little of it.
type region struct {
	path    string
	data    []byte
	sums    []byte // 4 bytes a page
	checked []atomic.Uint32
}

func newRegion(path string, data, sums []byte) *region {
	return &region{path: path, data: data, sums: sums,
		checked: make([]atomic.Uint32, (pages(len(data))+31)/32)}
}

func pages(size int) int { return (size + pageSize - 1) / pageSize }

// sumsOf makes the checksums of a region.
func sumsOf(data []byte) []byte {
	sums := make([]byte, 0, 4*pages(len(data)))
	for at := 0; at < len(data); at += pageSize {
		sums = le.AppendUint32(sums, checksum(data[at:min(at+pageSize, len(data))]))
	}
	return sums
}

// bytes returns a range after checking it.
func (r *region) bytes(from, to uint64) ([]byte, error) {
	if from > to || to > uint64(len(r.data)) {
		return nil, damaged(r.path, "its tables are damaged")
	}
	for page := from / pageSize; page*pageSize < to; page++ {
		word, bit := &r.checked[page/32], uint32(1)<<(page%32)
		if word.Load()&bit != 0 {
			continue
		}
		end := min((page+1)*pageSize, uint64(len(r.data)))
		if checksum(r.data[page*pageSize:end]) != le.Uint32(r.sums[4*page:]) {
			return nil, damaged(r.path, "the checksum of its tables is wrong")
		}
		word.Or(bit)
	}
	return r.data[from:to:to], nil
}

// all checks everything.
func (r *region) all() ([]byte, error) { return r.bytes(0, uint64(len(r.data))) }
