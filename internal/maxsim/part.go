package maxsim

import (
	"hash/fnv"
)

// part is the table of some documents, one after another: where their vectors are, their ids, and a
// hash table of the ids. Each commit writes one. It takes in those before it that are no larger, so
// there are as many as the number of documents has binary digits, at most.
type part struct {
	at       uint64 // offset in the file
	first    uint64 // number of its first document
	n        uint64
	previous uint64 // offset of the part before it, or 0
	idBytes  uint64
	slots    uint64 // of the hash table, a power of two
	*region
}

// entry is a document in a part.
type entry struct {
	offset uint64
	tokens uint32
	sum    uint32 // of its vectors
	idEnd  uint64 // in the ids of the part; it begins where the one before it ends
}

func decodeEntry(b []byte) entry {
	return entry{le.Uint64(b), le.Uint32(b[8:]), le.Uint32(b[12:]), le.Uint64(b[16:])}
}

func (e entry) append(b []byte) []byte {
	b = le.AppendUint64(b, e.offset)
	b = le.AppendUint32(b, e.tokens)
	b = le.AppendUint32(b, e.sum)
	return le.AppendUint64(b, e.idEnd)
}

func (p *part) slotsAt() uint64 { return p.n * entrySize }
func (p *part) idsAt() uint64   { return p.slotsAt() + p.slots*4 }
func (p *part) size() uint64    { return p.idsAt() + p.idBytes }

// entries returns some of its documents.
func (p *part) entries(from, to uint64) ([]byte, error) {
	return p.bytes(from*entrySize, to*entrySize)
}

// id returns the id of one of its documents.
func (p *part) id(local uint64) (string, error) {
	b, err := p.entries(local, local+1)
	if err != nil {
		return "", err
	}
	end, start := decodeEntry(b).idEnd, uint64(0)
	if local > 0 {
		if b, err = p.entries(local-1, local); err != nil {
			return "", err
		}
		start = decodeEntry(b).idEnd
	}
	if start > end || end > p.idBytes {
		return "", damaged(p.path, "its ids are damaged")
	}
	b, err = p.bytes(p.idsAt()+start, p.idsAt()+end)
	return string(b), err
}

// find returns which of its documents has an id.
func (p *part) find(id string) (local uint64, found bool, err error) {
	at := hashID(id) & (p.slots - 1)
	for range p.slots {
		b, err := p.bytes(p.slotsAt()+at*4, p.slotsAt()+at*4+4)
		if err != nil {
			return 0, false, err
		}
		local := uint64(le.Uint32(b))
		if local == 0 {
			return 0, false, nil
		}
		if local > p.n {
			return 0, false, damaged(p.path, "its table of ids is damaged")
		}
		if own, err := p.id(local - 1); err != nil || own == id {
			return local - 1, err == nil, err
		}
		at = (at + 1) & (p.slots - 1)
	}
	return 0, false, nil
}

// hashID is FNV-1a with 64 bits.
func hashID(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}

// partBuilder collects the documents of a part that is to be written.
type partBuilder struct {
	first   uint64
	entries []entry
	ids     []byte
}

func (b *partBuilder) add(e entry, id string) {
	b.ids = append(b.ids, id...)
	e.idEnd = uint64(len(b.ids))
	b.entries = append(b.entries, e)
}

func (b *partBuilder) id(i int) string {
	start := uint64(0)
	if i > 0 {
		start = b.entries[i-1].idEnd
	}
	return string(b.ids[start:b.entries[i].idEnd])
}

// takeIn puts the documents of an older part before those that it has.
func (b *partBuilder) takeIn(p *part) error {
	all := partBuilder{first: p.first}
	for i := range p.n {
		raw, err := p.entries(i, i+1)
		if err != nil {
			return err
		}
		id, err := p.id(i)
		if err != nil {
			return err
		}
		all.add(decodeEntry(raw), id)
	}
	for i, e := range b.entries {
		all.add(e, b.id(i))
	}
	*b = all
	return nil
}

// encode returns the part as it is written.
func (b *partBuilder) encode(previous uint64) []byte {
	slots := uint64(2)
	for slots < 2*uint64(len(b.entries)) {
		slots *= 2
	}
	table := make([]uint32, slots)
	var data []byte
	for i, e := range b.entries {
		data = e.append(data)
		at := hashID(b.id(i)) & (slots - 1)
		for table[at] != 0 {
			at = (at + 1) & (slots - 1)
		}
		table[at] = uint32(i + 1)
	}
	for _, local := range table {
		data = le.AppendUint32(data, local)
	}
	data = append(data, b.ids...)
	return encodeBlock(partMagic, data, b.first, uint64(len(b.entries)), previous,
		uint64(len(b.ids)), slots)
}

// encodeBlock puts a header and checksums before the data of a part or of centroids.
func encodeBlock(magic string, data []byte, numbers ...uint64) []byte {
	sums := sumsOf(data)
	h := block{magic: magic, sums: checksum(sums)}
	copy(h.numbers[:], numbers)
	out := append(h.encode(), sums...)
	out = append(out, make([]byte, -len(out)&(alignment-1))...)
	return append(out, data...)
}
