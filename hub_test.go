package mullama_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/synth"
)

// hub serves files of one repository, user/repo, at revision "main" and "old", to who has a token.
func hub(t *testing.T, files map[string][]byte) (address string) {
	t.Helper()
	type object = map[string]any
	var siblings []object
	for name, b := range files {
		sum := sha256.Sum256(b)
		siblings = append(siblings, object{"rfilename": name, "size": len(b),
			"lfs": object{"sha256": hex.EncodeToString(sum[:]), "size": len(b)}})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/api/models/user/repo/revision/") {
			_ = json.NewEncoder(w).Encode(object{"siblings": siblings})
			return
		}
		name, ok := strings.CutPrefix(r.URL.Path, "/user/repo/resolve/main/")
		if !ok {
			name = strings.TrimPrefix(r.URL.Path, "/user/repo/resolve/old/")
		}
		b, ok := files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(b)))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// split writes a model as two files, as llama-gguf-split does.
func split(t *testing.T, path string) (first, second []byte) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var parts [2][]byte
	for n := range parts {
		var w gguf.Writer
		for _, key := range f.Keys {
			value, err := key.Value.Any(), error(nil)
			if value == nil {
				value, err = f.Array(key.Name)
			}
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				w.Set(key.Name, value)
			}
		}
		w.Set("split.no", uint16(n))
		w.Set("split.count", uint16(2))
		w.Set("split.tensors.count", int32(len(f.Tensors)))
		for i, tensor := range f.Tensors {
			if (i < len(f.Tensors)/2) == (n == 0) {
				data := whole[f.DataOffset+tensor.Offset:][:tensor.Size]
				w.Add(tensor.Name, tensor.Type, tensor.Dims, func(out io.Writer) error {
					_, err := out.Write(data)
					return err
				})
			}
		}
		file := filepath.Join(t.TempDir(), "part")
		out, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteTo(out); err != nil {
			t.Fatal(err)
		}
		out.Close()
		if parts[n], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return parts[0], parts[1]
}

func TestFilesOfAHubArePulledAndPartsMerged(t *testing.T) {
	openRuntime(t) // or skips the test
	dir := t.TempDir()
	path := tinyFile(t, synth.Options{})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, second := split(t, path)
	address := hub(t, map[string][]byte{"tiny-Q4_K_M.gguf": whole, "mmproj-tiny-Q8_0.gguf": {1},
		"big/tiny-F16-00001-of-00002.gguf": first, "big/tiny-F16-00002-of-00002.gguf": second})
	open := func(token string) *mullama.Runtime {
		rt, err := mullama.Open(mullama.Options{ModelsDir: dir, HubURL: address, HubToken: token})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { rt.Close() })
		return rt
	}
	rt := open("secret")
	for name, want := range map[string]string{
		"hf:user/repo":                       "hf.co/user/repo:Q4_K_M",
		"hf:user/repo:q4_k_m@old":            "hf.co/user/repo:Q4_K_M-old",
		"hf:user/repo:tiny-Q4_K_M.gguf":      "hf.co/user/repo:Q4_K_M",
		"hf:user/repo:F16":                   "hf.co/user/repo:F16",
		"hf:user/repo:mmproj-tiny-x.gguf":    "has no mmproj-tiny-x.gguf; it has",
		"hf:user":                            "is not hf:user/repository",
		"hf:user/repo:../../etc/passwd":      "is not hf:user/repository",
		"hf:user/repo:mmproj-tiny-Q8_0.gguf": "GGUF",
	} {
		m, err := rt.Pull(t.Context(), name, &insecure)
		if got := fmt.Sprint(err); err != nil && !strings.Contains(got, want) ||
			err == nil && m.Name != want {
			t.Errorf("%s: got %v, %v; want %q", name, m, err, want)
		}
	}
	noLeftovers(t, dir)
	merged, err := rt.Find("hf.co/user/repo:F16")
	if err != nil {
		t.Fatal(err)
	}
	original := load(t, rt, path, mullama.LoadOptions{})
	options := &mullama.GenerateOptions{MaxTokens: 8, Sampling: &mullama.Sampling{}}
	want := text(t, original, options)
	if got := text(t, load(t, rt, merged.Path, mullama.LoadOptions{}), options); got != want {
		t.Errorf("the merged model says %q, want %q", got, want)
	}
	_, err = open("wrong").Pull(t.Context(), "hf:user/repo", &insecure)
	if !errors.Is(err, mullama.ErrNotFound) {
		t.Errorf("without a token: %v", err)
	}
}

// text continues a prompt.
func text(t *testing.T, m *mullama.Model, o *mullama.GenerateOptions) string {
	t.Helper()
	stream, err := m.Generate(t.Context(), "the", o)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var all strings.Builder
	for {
		chunk, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return all.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(chunk.Text)
	}
}
