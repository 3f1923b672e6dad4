package registry

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the registry's storage asks for it; it protects nothing
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/mullama/mullama/internal/store"
)

// Push sends a model of the store. Blobs that the registry has are not sent again.
func (c *Client) Push(ctx context.Context, n store.Name) error {
	base, err := c.base(n)
	if err != nil {
		return err
	}
	c.tell(Progress{Status: "retrieving manifest"})
	local := n
	local.Scheme = ""
	entry, raw, err := c.store.ReadManifest(local)
	if err != nil {
		return err
	}
	for _, l := range entry.Manifest.Blobs() {
		if err := c.pushBlob(ctx, base, l); err != nil {
			return err
		}
	}
	c.tell(Progress{Status: "pushing manifest"})
	mediaType := entry.Manifest.MediaType
	if mediaType == "" {
		mediaType = store.TypeManifest
	}
	resp, err := c.send(ctx, &request{
		method: http.MethodPut, url: base.JoinPath("manifests", n.Tag), token: base.String(),
		header: http.Header{"Content-Type": {mediaType}}, length: int64(len(raw)),
		body: func() io.Reader { return bytes.NewReader(raw) },
	})
	if err != nil {
		return err
	}
	resp.Body.Close()
	c.tell(Progress{Status: "success"})
	return nil
}

// pushBlob sends a blob, unless the registry has it.
func (c *Client) pushBlob(ctx context.Context, base *url.URL, l store.Layer) error {
	l.Digest = strings.Replace(l.Digest, "-", ":", 1)
	tell := func(n int64) { c.tell(Progress{"pushing " + short(l.Digest), l.Digest, l.Size, n}) }
	tell(0)
	resp, err := c.send(ctx, &request{method: http.MethodHead,
		url: base.JoinPath("blobs", l.Digest), token: base.String()})
	switch {
	case err == nil:
		resp.Body.Close()
		tell(l.Size)
		return nil
	case !errors.Is(err, ErrNotFound):
		return err
	}
	path, err := c.store.BlobPath(l.Digest)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: blob %s cannot be read: %w", store.ErrCorrupt, l.Digest, err)
	}
	defer file.Close()
	u := &upload{c: c, base: base, layer: l, file: file, tell: tell}
	for failures := 0; ; {
		before := u.most
		err := u.run(ctx)
		if err == nil {
			tell(l.Size)
			return nil
		}
		if u.most > before {
			failures = 0
		}
		failures++
		if err := c.pause(ctx, err, failures); err != nil {
			return err
		}
	}
}

// uploadChunk is how much one request sends.
const uploadChunk = 64 << 20

// upload is a blob on its way to a registry.
type upload struct {
	c     *Client
	base  *url.URL
	layer store.Layer
	file  *os.File
	tell  func(int64)

	at   *url.URL // where the next chunk goes; nil: it has not begun
	sent int64    // as the registry has confirmed it
	most int64    // of sent
	sums []byte   // MD5 of each chunk
	n    int      // of chunks
}

// run begins an upload, or goes on with one, and ends it.
func (u *upload) run(ctx context.Context) error {
	if u.at != nil && !u.resume(ctx) {
		u.at = nil
	}
	if u.at == nil {
		mounted, err := u.begin(ctx)
		if err != nil || mounted {
			return err
		}
	}
	for u.sent < u.layer.Size {
		if err := u.chunk(ctx); err != nil {
			return err
		}
		u.most = max(u.most, u.sent)
		u.tell(u.sent)
	}
	return u.commit(ctx)
}

