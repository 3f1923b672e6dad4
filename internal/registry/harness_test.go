package registry

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/store"
)

// registryProgram builds the real registry once.
var registryProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mullama-registry-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "registry")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("testdata", "registry")
	build.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		os.RemoveAll(dir)
		return string(out), err
	}
	return program, nil
})

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	code := m.Run()
	if program, err := registryProgram(); err == nil && strings.Contains(program, "mullama-reg") {
		os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// startRegistry returns the address of a registry of its own.
func startRegistry(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs a registry")
	}
	program, err := registryProgram()
	if err != nil {
		t.Fatalf("build the registry: %v\n%s", err, program)
	}
	cmd := exec.Command(program)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // ends it
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the registry does not say its address: %v", err)
	}
	return strings.TrimSpace(line)
}

// proxy stands between a client and a registry, and counts and spoils what passes.
type proxy struct {
	*httptest.Server
	to string

	mu     sync.Mutex
	spoil  func(r *http.Request, n int) *spoiling // of the nth request for a blob, from 1
	n      int
	served int64            // bytes of blobs
	paths  map[string]int64 // bytes by path
	seen   []string         // methods and paths
}

// spoiling is what happens to one answer. The zero value spoils nothing.
type spoiling struct {
	status   int           // instead of the answer
	header   http.Header   // with status
	cutAfter int64         // bytes until the connection breaks; 0: never
	hang     bool          // instead of breaking
	flip     bool          // a bit of the middle byte
	noRange  bool          // the registry is asked for the whole blob
	extra    bool          // the blob is one byte longer
	pause    time.Duration // between parts of 16 kB
	redirect string        // to another host
}

// always spoils every answer.
func always(s spoiling) func(*http.Request, int) *spoiling {
	return func(*http.Request, int) *spoiling { return &s }
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{to: to, paths: map[string]int64{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.CloseClientConnections)
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) host() string { return strings.TrimPrefix(p.URL, "http://") }

func (p *proxy) spoilWith(fn func(r *http.Request, n int) *spoiling) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoil, p.n = fn, 0
}

// counts returns how many bytes of blobs were served since the last call.
func (p *proxy) counts() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.served
	p.served = 0
	return n
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := &spoiling{}
	p.mu.Lock()
	p.seen = append(p.seen, r.Method+" "+r.URL.Path)
	isBlob := r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:")
	if isBlob || r.Method == http.MethodPatch || r.Method == http.MethodPost {
		p.n++
		if p.spoil != nil {
			if found := p.spoil(r, p.n); found != nil {
				s = found
			}
		}
	}
	p.mu.Unlock()
	if s.redirect != "" {
		http.Redirect(w, r, s.redirect+r.URL.Path, http.StatusTemporaryRedirect)
		return
	}
	if s.status != 0 {
		for key, values := range s.header {
			w.Header()[key] = values
		}
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, `{"errors":[{"code":"SPOILED","message":"as the test wants it"}]}`)
		return
	}
	p.pass(w, r, s, isBlob)
}

