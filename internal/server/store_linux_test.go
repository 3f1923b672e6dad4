package server

import (
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// TestAStoreThatCannotBeWrittenServesItsModels makes the disk of a store read-only below a server.
func TestAStoreThatCannotBeWrittenServesItsModels(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("cannot mount a disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f := newFakeOf(t, mullama.Options{ModelsDir: dir}, synth.Options{})
	server := httptest.NewServer(New(f, Config{Defaults: testLoad}).Handler())
	t.Cleanup(server.Close)
	s := &site{server, t, f, nil}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("cannot make a disk read-only: %v", err)
	}
	for _, r := range []struct{ method, path, body string }{
		{"POST", "/api/copy", `{"source":"tiny","destination":"other"}`},
		{"DELETE", "/api/delete", `{"model":"tiny"}`},
	} {
		status, body := s.send(r.method, r.path, r.body)
		text, err := sentence(body)
		if status != 500 || err != nil || !strings.Contains(text, "read-only file system") {
			t.Errorf("%s: status %d, %s, %v", r.path, status, text, err)
		}
	}
	s.ok("POST", "/api/generate", object{"model": "tiny", "prompt": "a", "stream": false,
		"options": greedy(2)})
	if models := s.ok("GET", "/api/tags", nil)["models"].([]any); len(models) != 1 {
		t.Errorf("the models are %v", models)
	}
}
