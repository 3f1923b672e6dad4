package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mullama/mullama/internal/store"
)

// source is where a blob is fetched from.
type source struct {
	url    *url.URL
	header http.Header
	token  string
}

// fetch makes a blob one of the store. status is what progress is reported as.
func (c *Client) fetch(ctx context.Context, l store.Layer, from source, status string) error {
	tell := func(n int64) { c.tell(Progress{status, l.Digest, l.Size, n}) }
	if c.store.HasBlob(l) {
		tell(l.Size)
		return nil
	}
	p, err := c.store.Partial(ctx, l, func(journal string) { tell(journalBytes(journal)) })
	if err != nil {
		return err
	}
	if c.store.HasBlob(l) { // another program has fetched it
		p.Keep()
		tell(l.Size)
		return nil
	}
	for try := 0; ; try++ {
		b := &blob{c: c, layer: l, from: from, tell: tell, partial: p}
		if err = b.run(ctx); err == nil {
			return p.Place()
		}
		if !errors.Is(err, errDigest) || try > 0 {
			break
		}
		// Which piece is wrong cannot be told, so all are fetched once more.
		c.o.Log.Warn("a blob has arrived damaged and is fetched again", "digest", l.Digest)
		os.Remove(p.Journal)
	}
	if errors.Is(err, errDigest) {
		os.Remove(p.Journal)
		os.Remove(p.Path)
	}
	p.Keep()
	return err
}

// errDigest means that a whole blob is not what it should be.
var errDigest = errors.New("digest does not match")

// blob is one that is being fetched.
type blob struct {
	c       *Client
	layer   store.Layer
	from    source
	partial *store.Partial
	tell    func(int64)

	file    *os.File
	journal *os.File

	mu     sync.Mutex
	more   *sync.Cond // a piece came, went or was hashed, or the fetch ended
	pieces []piece
	got    int64 // bytes that came, also those of pieces that are not complete
	told   int64 // got when progress was reported last
	failed bool
	serial bool // the server sends whole blobs only, and somebody reads one

	hashing
	had int // the first pieces that were there at the beginning
}

type piece struct{ taken, done bool }

func (b *blob) size() int64      { return b.layer.Size }
func (b *blob) pieceSize() int64 { return b.c.o.timing.piece }

// span is where a piece begins and ends.
func (b *blob) span(i int) (start, end int64) {
	start = int64(i) * b.pieceSize()
	return start, min(start+b.pieceSize(), b.size())
}

// run fetches what is missing and verifies the whole.
func (b *blob) run(ctx context.Context) error {
	b.more, b.hashing = sync.NewCond(&b.mu), newHashing()
	if err := b.open(); err != nil {
		return b.c.store.WriteError(err)
	}
	defer b.file.Close()
	defer b.journal.Close()
	if err := b.resume(ctx); err != nil {
		return err
	}
	b.tell(b.got)
	hashed := make(chan error, 1)
	go func() { hashed <- b.hash() }() // ends when all pieces are there, or with stop
	err := b.fetchAll(ctx)
	if err != nil {
		b.stop()
	}
	if hashErr := <-hashed; err == nil {
		err = hashErr
	}
	if err != nil {
		return err
	}
	got := "sha256:" + hex.EncodeToString(b.whole.Sum(nil))
	if !strings.EqualFold(got, strings.Replace(b.layer.Digest, "-", ":", 1)) {
		return &failure{kind: ErrUnreachable, cause: errDigest, message: fmt.Sprintf(
			"%s sends something else for blob %s", b.from.url.Host, b.layer.Digest)}
	}
	b.tell(b.size())
	return b.c.store.WriteError(b.file.Sync())
}

// open opens file and journal. A journal for other sizes, or none, begins anew.
func (b *blob) open() (err error) {
	sums := readJournal(b.partial.Journal, b.size(), b.pieceSize())
	fresh := true
	for _, s := range sums {
		fresh = fresh && s == nil
	}
	flags := os.O_RDWR | os.O_CREATE | os.O_APPEND
	if fresh {
		flags |= os.O_TRUNC
	}
	if b.file, err = os.OpenFile(b.partial.Path, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return err
	}
	if b.journal, err = os.OpenFile(b.partial.Journal, flags, 0o644); err != nil {
		b.file.Close()
		return err
	}
	head := "\n" // ends a line that was cut off
	if fresh {
		head = journalHead(b.size(), b.pieceSize())
	}
	if _, err = b.journal.WriteString(head); err == nil {
		err = b.file.Truncate(b.size())
	}
	if err != nil {
		b.file.Close()
		b.journal.Close()
	}
	return err
}

