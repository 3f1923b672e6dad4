// Package testregistry is a registry of models on the loopback, for tests: it keeps in memory what
// is pushed, and checks its digests. It is one server, safe for many requests.
package testregistry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Registry is a registry.
type Registry struct {
	*httptest.Server

	mu        sync.Mutex
	manifests map[string][]byte // by repository and tag
	blobs     map[string][]byte // by digest
	uploads   map[string][]byte
	served    map[string]int // requests for blobs that were answered, by digest
}

// Test is what a registry needs of a test; a program that is none can do so as well.
type Test interface {
	Helper()
	Cleanup(end func())
	TempDir() string
	Fatal(args ...any)
}

// New starts a registry that ends with the test.
func New(t Test) *Registry {
	r := &Registry{manifests: map[string][]byte{}, blobs: map[string][]byte{},
		uploads: map[string][]byte{}, served: map[string]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// Host is its address as names of models have it.
func (r *Registry) Host() string { return strings.TrimPrefix(r.URL, "http://") }

// Served is how many requests for a blob were answered.
func (r *Registry) Served(digest string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.served[digest]
}

// ServeHTTP answers in the protocol of image registries.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := strings.TrimPrefix(req.URL.Path, "/v2/")
	switch {
	case strings.Contains(p, "/manifests/"):
		r.manifest(w, req, p)
	case strings.Contains(p, "/blobs/uploads/"):
		r.upload(w, req, p)
	case strings.Contains(p, "/blobs/"):
		digest := path.Base(p)
		b, ok := r.blobs[digest]
		if !ok {
			http.NotFound(w, req)
			return
		}
		r.served[digest]++
		w.Header().Set("Location", req.URL.Path) // Ollama's client wants to be told
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(b))
	default:
		http.NotFound(w, req)
	}
}

func (r *Registry) manifest(w http.ResponseWriter, req *http.Request, p string) {
	if req.Method == http.MethodPut {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.manifests[p] = b
		w.WriteHeader(http.StatusCreated)
		return
	}
	b, ok := r.manifests[p]
	if !ok {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Docker-Content-Digest", digestOf(b))
	_, _ = w.Write(b)
}

// upload takes a blob in chunks.
func (r *Registry) upload(w http.ResponseWriter, req *http.Request, p string) {
	id := path.Base(p)
	switch req.Method {
	case http.MethodPost:
		id = strconv.Itoa(len(r.uploads) + 1)
		r.uploads[id] = nil
	case http.MethodPatch:
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.uploads[id] = append(r.uploads[id], b...)
	case http.MethodPut:
		if digest := req.URL.Query().Get("digest"); digestOf(r.uploads[id]) != digest {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.blobs[digestOf(r.uploads[id])] = r.uploads[id]
		w.WriteHeader(http.StatusCreated)
		return
	}
	repository, _, _ := strings.Cut(p, "/blobs/")
	w.Header().Set("Location", "/v2/"+repository+"/blobs/uploads/"+id)
	w.WriteHeader(http.StatusAccepted)
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
