package registry

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mullama/mullama/internal/store"
)

// FuzzParseHubName checks that a name that is accepted asks for something in the repository that it
// names, and has a name in the store.
func FuzzParseHubName(f *testing.F) {
	for _, seed := range []string{"hf:user/repository", "hf:user/repository:Q4_K_M",
		"hf:u/r:folder/m-00001-of-00002.gguf@v1", "hf:u/r:../../x", "hf:../r", "hf:u/r@a/b",
		"hf:u/r:m.gguf@refs/pr/1", "hf:/", "hf:u/..", "hf:u/r:\x00", "hf:u/r@.",
		"hf:u/r@.."} {
		f.Add(seed)
	}
	base := &url.URL{Scheme: "https", Host: "hub.example"}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHubName(text)
		if err != nil {
			return
		}
		at := base.JoinPath("api", "models", h.User, h.Repository, "revision",
			url.PathEscape(h.Revision))
		inside := "https://hub.example/api/models/" + h.User + "/" + h.Repository + "/revision/"
		if !strings.HasPrefix(at.String(), inside) {
			t.Fatalf("%q asks for %s", text, at)
		}
		n, err := h.Name(h.File)
		if err == nil && (n.Host != "hf.co" || n.Namespace != h.User || n.Model != h.Repository) {
			t.Fatalf("%q is stored as %s", text, n)
		}
	})
}

// FuzzJournal checks that no journal says anything about pieces that there are not.
func FuzzJournal(f *testing.F) {
	const size, pieceSize = 1000, 64
	head := journalHead(size, pieceSize)
	for _, seed := range []string{"", head, head + "0 00000000\n", head + "15 ffffffff\n16 0\n-1 0",
		head + "1 0123456", "mullama-partial 2 9223372036854775807 1\n",
		"mullama-partial 2 -1 -1\n1 2\n", head + strings.Repeat("1", 70_000)} {
		f.Add([]byte(seed))
	}
	file := filepath.Join(f.TempDir(), "journal")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		pieces := readJournal(file, size, pieceSize)
		if len(pieces) != countPieces(size, pieceSize) {
			t.Fatalf("%d pieces", len(pieces))
		}
		if !strings.HasPrefix(string(b), strings.TrimSuffix(head, "\n")) {
			for i := range pieces {
				if pieces[i] != nil {
					t.Fatalf("piece %d of another file is there", i)
				}
			}
		}
		if n := journalBytes(file); n < 0 {
			t.Fatalf("%d bytes are there", n)
		}
	})
}

// FuzzAnswer checks what is made of the headers and the body that a registry refuses with: a
// message of some length that can be printed, and a time to wait.
func FuzzAnswer(f *testing.F) {
	f.Add(`Bearer realm="https://x/token",service="x",scope="a b"`, "120", `{"error":"no"}`)
	f.Add(`Basic realm="x"`, "Wed, 21 Oct 2037 07:28:00 GMT",
		`{"errors":[{"code":"X","message":"\u0000\u001b[2J"}]}`)
	f.Add(`bearer realm="`, "-1", "\xff\xfe")
	f.Fuzz(func(t *testing.T, wants, after, body string) {
		if c, ok := parseChallenge(wants); ok && c.realm == "" {
			t.Fatalf("%q has no realm", wants)
		}
		resp := &http.Response{Status: "429 Too Many Requests", StatusCode: 429,
			Header:  http.Header{"Retry-After": {after}},
			Body:    http.NoBody,
			Request: &http.Request{URL: &url.URL{Host: "registry.example"}}}
		if wait := retryAfter(resp); wait < 0 {
			t.Fatalf("%q is %s", after, wait)
		}
		text := serverMessage([]byte(body))
		if len(text) > 1000 || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\x00\x1b") {
			t.Fatalf("%q is told as %q", body, text)
		}
		if m, err := store.ParseManifest([]byte(body)); err == nil && m == nil {
			t.Fatal("a manifest that is none, without an error")
		}
	})
}
