package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/shirou/gopsutil/v4/disk"

	"github.com/mullama/mullama/internal/store"
)

// Pull fetches a model into the store. What is there already is not fetched, and what an earlier
// pull has left is continued. A model that has the name is replaced at the end.
func (c *Client) Pull(ctx context.Context, n store.Name) (*store.Entry, error) {
	base, err := c.base(n)
	if err != nil {
		return nil, err
	}
	c.tell(Progress{Status: "pulling manifest"})
	token := base.String()
	raw, err := c.manifest(ctx, &request{method: http.MethodGet,
		url: base.JoinPath("manifests", n.Tag), token: token,
		header: http.Header{"Accept": {store.TypeManifest}}})
	if err != nil {
		return nil, err
	}
	m, err := store.ParseManifest(raw)
	if err != nil {
		return nil, &failure{kind: ErrUnreachable, cause: err,
			message: n.Host + " sends a manifest that is none"}
	}
	if err := c.checkSpace(m.Blobs()); err != nil {
		return nil, err
	}
	const rounds = 3 // someone may delete a blob that other models no longer need
	for round := 1; ; round++ {
		for _, l := range m.Blobs() {
			from := source{url: base.JoinPath("blobs", strings.Replace(l.Digest, "-", ":", 1)),
				token: token}
			if err := c.fetch(ctx, l, from, "pulling "+short(l.Digest)); err != nil {
				return nil, err
			}
		}
		c.tell(Progress{Status: "verifying sha256 digest"})
		c.tell(Progress{Status: "writing manifest"})
		entry, err := c.store.PutManifest(n, raw)
		if err == nil {
			c.tell(Progress{Status: "success"})
		}
		if !errors.Is(err, store.ErrCorrupt) || round == rounds {
			return entry, err
		}
	}
}

// short is what of a digest is shown.
func short(digest string) string {
	const prefix, digits = len("sha256:"), 12
	if len(digest) < prefix+digits {
		return digest
	}
	return digest[prefix : prefix+digits]
}

// maxManifest bounds what is read of a manifest.
const maxManifest = 16 << 20

// manifest fetches a manifest. Where the registry tells its digest, it is verified.
func (c *Client) manifest(ctx context.Context, r *request) ([]byte, error) {
	for failures := 0; ; {
		b, err := c.manifestOnce(ctx, r)
		if err == nil {
			return b, nil
		}
		failures++
		if err := c.pause(ctx, err, failures); err != nil {
			return nil, err
		}
	}
}

func (c *Client) manifestOnce(ctx context.Context, r *request) ([]byte, error) {
	ctx, watch := c.watch(ctx, r.url.Host)
	defer watch.stop()
	resp, err := c.once(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body := &watchedReader{resp.Body, watch}
	b, err := io.ReadAll(io.LimitReader(body, maxManifest+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, lost(r.url.Host, err)
	case len(b) > maxManifest:
		return nil, fail(ErrUnreachable, "%s sends a manifest of more than %d MB", r.url.Host,
			maxManifest>>20)
	}
	want := resp.Header.Get("Docker-Content-Digest")
	sum := sha256.Sum256(b)
	if got := "sha256:" + hex.EncodeToString(sum[:]); strings.HasPrefix(want, "sha256:") &&
		!strings.EqualFold(want, got) {
		f := fail(ErrUnreachable, "the manifest from %s has arrived damaged", r.url.Host)
		f.transient = true
		return nil, f
	}
	return b, nil
}

// checkSpace looks whether what is to be fetched has room on the disk.
func (c *Client) checkSpace(blobs []store.Layer) error {
	var need int64
	for _, l := range blobs {
		if !c.store.HasBlob(l) {
			need += l.Size - c.fetched(l)
		}
	}
	const reserve = 64 << 20 // for the rest of the system
	if need <= 0 {
		return nil
	}
	free, ok := freeSpace(c.store.Dir())
	if ok && free < uint64(need)+reserve {
		return fail(ErrSpace, "the model takes %s, and the disk of the model store has %s",
			humanize.Bytes(uint64(need)), humanize.Bytes(free))
	}
	return nil
}

// fetched is what is there of a blob that was not fetched to its end.
func (c *Client) fetched(l store.Layer) int64 {
	return min(l.Size, journalBytes(c.store.Journal(l)))
}

// freeSpace is that of the disk of a folder, or of the first one above it that there is.
func freeSpace(dir string) (uint64, bool) {
	for {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		above := filepath.Dir(dir)
		if above == dir {
			return 0, false
		}
		dir = above
	}
	usage, err := disk.Usage(dir)
	if err != nil || usage.Total == 0 {
		return 0, false
	}
	return usage.Free, true
}

// Refetch fetches a blob of a model anew, in place of one that is damaged.
func (c *Client) Refetch(ctx context.Context, n store.Name, l store.Layer) error {
	base, err := c.base(n)
	if err != nil {
		return err
	}
	if err := c.store.RemoveBlob(l); err != nil {
		return err
	}
	from := source{url: base.JoinPath("blobs", strings.Replace(l.Digest, "-", ":", 1)),
		token: base.String()}
	return c.fetch(ctx, l, from, "pulling "+short(l.Digest))
}
