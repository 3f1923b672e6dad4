package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// fake is a Runtime with one model.
type fake struct {
	real   *mullama.Runtime
	stored mullama.StoredModel

	mu       sync.Mutex
	models   map[string]*mullama.Model // by context size
	keep     []*time.Duration
	unloads  int
	acquired atomic.Int32
	delay    time.Duration
	err      error
}

func (f *fake) List() ([]mullama.StoredModel, error) {
	return []mullama.StoredModel{f.stored}, f.err
}

func (f *fake) Find(name string) (*mullama.StoredModel, error) {
	if name != "tiny" && name != "tiny:latest" {
		return nil, &mullama.Error{Kind: mullama.ErrNotFound,
			Err: fmt.Errorf("model %q not found", name)}
	}
	stored := f.stored
	return &stored, nil
}

func (f *fake) Copy(src, _ string) error {
	_, err := f.Find(src)
	return err
}

func (f *fake) Delete(name string) error {
	_, err := f.Find(name)
	return err
}

func (f *fake) Acquire(ctx context.Context, name string, o AcquireOptions) (*Lease, error) {
	time.Sleep(f.delay)
	if f.err != nil {
		return nil, f.err
	}
	stored, err := f.Find(name)
	if err != nil {
		return nil, err
	}
	load := mullama.LoadOptions{Threads: 1, ContextSize: 512}
	if o.Load != nil {
		load.ContextSize = o.Load.ContextSize
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keep = append(f.keep, o.KeepAlive)
	key := fmt.Sprint(load.ContextSize)
	if f.models[key] == nil {
		m, err := f.real.Load(ctx, stored.Path, &load)
		if err != nil {
			return nil, err
		}
		f.models[key] = m
	}
	f.acquired.Add(1)
	return &Lease{Model: f.models[key], Stored: stored, LoadTime: time.Millisecond,
		release: sync.OnceFunc(func() { f.acquired.Add(-1) })}, nil
}

func (f *fake) Running() []RunningModel {
	return []RunningModel{{Stored: f.stored, Size: 5, ContextSize: 512, Slots: 4}}
}

func (f *fake) Unload(string) error {
	f.unloads++
	return nil
}

// newFake loads nothing yet. It skips the test where the native library was not built.
func newFake(t testing.TB, o synth.Options) *fake {
	t.Helper()
	rt, err := mullama.Open(mullama.Options{})
	if errors.Is(err, mullama.ErrLibraryMissing) && os.Getenv(testmodels.RequireEnv) != "1" {
		t.Skipf("needs the native library: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := synth.TinyFile(path, o); err != nil {
		t.Fatal(err)
	}
	f := &fake{real: rt, models: map[string]*mullama.Model{}, stored: mullama.StoredModel{
		Name: "tiny:latest", Digest: strings.Repeat("ab", 32), Size: 1234,
		Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Path: path,
		Capabilities: []string{"completion"},
	}}
	t.Cleanup(func() {
		if n := f.acquired.Load(); n != 0 {
			t.Errorf("%d leases are left", n)
		}
		for _, m := range f.models {
			m.Close()
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
	f := newFake(t, synth.Options{})
	if config.Version == "" {
		config.Version = "1.2.3"
	}
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
