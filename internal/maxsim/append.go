package maxsim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"time"
	"unicode/utf8"

	"github.com/mullama/mullama/internal/llama"
)

// lockWait is how long a writer waits for another.
const lockWait = 20 * time.Second

// Document is what an index finds: an id, and the vectors of its tokens, one after the other.
type Document struct {
	ID      string
	Vectors []float32
}

// Add appends documents. All of them are in the index when it returns, or none. An id that the
// index has already is refused, and so is one that is given twice.
func (x *Index) Add(ctx context.Context, docs []Document) error {
	end, err := x.begin()
	if err != nil {
		return err
	}
	defer end()
	for i := range docs {
		if err := x.checkDocument(&docs[i]); err != nil {
			return err
		}
	}
	if len(docs) == 0 {
		return nil
	}
	return x.write(ctx, func(s *snapshot, w *writer) (state, error) {
		if err := x.checkIDs(s, docs); err != nil {
			return state{}, err
		}
		return w.documents(ctx, docs)
	})
}

func (x *Index) checkDocument(d *Document) error {
	if d.ID == "" || len(d.ID) > maxID || !utf8.ValidString(d.ID) {
		return invalid("document id %.40q: an id is 1 to %d bytes of UTF-8", d.ID, maxID)
	}
	if err := checkVectors(d.Vectors, x.dim, x.kind); err != nil {
		return invalid("document %q: %v", d.ID, err)
	}
	return nil
}

const (
	largestF16 = 65504      // the largest half float
	notFinite  = 0x7f800000 // the exponent of what is no number
)

// checkVectors refuses what has no score.
func checkVectors(v []float32, dim int, kind llama.VectorKind) error {
	switch n := len(v) / dim; {
	case n == 0 || len(v)%dim != 0:
		return fmt.Errorf("%d numbers are no token vectors of %d", len(v), dim)
	case n > maxTokens:
		return fmt.Errorf("%d tokens, at most %d", n, maxTokens)
	}
	for i, f := range v {
		if math.Float32bits(f)&notFinite == notFinite {
			return fmt.Errorf("number %d of token %d is not finite", i%dim, i/dim)
		}
		if kind == llama.VectorF16 && (f > largestF16 || f < -largestF16) {
			return fmt.Errorf("number %d of token %d is %g; f16 has up to %d", i%dim, i/dim, f,
				largestF16)
		}
	}
	return nil
}

func (x *Index) checkIDs(s *snapshot, docs []Document) error {
	if s.docs+uint64(len(docs)) > maxDocs {
		return invalid("index %s would have more than %d documents", x.path, uint64(maxDocs))
	}
	seen := make(map[string]bool, len(docs))
	for _, d := range docs {
		known, err := s.contains(d.ID)
		if err != nil {
			return err
		}
		if known {
			return invalid("document %q is in index %s already", d.ID, x.path)
		}
		if seen[d.ID] {
			return invalid("document %q is given twice", d.ID)
		}
		seen[d.ID] = true
	}
	return nil
}

// write runs a writer under the lock and commits what it wrote.
func (x *Index) write(ctx context.Context, do func(*snapshot, *writer) (state, error)) error {
	if x.readOnly {
		return invalid("index %s cannot be written: permission denied", x.path)
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	if err := x.lock(ctx); err != nil {
		return err
	}
	defer unlock(x.file)
	s, err := x.refresh()
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(s)
	w := newWriter(s)
	next, err := do(s, w)
	if err == nil {
		err = errors.Join(w.out.Flush(), x.file.Sync())
	}
	if err != nil {
		// Nobody has mapped what is behind the length.
		return errors.Join(err, x.file.Truncate(int64(s.length)))
	}
	if err := w.commit(next); err != nil {
		return err
	}
	_, err = x.refresh()
	return err
}

func (x *Index) lock(ctx context.Context) error {
	for end := time.Now().Add(lockWait); ; {
		held, err := tryLock(x.file)
		if err != nil {
			return fmt.Errorf("lock index %s: %w", x.path, err)
		}
		if !held {
			return nil
		}
		if time.Now().After(end) {
			return &kindError{ErrBusy, fmt.Sprintf(
				"another program is writing to index %s; try again later", x.path)}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// writer writes behind what has been committed.
type writer struct {
	s   *snapshot
	out *bufio.Writer
	at  uint64
}

func newWriter(s *snapshot) *writer {
	w := &writer{s: s, at: alignUp(s.length)}
	w.out = bufio.NewWriterSize(io.NewOffsetWriter(s.index.file, int64(w.at)), 1<<20)
	return w
}

// write writes b at a multiple of alignment and returns where.
func (w *writer) write(b []byte) (at uint64, err error) {
	at = w.at
	if _, err := w.out.Write(b); err != nil {
		return 0, err
	}
	w.at = alignUp(w.at + uint64(len(b)))
	var zeros [alignment]byte
	_, err = w.out.Write(zeros[:w.at-at-uint64(len(b))])
	return at, err
}

func (w *writer) documents(ctx context.Context, docs []Document) (state, error) {
	x := w.s.index
	next := w.s.state
	add := partBuilder{first: next.docs}
	var buf []byte
	for _, d := range docs {
		if err := ctx.Err(); err != nil {
			return state{}, err
		}
		tokens := len(d.Vectors) / x.dim
		size := x.lib.VectorBytes(x.kind, x.dim, tokens)
		buf = append(buf[:0], make([]byte, size)...)
		if err := x.lib.EncodeVectors(x.kind, x.dim, d.Vectors, buf); err != nil {
			return state{}, err
		}
		at, err := w.write(buf)
		if err != nil {
			return state{}, err
		}
		add.add(entry{offset: at, tokens: uint32(tokens), sum: checksum(buf)}, d.ID)
		next.tokens += uint64(tokens)
	}
	next.docs += uint64(len(docs))
	previous := w.s.parts
	for len(previous) > 0 && previous[len(previous)-1].n <= uint64(len(add.entries)) {
		if err := add.takeIn(previous[len(previous)-1]); err != nil {
			return state{}, err
		}
		previous = previous[:len(previous)-1]
	}
	var link uint64
	if len(previous) > 0 {
		link = previous[len(previous)-1].at
	}
	at, err := w.write(add.encode(link))
	next.part = at
	return next, err
}

// commit writes the state that says that all is there. The disk must have all before.
func (w *writer) commit(next state) error {
	f := w.s.index.file
	next.sequence++
	next.length = w.at
	if _, err := f.WriteAt(next.encode(), stateAt[next.sequence%2]); err != nil {
		return err
	}
	return f.Sync()
}