// pass asks the registry and answers with what it says, spoiled.
func (p *proxy) pass(w http.ResponseWriter, r *http.Request, s *spoiling, isBlob bool) {
	to := "http://" + p.to + r.URL.RequestURI()
	req, err := http.NewRequestWithContext(r.Context(), r.Method, to, r.Body)
	if err != nil {
		panic(err)
	}
	req.ContentLength = r.ContentLength
	req.Header = r.Header.Clone()
	req.Host = r.Host
	if s.noRange {
		req.Header.Del("Range")
	}
	if !isBlob && s.cutAfter > 0 {
		_, _ = io.CopyN(io.Discard, r.Body, s.cutAfter)
		panic(http.ErrAbortHandler)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	for key, values := range resp.Header {
		w.Header()[key] = values
	}
	if s.extra {
		w.Header().Set("Content-Range",
			strings.Replace(resp.Header.Get("Content-Range"), "/", "/1", 1))
	}
	w.WriteHeader(resp.StatusCode)
	if isBlob {
		p.copy(w, resp.Body, r, s, resp.ContentLength)
		return
	}
	_, _ = io.Copy(w, resp.Body)
}

// copy passes a blob on.
func (p *proxy) copy(
	w http.ResponseWriter, body io.Reader, r *http.Request, s *spoiling, length int64,
) {
	buf := make([]byte, 16<<10)
	var at int64
	for {
		n, err := io.ReadFull(body, buf)
		part := buf[:n]
		if s.cutAfter > 0 && at+int64(n) > s.cutAfter {
			part = part[:s.cutAfter-at]
		}
		if middle := length / 2; s.flip && middle >= at && middle < at+int64(len(part)) {
			part[middle-at] ^= 1
		}
		_, writeErr := w.Write(part)
		_ = http.NewResponseController(w).Flush()
		p.mu.Lock()
		p.served += int64(len(part))
		p.paths[r.URL.Path] += int64(len(part))
		p.mu.Unlock()
		if len(part) < n || s.cutAfter > 0 && at+int64(n) == s.cutAfter {
			if s.hang {
				<-r.Context().Done()
			}
			panic(http.ErrAbortHandler)
		}
		at += int64(n)
		if err != nil || writeErr != nil {
			return
		}
		time.Sleep(s.pause)
	}
}

// quick are times for tests.
var quick = timing{2 * time.Millisecond, 20 * time.Second, 4, 64 << 10, 3 * time.Second}

func testClient(t *testing.T, dir string, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{KeyDir: filepath.Join(t.TempDir(), "key"), Insecure: true, Parallel: 3,
		timing: quick}
	for _, fn := range change {
		fn(&o)
	}
	c := New(store.New(dir), o)
	t.Cleanup(c.Close)
	return c
}

// modelBytes are what a model's file has in these tests: a size that is no multiple of a piece.
const modelBytes = 1<<20 + 12345

// makeModel writes a model into a store.
func makeModel(t *testing.T, dir string, n store.Name) *store.Entry {
	t.Helper()
	weights := make([]byte, modelBytes)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(weights)
	d := store.New(dir).Draft()
	defer d.Discard()
	var layers []store.Layer
	for _, part := range []struct {
		b         []byte
		mediaType string
	}{
		{weights, store.TypeModel}, {[]byte("{{ .Prompt }}"), store.TypeTemplate},
		{[]byte(`{"stop":["x"]}`), store.TypeParams},
	} {
		l, err := d.Add(t.Context(), bytes.NewReader(part.b), part.mediaType)
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, l)
	}
	config, err := d.AddJSON(t.Context(), store.Config{ModelFormat: "gguf"}, store.TypeConfig)
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Commit(n, config, layers)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// pushed returns a proxy before a registry with one model, and its name there.
func pushed(t *testing.T) (*proxy, store.Name, *store.Entry) {
	t.Helper()
	p := newProxy(t, startRegistry(t))
	n := mustName(t, p.host()+"/some/model:1")
	dir := t.TempDir()
	e := makeModel(t, dir, n)
	if err := testClient(t, dir).Push(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return p, n, e
}

func mustName(t *testing.T, text string) store.Name {
	t.Helper()
	n, err := store.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkStore looks whether a store has exactly the model that was pushed, every blob right.
func checkStore(t *testing.T, dir string, n store.Name, want *store.Entry) {
	t.Helper()
	s := store.New(dir)
	got, err := s.Get(n)
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest != want.Digest {
		t.Errorf("the manifest has digest %s, want %s", got.Digest, want.Digest)
	}
	checkBlobs(t, dir)
	for _, l := range got.Manifest.Blobs() {
		if !s.HasBlob(l) {
			t.Errorf("blob %s is missing", l.Digest)
		}
	}
}

// checkBlobs looks whether every blob of a store is what its name says.
func checkBlobs(t *testing.T, dir string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "blobs", "*"))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		if "sha256-"+hex.EncodeToString(sum[:]) != filepath.Base(file) {
			t.Errorf("%s has other bytes than its name says", file)
		}
	}
}

// hasNoModel looks whether a store has no manifest, and no wrong blob.
func hasNoModel(t *testing.T, dir string) {
	t.Helper()
	if models, problems := store.New(dir).List(); len(models) > 0 || len(problems) > 0 {
		t.Errorf("the store has %v, %v", models, problems)
	}
	checkBlobs(t, dir)
}

func background() context.Context { return context.Background() }
