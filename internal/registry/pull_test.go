package registry

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/store"
)

func TestAModelIsPushedAndPulledByteForByte(t *testing.T) {
	p, n, want := pushed(t)
	dir := t.TempDir()
	var statuses []string
	var last Progress
	c := testClient(t, dir, func(o *Options) {
		o.Progress = func(got Progress) {
			if len(statuses) == 0 || statuses[len(statuses)-1] != got.Status {
				statuses = append(statuses, got.Status)
			}
			if got.Total == modelBytes {
				if last.Completed > got.Completed {
					t.Errorf("progress goes from %d to %d", last.Completed, got.Completed)
				}
				last = got
			}
		}
	})
	if _, err := c.Pull(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	checkStore(t, dir, n, want)
	expected := []string{"pulling manifest"}
	for _, l := range want.Manifest.Blobs() {
		expected = append(expected, "pulling "+l.Digest[7:19])
	}
	expected = append(expected, "verifying sha256 digest", "writing manifest", "success")
	if !reflect.DeepEqual(statuses, expected) {
		t.Errorf("statuses are %q, want %q", statuses, expected)
	}
	if last.Completed != modelBytes || last.Digest != want.Manifest.Layers[0].Digest {
		t.Errorf("the last progress is %+v", last)
	}
	p.counts()
	if _, err := c.Pull(t.Context(), n); err != nil || p.counts() != 0 {
		t.Errorf("a second pull fetches blobs again: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".mullama-partial", "*"))
	for _, file := range left {
		if !strings.HasSuffix(file, ".lock") {
			t.Errorf("%s is left", file)
		}
	}
}

func TestPassingFaultsEndInARightModel(t *testing.T) {
	p, n, want := pushed(t)
	once := func(s spoiling) func(*http.Request, int) *spoiling {
		return func(_ *http.Request, i int) *spoiling {
			if i == 1 || i == 4 {
				return &s
			}
			return nil
		}
	}
	other := newProxy(t, p.to)
	for name, spoil := range map[string]func(*http.Request, int) *spoiling{
		"cut at once":        once(spoiling{cutAfter: 1}),
		"cut within a piece": once(spoiling{cutAfter: 70_000}),
		"hang":               once(spoiling{cutAfter: 40_000, hang: true}),
		"one bit is flipped": once(spoiling{flip: true}),
		"429": once(spoiling{status: 429,
			header: http.Header{"Retry-After": {"1"}}}),
		"503":                once(spoiling{status: 503}),
		"429 without a time": once(spoiling{status: 429}),
		"no ranges":          always(spoiling{noRange: true}),
		"no ranges, cut": func(_ *http.Request, i int) *spoiling {
			s := &spoiling{noRange: true}
			if i <= 2 {
				s.cutAfter = 300_000
			}
			return s
		},
		"slow":     always(spoiling{pause: time.Millisecond}),
		"redirect": always(spoiling{redirect: other.URL}),
	} {
		t.Run(name, func(t *testing.T) {
			p.spoilWith(spoil)
			dir := t.TempDir()
			c := testClient(t, dir, func(o *Options) {
				if name == "hang" {
					o.timing.stall = 300 * time.Millisecond
				}
			})
			if _, err := c.Pull(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			checkStore(t, dir, n, want)
		})
	}
}

func TestLastingFaultsEndInOneClearErrorAndNoModel(t *testing.T) {
	p, n, _ := pushed(t)
	for name, tt := range map[string]struct {
		s    spoiling
		kind error
		word string
	}{
		"cut":      {spoiling{cutAfter: 10}, ErrUnreachable, "the connection to " + p.host()},
		"flipped":  {spoiling{flip: true}, ErrUnreachable, "something else for blob"},
		"503":      {spoiling{status: 503}, ErrUnreachable, "503"},
		"404":      {spoiling{status: 404}, ErrNotFound, "404"},
		"403":      {spoiling{status: 403}, ErrDenied, "403"},
		"too long": {spoiling{extra: true}, ErrUnreachable, "the manifest says"},
		"later": {spoiling{status: 429, header: http.Header{"Retry-After": {"90"}}},
			ErrUnreachable, "asked again in 1m30s"},
		"a page":                {spoiling{status: 200}, ErrUnreachable, "the manifest says"},
		"redirected in circles": {spoiling{redirect: p.URL}, ErrUnreachable, "without end"},
		"redirected to a file":  {spoiling{redirect: "file://"}, ErrInvalid, "no way to ask"},
	} {
		t.Run(name, func(t *testing.T) {
			p.spoilWith(always(tt.s))
			dir := t.TempDir()
			_, err := testClient(t, dir).Pull(t.Context(), n)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.word) {
				t.Errorf("the error is %v, want %q", err, tt.word)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is not one sentence: %v", err)
			}
			hasNoModel(t, dir)
		})
	}
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	p, n, _ := pushed(t)
	dir := t.TempDir()
	n.Tag = "other"
	if _, err := testClient(t, dir).Pull(t.Context(), n); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown tag: %v", err)
	}
	n.Host = "127.0.0.1:1"
	if _, err := testClient(t, dir).Pull(t.Context(), n); !errors.Is(err, ErrUnreachable) {
		t.Errorf("no registry: %v", err)
	}
	n.Host, n.Scheme = p.host(), "http"
	secure := testClient(t, dir, func(o *Options) { o.Insecure = false })
	if _, err := secure.Pull(t.Context(), n); !errors.Is(err, ErrInsecure) {
		t.Errorf("http: %v", err)
	}
	if err := secure.Push(t.Context(), n); !errors.Is(err, ErrInsecure) {
		t.Errorf("push over http: %v", err)
	}
	if err := testClient(t, dir).Push(t.Context(), n); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("push of nothing: %v", err)
	}
}

func TestACancelledPullIsContinued(t *testing.T) {
	p, n, want := pushed(t)
	p.counts()
	dir := t.TempDir()
	p.spoilWith(always(spoiling{pause: 2 * time.Millisecond}))
	ctx, cancel := context.WithCancel(t.Context())
	c := testClient(t, dir, func(o *Options) {
		o.Progress = func(got Progress) {
			if got.Completed > modelBytes/2 {
				cancel()
			}
		}
	})
	if _, err := c.Pull(ctx, n); !errors.Is(err, context.Canceled) {
		t.Fatalf("the error is %v", err)
	}
	hasNoModel(t, dir)
	p.spoilWith(nil)
	p.counts()
	if _, err := testClient(t, dir).Pull(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	checkStore(t, dir, n, want)
	if got := p.counts(); got > modelBytes*6/10+4*quick.piece {
		t.Errorf("%d bytes were fetched again", got)
	}
}

func TestOnlyDamagedPiecesAreFetchedAgain(t *testing.T) {
	p, n, want := pushed(t)
	dir := t.TempDir()
	weights := want.Manifest.Layers[0]
	name := strings.Replace(weights.Digest, ":", "-", 1)
	// Some pieces come, and then nothing more.
	p.spoilWith(func(_ *http.Request, n int) *spoiling {
		if n == 1 {
			return &spoiling{cutAfter: 700_000}
		}
		return &spoiling{status: 403}
	})
	one := testClient(t, dir, func(o *Options) { o.Parallel = 1 })
	if _, err := one.Pull(t.Context(), n); err == nil {
		t.Fatal("the pull has not failed")
	}
	partial := filepath.Join(dir, ".mullama-partial", name)
	f, err := os.OpenFile(partial, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damaged"), 3*quick.piece+5); err != nil {
		t.Fatal(err)
	}
	f.Close()
	journal := readJournal(partial+".journal", weights.Size, quick.piece)
	var missing int64
	for _, s := range journal {
		if s == nil {
			missing++
		}
	}
	p.spoilWith(nil)
	p.counts()
	if _, err := testClient(t, dir).Pull(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	checkStore(t, dir, n, want)
	p.mu.Lock()
	defer p.mu.Unlock()
	path := "/v2/some/model/blobs/" + weights.Digest
	if most := weights.Size + 2*quick.piece; p.paths[path] > most {
		t.Errorf("%d bytes were fetched in all of a blob of %d", p.paths[path], weights.Size)
	}
	if missing == 0 || missing == int64(len(journal)) {
		t.Errorf("%d of %d pieces were missing", missing, len(journal))
	}
}

func TestWhatWasHashedOfAPieceThatBrokeOffIsForgotten(t *testing.T) {
	p, n, want := pushed(t)
	p.spoilWith(func(_ *http.Request, i int) *spoiling {
		if i <= 2 { // the middle of a piece comes wrong, and its end not at all
			return &spoiling{flip: true, cutAfter: quick.piece * 3 / 4}
		}
		return nil
	})
	p.counts()
	dir := t.TempDir()
	one := testClient(t, dir, func(o *Options) { o.Parallel = 1 })
	if _, err := one.Pull(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	checkStore(t, dir, n, want)
	if got := p.counts(); got > modelBytes*3/2 {
		t.Errorf("%d bytes came of a model of %d", got, modelBytes)
	}
}

func TestTheLimitOfBytesPerSecondIsKept(t *testing.T) {
	_, n, want := pushed(t)
	dir := t.TempDir()
	begun := time.Now()
	c := testClient(t, dir, func(o *Options) { o.BytesPerSecond = 700_000 })
	if _, err := c.Pull(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	checkStore(t, dir, n, want)
	// The first second's worth comes at once.
	if took, least := time.Since(begun), 400*time.Millisecond; took < least {
		t.Errorf("it took %s, want at least %s", took, least)
	}
}

func TestTooLittleSpaceIsSaidBeforeAnythingIsFetched(t *testing.T) {
	c := testClient(t, t.TempDir())
	err := c.checkSpace([]store.Layer{{Digest: "sha256:" + strings.Repeat("0", 64), Size: 1 << 60}})
	if !errors.Is(err, ErrSpace) || !strings.Contains(err.Error(), "the model takes 1.2 EB") {
		t.Errorf("the error is %v", err)
	}
}