// resume looks which pieces of an earlier fetch are there and good.
func (b *blob) resume(ctx context.Context) error {
	sums := readJournal(b.partial.Journal, b.size(), b.pieceSize())
	b.pieces = make([]piece, len(sums))
	for i, want := range sums {
		if want == nil {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		start, end := b.span(i)
		own := crc32.New(castagnoli)
		if err := b.copyTo(own, start, end); err != nil {
			return err
		}
		if own.Sum32() == *want {
			b.pieces[i].done = true
			b.got += end - start
		}
	}
	for b.had < len(b.pieces) && b.pieces[b.had].done {
		b.had++
	}
	return nil
}

// stop ends hash, and the waiting of others for it.
func (b *blob) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = true
	b.more.Broadcast()
}

// addInterval is how often a request may be added. Fetching begins with one, and as long as hashing
// waits for most of an interval another one is added: each beyond what the network needs makes
// pieces come later that are hashed first.
const addInterval = 100 * time.Millisecond

// fetchAll fetches the missing pieces by several requests at once. The first error ends all.
func (b *blob) fetchAll(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, b.stop)()
	ended := make(chan struct{})
	start := func() {
		go func() { // ends when there are no pieces, or with ctx
			if err := b.work(ctx); err != nil {
				cancel(err)
			}
			ended <- struct{}{}
		}()
	}
	most := min(b.c.o.Parallel, len(b.pieces))
	started := 1
	start()
	tick := time.NewTicker(addInterval)
	defer tick.Stop()
	for running := 1; running > 0; {
		select {
		case <-ended:
			running--
		case <-tick.C:
			if started < most && b.isStarved() {
				start()
				started++
				running++
			}
		}
	}
	return context.Cause(ctx)
}

// work fetches one run of pieces after another until there are none.
func (b *blob) work(ctx context.Context) error {
	pace := pace{pieces: 1}
	for failures := 0; ; {
		first, last, ok := b.take(pace.pieces)
		if !ok {
			return nil
		}
		next, err := b.fetchRun(ctx, first, last, &pace)
		b.giveBack(next, last)
		switch {
		case err == nil:
			failures = 0
			continue
		case errors.Is(err, errSerial):
			return nil
		case next > first:
			failures = 0
		}
		failures++
		if err := b.c.pause(ctx, err, failures); err != nil {
			return err
		}
	}
}

// hashIsLate reports whether so much is there and not hashed yet that fetching more would take time
// from hashing: else whoever has a fast network and few processors would fetch first and then hash.
// It is not late when it waits for a piece, nor while it reads what was there at the start.
func (b *blob) hashIsLate(first, most int) bool {
	return b.front >= b.had && b.pieces[b.front].done && first-b.front > b.c.o.Parallel*most
}

// take finds the first pieces that are missing and that nobody fetches, at most some. It waits
// while too much is not hashed yet.
func (b *blob) take(most int) (first, last int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	most = max(1, min(most, len(b.pieces)/b.c.o.Parallel))
	for ; ; b.more.Wait() {
		if b.serial || b.failed {
			return 0, 0, false
		}
		for first < len(b.pieces) && (b.pieces[first].done || b.pieces[first].taken) {
			first++
		}
		if first == len(b.pieces) {
			return 0, 0, false
		}
		if !b.hashIsLate(first, most) {
			break
		}
		first = 0
	}
	last = first
	for last < len(b.pieces) && last-first < most && !b.pieces[last].done &&
		!b.pieces[last].taken {
		b.pieces[last].taken = true
		last++
	}
	return first, last, true
}

func (b *blob) giveBack(first, last int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := first; i < last; i++ {
		b.pieces[i].taken = false
	}
	b.more.Broadcast()
}

// finish notes that a piece is there.
func (b *blob) finish(i int, sum uint32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := fmt.Fprintf(b.journal, "%d %08x\n", i, sum)
	b.pieces[i].done = true
	b.more.Broadcast()
	return b.c.store.WriteError(err)
}

// progress counts bytes that came, or that do not count after all.
func (b *blob) progress(n int64) {
	const step = 1 << 20
	b.mu.Lock()
	b.got += n
	got := b.got
	tell := got-b.told >= min(step, b.pieceSize()) || got < b.told || got == b.size()
	if tell {
		b.told = got
	}
	b.mu.Unlock()
	if tell {
		b.tell(got)
	}
}
