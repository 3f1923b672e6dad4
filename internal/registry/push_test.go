package registry

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/store"
)

func TestAPushGoesThroughPassingFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		method string
		s      spoiling
	}{
		"a chunk is refused":    {http.MethodPatch, spoiling{status: 503}},
		"a chunk is cut":        {http.MethodPatch, spoiling{cutAfter: 100_000}},
		"too many at the start": {http.MethodPost, spoiling{status: 429}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, startRegistry(t))
			n := mustName(t, p.host()+"/some/model:1")
			dir, other := t.TempDir(), t.TempDir()
			want := makeModel(t, dir, n)
			spoiled := 0
			p.spoilWith(func(r *http.Request, _ int) *spoiling {
				if r.Method != tt.method || spoiled == 2 {
					return nil
				}
				spoiled++
				return &tt.s
			})
			if err := testClient(t, dir).Push(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			if spoiled != 2 {
				t.Errorf("%d requests were spoiled", spoiled)
			}
			p.spoilWith(nil)
			if _, err := testClient(t, other).Pull(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			checkStore(t, other, n, want)
		})
	}
}

func TestAPushThatCannotBeDoneWritesNoManifest(t *testing.T) {
	p := newProxy(t, startRegistry(t))
	n := mustName(t, p.host()+"/some/model:1")
	dir := t.TempDir()
	makeModel(t, dir, n)
	p.spoilWith(func(r *http.Request, _ int) *spoiling {
		if r.Method == http.MethodPatch {
			return &spoiling{status: 500}
		}
		return nil
	})
	err := testClient(t, dir).Push(t.Context(), n)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "as the test wants it") {
		t.Errorf("the error is %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	isManifest := func(s string) bool { return strings.Contains(s, "/manifests/") }
	if slices.ContainsFunc(p.seen, isManifest) {
		t.Errorf("the manifest was sent: %q", p.seen)
	}
}

func TestWhatTheRegistryHasIsNotSentAgain(t *testing.T) {
	p, n, _ := pushed(t)
	dir := t.TempDir()
	want := makeModel(t, dir, n)
	p.mu.Lock()
	p.seen = nil
	p.mu.Unlock()
	if err := testClient(t, dir).Push(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if most := len(want.Manifest.Blobs()) + 1; len(p.seen) != most {
		t.Errorf("the requests were %q", p.seen)
	}
}

func TestABlobIsTakenFromAnotherRepository(t *testing.T) {
	p, n, _ := pushed(t)
	dir := t.TempDir()
	e := makeModel(t, dir, n)
	other := mustName(t, p.host()+"/some/copy:1")
	d := store.New(dir).Draft()
	defer d.Discard()
	layers := slices.Clone(e.Manifest.Layers)
	layers[0].From = n.String()
	if _, err := d.Commit(other, e.Manifest.Config, layers); err != nil {
		t.Fatal(err)
	}
	if err := testClient(t, dir).Push(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	chunks := 0
	for _, s := range p.seen {
		if strings.HasPrefix(s, "PATCH /v2/some/copy/") {
			chunks++
		}
	}
	if most := len(layers); chunks != most { // the others and the config; not the weights
		t.Errorf("%d chunks were sent, want %d: %q", chunks, most, p.seen)
	}
}
