package registry

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"time"
)

// readSize is how much is read, and written, at once.
const readSize = 256 << 10

// errSerial means that another request reads the whole blob.
var errSerial = errors.New("the server sends whole blobs only")

// maxRun bounds one request, so that what is left is shared when others are done.
const maxRun = 64 << 20

// A pace is how many pieces a worker asks for at once. Short runs keep what comes close to what is
// hashed, which goes from the front to the end; long ones lose less time to waiting for answers.
type pace struct {
	pieces int
	waited time.Duration // the least for any answer: others wait for a processor rather
}

// learn makes the next run so long that waiting for an answer takes a twentieth of its time.
func (p *pace) learn(waited, took time.Duration, pieces int, pieceSize int64) {
	const share = 20
	if p.waited == 0 || waited < p.waited {
		p.waited = waited
	}
	one := max(took/time.Duration(pieces), 1)
	p.pieces = int(min(int64(share*p.waited/one), maxRun/pieceSize))
}

// fetchRun fetches pieces by one request. It returns the first that is not there yet.
func (b *blob) fetchRun(
	ctx context.Context, first, last int, pace *pace,
) (next int, err error) {
	asked := time.Now()
	start, _ := b.span(first)
	_, end := b.span(last - 1)
	ctx, watch := b.c.watch(ctx, b.from.url.Host)
	defer watch.stop()
	header := b.from.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, end-1))
	resp, err := b.c.once(ctx, &request{method: http.MethodGet, url: b.from.url, header: header,
		token: b.from.token})
	if err != nil {
		return first, err
	}
	defer resp.Body.Close()
	answered := time.Now()
	body := &watchedReader{resp.Body, watch}
	at, err := b.checkRange(resp, start)
	if err != nil {
		return first, err
	}
	if resp.StatusCode == http.StatusOK {
		return b.readWhole(ctx, body, first, last)
	}
	if at != start {
		return first, fail(ErrUnreachable, "%s sends another part of a blob than it was asked for",
			b.from.url.Host)
	}
	for i := first; i < last; i++ {
		if err := b.readPiece(ctx, body, i); err != nil {
			return i, err
		}
	}
	pace.learn(answered.Sub(asked), time.Since(answered), last-first, b.pieceSize())
	return last, nil
}

// checkRange looks which part of a blob an answer has, and of what size the blob is there.
func (b *blob) checkRange(resp *http.Response, start int64) (at int64, err error) {
	size := resp.ContentLength
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		var end int64
		_, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &at, &end, &size)
		if err != nil {
			at, size = start, b.size() // an answer that does not say it is believed
		}
	default:
		return 0, fail(ErrUnreachable, "%s answered %s to a request for a blob",
			b.from.url.Host, resp.Status)
	}
	if size >= 0 && size != b.size() {
		return 0, fail(ErrUnreachable, "%s has %d bytes of blob %s, and the manifest says %d",
			b.from.url.Host, size, b.layer.Digest, b.size())
	}
	return at, nil
}

// readWhole reads an answer that is the whole blob, for all pieces from the first on. It gives
// back, as ever, what it was not asked for. Only one request does so, and the others end.
func (b *blob) readWhole(ctx context.Context, body io.Reader, first, last int) (int, error) {
	b.mu.Lock()
	other := b.serial
	b.serial = true
	b.mu.Unlock()
	if other {
		return first, errSerial
	}
	err := b.readAll(ctx, body)
	b.mu.Lock()
	b.serial = false
	b.mu.Unlock()
	if err != nil {
		return first, err
	}
	return last, nil
}

// readAll reads a whole blob and keeps the pieces that are missing.
func (b *blob) readAll(ctx context.Context, body io.Reader) error {
	for i := range b.pieces {
		b.mu.Lock()
		done := b.pieces[i].done
		b.mu.Unlock()
		start, end := b.span(i)
		var err error
		if done {
			_, err = io.CopyN(io.Discard, body, end-start)
		} else {
			err = b.readPiece(ctx, body, i)
		}
		if err != nil {
			return b.broken(ctx, err)
		}
	}
	return nil
}

// readPiece reads a piece into the file.
func (b *blob) readPiece(ctx context.Context, body io.Reader, i int) error {
	start, end := b.span(i)
	fed := b.beginFeed(i)
	sum, err := b.readSpan(ctx, body, start, end, fed)
	if err == nil {
		err = b.finish(i, sum)
	}
	if fed {
		b.endFeed(err == nil)
	}
	if err != nil {
		return err
	}
	beginSync(b.file, start, end-start) // takes a moment, in which the piece is hashed already
	return nil
}

// readSpan reads a part of the blob into the file, and returns its checksum.
func (b *blob) readSpan(
	ctx context.Context, body io.Reader, start, end int64, fed bool,
) (sum uint32, err error) {
	var buf []byte
	for at := start; at < end; {
		switch {
		case fed:
			buf = b.takeSpare()
		case buf == nil:
			buf = make([]byte, min(b.c.readSize(), end-start))
		}
		n, err := body.Read(buf[:min(int64(len(buf)), end-at)])
		if n > 0 {
			sum = crc32.Update(sum, castagnoli, buf[:n])
			if _, err := b.file.WriteAt(buf[:n], at); err != nil {
				return 0, b.c.store.WriteError(err)
			}
			at += int64(n)
			b.progress(int64(n))
		}
		if fed {
			b.feed(buf, n)
		}
		if err := b.c.slow(ctx, n); err != nil {
			return 0, err
		}
		if err != nil && at < end {
			b.progress(start - at)
			return 0, b.broken(ctx, err)
		}
	}
	return sum, nil
}

// broken is an answer that ended too soon.
func (b *blob) broken(ctx context.Context, err error) error {
	if own := (*failure)(nil); errors.As(err, &own) {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return lost(b.from.url.Host, err)
}

// readSize is how much is read at once: less than what a second may bring, or else waiting for the
// limit would look as if nothing came.
func (c *Client) readSize() int64 {
	if c.o.BytesPerSecond > 0 {
		return min(readSize, c.o.BytesPerSecond)
	}
	return readSize
}

// slow keeps to the limit of bytes per second.
func (c *Client) slow(ctx context.Context, n int) error {
	if c.limit == nil {
		return nil
	}
	return c.limit.WaitN(ctx, n)
}

// watch ends a request when nothing has come for some time.
type watch struct {
	timer  *time.Timer
	after  time.Duration
	cancel context.CancelCauseFunc
}

func (c *Client) watch(ctx context.Context, host string) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	after := c.o.timing.stall
	stalled := fail(ErrUnreachable, "nothing has come from %s for %s", host, after)
	stalled.transient = true
	return ctx, &watch{time.AfterFunc(after, func() { cancel(stalled) }), after, cancel}
}

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// watchedReader is a body whose every byte shows that something comes.
type watchedReader struct {
	io.Reader
	watch *watch
}

func (r *watchedReader) Read(p []byte) (int, error) {
	r.watch.timer.Reset(r.watch.after)
	return r.Reader.Read(p)
}
