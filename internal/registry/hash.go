package registry

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"
)

// hashing is what computes the digest of a blob while it comes, one piece after the other: the one
// that a worker feeds to it, as it comes and from the memory that it came into, or one that is
// done, from the file. All of it is guarded by blob.mu, but whole, which [blob.hash] alone uses.
type hashing struct {
	whole hash.Hash // of what was hashed
	front int       // pieces that were hashed
	next  int       // the first piece that is neither hashed nor being hashed nor fed
	fed   bool      // a worker feeds the piece before next
	queue []chunk
	spare [][]byte // memory for chunks; nil: not there yet

	idle  time.Duration // how long hashing has waited since isStarved was asked
	since time.Time     // when it began to wait, or zero
}

// chunk is what is to be hashed next.
type chunk struct {
	kind chunkKind
	data []byte // of someBytes
}

type chunkKind int

const (
	someBytes chunkKind = iota // of the piece that is fed
	fedWhole                   // that piece was fed to its end
	fedInPart                  // it broke off, so that none of it counts
	inFile                     // a piece is there
)

// mostChunks is how many chunks may wait to be hashed.
const mostChunks = 8

func newHashing() hashing {
	return hashing{whole: sha256.New(), spare: make([][]byte, mostChunks)}
}

// hash computes the digest of the whole.
func (b *blob) hash() error {
	defer b.stop()
	var before hash.Hash // the digest as it was when the piece that is fed began
	for {
		c, ok := b.nextChunk()
		if !ok {
			return nil
		}
		switch c.kind {
		case someBytes:
			if before == nil {
				clone, err := b.whole.(hash.Cloner).Clone()
				if err != nil {
					return err
				}
				before = clone
			}
			b.whole.Write(c.data)
			b.giveSpare(c.data)
		case fedInPart:
			if before != nil {
				b.whole, before = before, nil
			}
			b.unfeed()
		case fedWhole:
			before = nil
			b.pieceHashed()
		case inFile:
			start, end := b.span(b.front)
			if err := b.copyTo(b.whole, start, end); err != nil {
				return err
			}
			b.pieceHashed()
		}
	}
}

// nextChunk waits for what is to be hashed next. It reports false at the end.
func (b *blob) nextChunk() (c chunk, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	isThere := func() bool {
		return !b.fed && b.next < len(b.pieces) && b.pieces[b.next].done
	}
	b.since = time.Now()
	for !b.failed && b.front < len(b.pieces) && len(b.queue) == 0 && !isThere() {
		b.more.Wait()
	}
	b.idle += time.Since(b.since)
	b.since = time.Time{}
	switch {
	case b.failed || b.front == len(b.pieces):
		return chunk{}, false
	case len(b.queue) > 0:
		c = b.queue[0]
		b.queue = slices.Delete(b.queue, 0, 1)
		return c, true
	}
	b.next++
	return chunk{kind: inFile}, true
}

func (b *blob) pieceHashed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.front++
	b.more.Broadcast()
}

// unfeed has the piece that was fed in part come again.
func (b *blob) unfeed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next--
	b.fed = false
	b.more.Broadcast()
}

// beginFeed reports whether a piece that a worker begins to read is the one to hash next. If so,
// the worker feeds it and ends with endFeed.
func (b *blob) beginFeed(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fed || i != b.next {
		return false
	}
	b.fed = true
	b.next++
	return true
}

// feed has n bytes hashed that were read into the memory of takeSpare and written.
func (b *blob) feed(buf []byte, n int) {
	if n == 0 {
		b.giveSpare(buf)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, chunk{someBytes, buf[:n]})
	b.more.Broadcast()
}

func (b *blob) endFeed(whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	end := chunk{kind: fedInPart}
	if whole {
		end.kind, b.fed = fedWhole, false
	}
	b.queue = append(b.queue, end)
	b.more.Broadcast()
}

// takeSpare waits for memory to read into.
func (b *blob) takeSpare() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.spare) == 0 && !b.failed {
		b.more.Wait()
	}
	var buf []byte
	if n := len(b.spare); n > 0 {
		buf = b.spare[n-1]
		b.spare = b.spare[:n-1]
	}
	if buf == nil {
		buf = make([]byte, b.c.readSize())
	}
	return buf
}

func (b *blob) giveSpare(buf []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = append(b.spare, buf[:cap(buf)])
	b.more.Broadcast()
}

// copyTo writes a part of the file into a hash.
func (b *blob) copyTo(h hash.Hash, start, end int64) error {
	part := io.NewSectionReader(b.file, start, end-start)
	buf := make([]byte, min(readSize, end-start))
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{part}, buf); err != nil {
		return fmt.Errorf("read %s: %w", b.partial.Path, err)
	}
	return nil
}

// isStarved reports whether hashing has waited for most of the time since it was asked, or cannot
// tell yet, as it reads what was there at the start. To wait for half of it is usual where one
// processor has to bring what the other hashes, and where a request more would only cost time.
func (b *blob) isStarved() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	idle := b.idle
	if !b.since.IsZero() {
		idle += time.Since(b.since)
		b.since = time.Now()
	}
	b.idle = 0
	return idle > addInterval*3/4 || b.front < b.had
}
