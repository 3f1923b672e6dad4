package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/instance"
)

func TestCreateLinksFilesOfADaemonOnThisMachine(t *testing.T) {
	dir := t.TempDir()
	models, cache := filepath.Join(dir, "models"), filepath.Join(dir, "cache")
	d := &storeDaemon{t: t, blobs: map[string][]byte{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		digest, isBlob := strings.CutPrefix(r.URL.Path, "/api/blobs/sha256:")
		if !isBlob {
			d.ServeHTTP(w, r)
		} else if r.Method != http.MethodHead {
			t.Error("the file is sent")
		} else if _, err := os.Stat(filepath.Join(models, "blobs", "sha256-"+digest)); err != nil {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	release, err := instance.At(cache, address, "").Hold(instance.Record{Models: models})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for name, text := range map[string]string{"Modelfile": "FROM ./model.gguf",
		"model.gguf": "the weights"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := runWith(newFake(), environment{host: server.URL, cacheDir: cache}, "", "create", "made",
		"-f", filepath.Join(dir, "Modelfile"))
	if got.code != 0 || d.created.Files["model.gguf"] != digestOf("the weights") {
		t.Errorf("got %+v, asked for %+v", got, d.created)
	}
}
