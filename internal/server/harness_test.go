package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// fake is a Runtime with one model, tiny, that remembers what it is asked for.
type fake struct {
	*mullama.Runtime
	path string // of the model's file before it was imported

	mu      sync.Mutex
	keep    []*time.Duration
	unloads int
	delay   time.Duration // of each Acquire
	gate    chan struct{} // if there is one, each Acquire waits until it is closed
	err     error         // of each Acquire
	panics  bool          // each Acquire
}

func (f *fake) Acquire(
	ctx context.Context, name string, o mullama.AcquireOptions,
) (*mullama.Lease, error) {
	f.mu.Lock()
	f.keep = append(f.keep, o.KeepAlive)
	f.mu.Unlock()
	time.Sleep(f.delay)
	if f.gate != nil {
		<-f.gate
	}
	if f.panics {
		panic("a defect")
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.Runtime.Acquire(ctx, name, o)
}

func (f *fake) Unload(name string) error {
	f.mu.Lock()
	f.unloads++
	f.mu.Unlock()
	return f.Runtime.Unload(name)
}

// busy is how many requests use a model.
func (f *fake) busy() int {
	n := 0
	for _, m := range f.Running() {
		n += m.Busy + m.Engine.Active
	}
	return n
}

// hasContext reports whether a model with a context of this size is loaded.
func (f *fake) hasContext(size int) bool {
	for _, m := range f.Running() {
		if m.ContextSize == size {
			return true
		}
	}
	return false
}

var testLoad = mullama.LoadOptions{Threads: 1, ContextSize: 512}

// newFake loads nothing yet. It skips the test where the native library was not built.
func newFake(t testing.TB, o synth.Options) *fake {
	t.Helper()
	return newFakeOf(t, mullama.Options{}, o)
}

// newFakeOf is a fake whose Runtime has other options.
func newFakeOf(t testing.TB, options mullama.Options, o synth.Options) *fake {
	t.Helper()
	options.Defaults = testLoad
	if options.ModelsDir == "" {
		options.ModelsDir = t.TempDir()
	}
	rt, err := mullama.Open(options)
	if errors.Is(err, mullama.ErrLibraryMissing) && os.Getenv(testmodels.RequireEnv) != "1" {
		t.Skipf("needs the native library: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{Runtime: rt, path: filepath.Join(t.TempDir(), "tiny.gguf")}
	if err := synth.TinyFile(f.path, o); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Import(t.Context(), "tiny", f.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 200 {
			if f.busy() == 0 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if n := f.busy(); n != 0 {
			t.Errorf("%d leases are left", n)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := rt.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		rt.Close()
	})
	return f
}

// site is a server under test.
type site struct {
	*httptest.Server
	t    testing.TB
	fake *fake
	s    *Server
}

func newSite(t testing.TB, config Config) *site {
	t.Helper()
	return newSiteOf(t, config, synth.Options{})
}

func newSiteOf(t testing.TB, config Config, o synth.Options) *site {
	t.Helper()
	f := newFake(t, o)
	if config.Version == "" {
		config.Version = "1.2.3"
	}
	config.Defaults = testLoad
	s := New(f, config)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return &site{server, t, f, s}
}

// send returns status and body of an answer. A body that is no string is sent as JSON.
func (s *site) send(method, path string, body any) (int, string) {
	s.t.Helper()
	resp := s.do(method, path, body, nil)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func (s *site) do(method, path string, body any, header http.Header) *http.Response {
	s.t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		text = string(data)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path,
		bytes.NewReader([]byte(text)))
	if err != nil {
		s.t.Fatal(err)
	}
	for key, values := range header {
		req.Header[key] = values
		if key == "Host" {
			req.Host = values[0]
		}
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// object is a map of JSON.
type object = map[string]any

// ok sends a request that must succeed with one object.
func (s *site) ok(method, path string, body any) object {
	s.t.Helper()
	status, text := s.send(method, path, body)
	var got object
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK {
		s.t.Fatalf("%s %s: status %d, %s", method, path, status, text)
	}
	return got
}

// lines sends a request that must succeed with lines of objects.
func (s *site) lines(path string, body any) []object {
	s.t.Helper()
	status, text := s.send("POST", path, body)
	if status != http.StatusOK {
		s.t.Fatalf("%s: status %d, %s", path, status, text)
	}
	var all []object
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "data: ")
		if line == "" || line == "[DONE]" || strings.HasPrefix(line, ":") {
			continue
		}
		var got object
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		all = append(all, got)
	}
	return all
}

// refused sends a request that must fail.
func (s *site) refused(method, path string, body any, status int, words ...string) {
	s.t.Helper()
	got, text := s.send(method, path, body)
	if got != status {
		s.t.Errorf("%s %s: status %d, want %d: %s", method, path, got, status, text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			s.t.Errorf("%s %s: %s does not say %q", method, path, text, word)
		}
	}
	if !json.Valid([]byte(text)) {
		s.t.Errorf("%s %s: %q is not JSON", method, path, text)
	}
}

// greedy are options with which the tiny model says the same each time.
func greedy(n int) object { return object{"temperature": 0, "num_predict": n} }

func copyBody(to io.Writer, resp *http.Response) (int64, error) {
	defer resp.Body.Close()
	return io.Copy(to, resp.Body)
}
