package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// gate lets nobody through to a registry who has no token, and gives one to who shows a key.
type gate struct {
	*httptest.Server
	t     *testing.T
	realm string // "": its own

	mu   sync.Mutex
	keys map[string]int // public keys that were shown
}

const goodToken = "Bearer good"

func newGate(t *testing.T, behind http.Handler) *gate {
	t.Helper()
	g := &gate{t: t, keys: map[string]int{}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			g.token(w, r)
			return
		}
		if r.Header.Get("Authorization") != goodToken {
			realm := g.realm
			if realm == "" {
				realm = g.URL + "/token"
			}
			w.Header().Set("WWW-Authenticate",
				`Bearer realm="`+realm+`",service="a registry",scope="repository:some/model:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gate) host() string { return strings.TrimPrefix(g.URL, "http://") }

// token checks a signature as Ollama's registry does.
func (g *gate) token(w http.ResponseWriter, r *http.Request) {
	public, signature, ok := strings.Cut(r.Header.Get("Authorization"), ":")
	if !ok {
		_ = json.NewEncoder(w).Encode(map[string]string{"token": ""})
		return
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte("ssh-ed25519 " + public))
	blob, err2 := base64.StdEncoding.DecodeString(signature)
	if err := errors.Join(err, err2); err != nil {
		g.t.Errorf("the authorisation %q: %v", r.Header.Get("Authorization"), err)
		return
	}
	const emptyHash = "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5" +
		"NTk5MWI3ODUyYjg1NQ=="
	text := "GET," + g.URL + r.URL.RequestURI() + "," + emptyHash
	shown := &ssh.Signature{Format: "ssh-ed25519", Blob: blob}
	if err := key.Verify([]byte(text), shown); err != nil {
		g.t.Errorf("the signature of %q: %v", text, err)
	}
	for _, field := range []string{"ts", "nonce", "service", "scope"} {
		if r.URL.Query().Get(field) == "" {
			g.t.Errorf("the token is asked for without %s: %s", field, r.URL.RawQuery)
		}
	}
	g.mu.Lock()
	g.keys[public]++
	g.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]string{"token": "good"})
}

func TestTheUserSignsInWithAKeyThatIsMadeOnce(t *testing.T) {
	p, n, want := pushed(t)
	g := newGate(t, p)
	dir, keys := t.TempDir(), filepath.Join(t.TempDir(), "new")
	n.Host = g.host()
	for _, dir := range []string{dir, t.TempDir()} {
		c := testClient(t, dir, func(o *Options) { o.KeyDir = keys })
		if _, err := c.Pull(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		checkStore(t, dir, n, want)
	}
	if len(g.keys) != 1 {
		t.Errorf("the keys were %v", g.keys)
	}
	for file, mode := range map[string]os.FileMode{"id_ed25519": 0o600, "id_ed25519.pub": 0o644} {
		info, err := os.Stat(filepath.Join(keys, file))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	files, _ := os.ReadDir(keys)
	if len(files) != 2 {
		t.Errorf("the folder of the keys has %v", files)
	}
	n.Tag = "pushed"
	makeModel(t, dir, n)
	c := testClient(t, dir, func(o *Options) { o.KeyDir = keys })
	if err := c.Push(t.Context(), n); err != nil {
		t.Errorf("push: %v", err)
	}
}

func TestASignatureGoesToTheRegistryAlone(t *testing.T) {
	p, n, _ := pushed(t)
	g, stranger := newGate(t, p), newGate(t, p)
	g.realm = stranger.URL + "/token"
	n.Host = g.host()
	_, err := testClient(t, t.TempDir()).Pull(t.Context(), n)
	if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "no token") {
		t.Errorf("the error is %v", err)
	}
	if len(stranger.keys) != 0 {
		t.Errorf("a stranger was shown %v", stranger.keys)
	}
}

func TestATokenGoesToTheRegistryAlone(t *testing.T) {
	p, n, want := pushed(t)
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("the storage was shown %q", got)
		}
		p.ServeHTTP(w, r)
	}))
	defer storage.Close()
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, storage.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		p.ServeHTTP(w, r)
	}))
	n.Host = g.host()
	dir := t.TempDir()
	if _, err := testClient(t, dir).Pull(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	checkStore(t, dir, n, want)
}

func TestManyMakeOneKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	var all sync.WaitGroup
	keys := make([]string, 8)
	for i := range keys {
		all.Go(func() {
			key, err := loadKey(dir)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = string(key.PublicKey().Marshal())
		})
	}
	all.Wait()
	for _, key := range keys {
		if key != keys[0] {
			t.Fatal("they have made several keys")
		}
	}
	public, err := os.ReadFile(filepath.Join(dir, "id_ed25519.pub"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, _, _, _, err := ssh.ParseAuthorizedKey(public)
	if err != nil || string(parsed.Marshal()) != keys[0] {
		t.Errorf("the public key is another one: %v", err)
	}
}