// begin asks for an upload, or to take the blob from the repository that it came from.
func (u *upload) begin(ctx context.Context) (mounted bool, err error) {
	at := u.base.JoinPath("blobs", "uploads/")
	if from, err := store.ParseName(u.layer.From); err == nil && u.layer.From != "" &&
		from.Host == u.base.Host {
		at.RawQuery = url.Values{"mount": {u.layer.Digest},
			"from": {from.Namespace + "/" + from.Model}}.Encode()
	}
	resp, err := u.c.send(ctx, &request{method: http.MethodPost, url: at, token: u.base.String(),
		header: http.Header{"Content-Length": {"0"}}})
	if err != nil {
		return false, err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusCreated {
		return true, nil
	}
	u.sent, u.sums, u.n = 0, nil, 0
	return false, u.follow(resp)
}

// follow notes where the registry wants the next request.
func (u *upload) follow(resp *http.Response) error {
	location := resp.Header.Get("Docker-Upload-Location")
	if location == "" {
		location = resp.Header.Get("Location")
	}
	next, err := resp.Request.URL.Parse(location)
	if err != nil || location == "" {
		return fail(ErrUnreachable, "%s does not say where a blob is to be sent", u.base.Host)
	}
	if next.Host == u.base.Host {
		next.Scheme = u.base.Scheme // proxies in front of registries forget it
	}
	u.at = next
	return u.c.allowed(next)
}

// resume asks how much of a broken upload has come.
func (u *upload) resume(ctx context.Context) bool {
	resp, err := u.c.send(ctx, &request{method: http.MethodGet, url: u.at, token: u.token(u.at)})
	if err != nil {
		return false
	}
	resp.Body.Close()
	var first, last int64
	_, err = fmt.Sscanf(resp.Header.Get("Range"), "%d-%d", &first, &last)
	if err != nil || resp.StatusCode != http.StatusNoContent || last+1 != u.sent {
		return false // a chunk has come in part: its hash would be of another one
	}
	return u.follow(resp) == nil
}

// token keeps ours from other hosts.
func (u *upload) token(at *url.URL) string {
	if at.Host == u.base.Host {
		return u.base.String()
	}
	return ""
}

// chunk sends the next part, where the registry wants it, or where it then says.
func (u *upload) chunk(ctx context.Context) error {
	n := min(uploadChunk, u.layer.Size-u.sent)
	resp, err := u.put(ctx, http.MethodPatch, u.at, n, http.Header{
		"Content-Range":      {fmt.Sprintf("%d-%d", u.sent, u.sent+n-1)},
		"X-Redirect-Uploads": {"1"},
	})
	if err != nil {
		return err
	}
	resp.Body.Close()
	if err := u.follow(resp); err != nil {
		return err
	}
	if resp.StatusCode == http.StatusTemporaryRedirect {
		to, err := resp.Location()
		if err != nil {
			return fail(ErrUnreachable, "%s redirects to nowhere", u.base.Host)
		}
		if err := u.c.allowed(to); err != nil {
			return err
		}
		stored, err := u.put(ctx, http.MethodPut, to, n, http.Header{})
		if err != nil {
			return err
		}
		stored.Body.Close()
	}
	sum := md5.New() //nolint:gosec // see above
	if _, err := io.Copy(sum, io.NewSectionReader(u.file, u.sent, n)); err != nil {
		return err
	}
	u.sums, u.n = sum.Sum(u.sums), u.n+1
	u.sent += n
	return nil
}

func (u *upload) put(
	ctx context.Context, method string, to *url.URL, n int64, header http.Header,
) (*http.Response, error) {
	header.Set("Content-Type", "application/octet-stream")
	ctx, watch := u.c.watch(ctx, to.Host)
	defer watch.stop()
	return u.c.once(ctx, &request{
		method: method, url: to, token: u.token(to), header: header, length: n, manual: true,
		body: func() io.Reader {
			return &sending{ctx, io.NewSectionReader(u.file, u.sent, n), u, watch}
		},
	})
}

// commit ends an upload. The tag is what the storage of Ollama's registry makes of the chunks.
func (u *upload) commit(ctx context.Context) error {
	query := u.at.Query()
	query.Set("digest", u.layer.Digest)
	tag := md5.Sum(u.sums) //nolint:gosec // see above
	query.Set("etag", fmt.Sprintf("%q", fmt.Sprintf("%s-%d", hex.EncodeToString(tag[:]), u.n)))
	end := *u.at
	end.RawQuery = query.Encode()
	resp, err := u.c.once(ctx, &request{method: http.MethodPut, url: &end, token: u.token(&end),
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		body:   func() io.Reader { return http.NoBody }})
	if err != nil {
		return err
	}
	resp.Body.Close()
	return nil
}

// sending is the body of a chunk.
type sending struct {
	ctx   context.Context
	r     *io.SectionReader
	u     *upload
	watch *watch
}

func (s *sending) Read(p []byte) (int, error) {
	s.watch.timer.Reset(s.watch.after)
	n, err := s.r.Read(p[:min(int64(len(p)), s.u.c.readSize())])
	if n > 0 {
		if err := s.u.c.slow(s.ctx, n); err != nil {
			return 0, err
		}
	}
	return n, err
}
