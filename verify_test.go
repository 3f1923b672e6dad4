package mullama_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testregistry"
)

func TestDamagedFilesAreFoundAndFetchedAnew(t *testing.T) {
	rt, dir, _ := withStore(t)
	registry := testregistry.New(t)
	name := registry.Host() + "/some/model:1"
	digest := addFile(t, rt, tinyFile(t, synth.Options{}))
	o := full(map[string]string{"tiny.gguf": digest})
	if _, err := rt.Create(t.Context(), name, o); err != nil {
		t.Fatal(err)
	}
	if err := rt.Push(t.Context(), name, &insecure); err != nil {
		t.Fatal(err)
	}
	if err := rt.Copy(name, "second"); err != nil {
		t.Fatal(err)
	}
	if bad, err := rt.Verify(t.Context(), nil); len(bad) > 0 || err != nil {
		t.Fatalf("got %+v, %v", bad, err)
	}
	path := filepath.Join(dir, "blobs", strings.Replace(digest, ":", "-", 1))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	bad, err := rt.Verify(t.Context(), nil)
	if err != nil || len(bad) != 1 || bad[0].Digest != digest || len(bad[0].Models) != 2 ||
		!strings.Contains(bad[0].Err.Error(), "damaged") {
		t.Fatalf("got %+v, %v", bad, err)
	}
	repair := &mullama.VerifyOptions{Repair: true, TransferOptions: insecure}
	bad, err = rt.Verify(t.Context(), repair)
	if err != nil || len(bad) != 1 || !bad[0].Mended || registry.Served(digest) == 0 {
		t.Fatalf("got %+v, %v", bad, err)
	}
	if bad, err := rt.Verify(t.Context(), nil); len(bad) > 0 || err != nil {
		t.Errorf("after it: %+v, %v", bad, err)
	}
}

func TestPruneRemovesWhatNoModelHas(t *testing.T) {
	rt, dir, _ := withStore(t)
	importModel(t, rt, "kept", synth.Options{})
	digest := addFile(t, rt, tinyFile(t, synth.Options{Seed: 7}))
	partial := filepath.Join(dir, ".mullama-partial", strings.Replace(digest, ":", "-", 1))
	if err := os.MkdirAll(filepath.Dir(partial), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{partial, partial + ".journal"} {
		if err := os.WriteFile(file, []byte("left"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if freed, err := rt.Prune(time.Hour); freed != 0 || err != nil {
		t.Errorf("what is fresh: %d bytes, %v", freed, err)
	}
	freed, err := rt.Prune(0)
	if err != nil || freed <= 8 {
		t.Errorf("got %d bytes, %v", freed, err)
	}
	if has, err := rt.HasBlob(digest); has || err != nil {
		t.Errorf("it is still there: %v", err)
	}
	if bad, err := rt.Verify(t.Context(), nil); len(bad) > 0 || err != nil {
		t.Errorf("what a model has is gone: %+v, %v", bad, err)
	}
	if _, err := os.Stat(partial); err == nil {
		t.Error("what is left of a pull is still there")
	}
}

func TestAStoreThatIsNotThereIsNotVerified(t *testing.T) {
	rt, dir, _ := withStore(t)
	_, err := rt.Verify(t.Context(), nil)
	wantKind(t, err, mullama.ErrNotFound, dir)
	_, err = rt.Prune(0)
	wantKind(t, err, mullama.ErrNotFound, dir)
	if _, err := os.Stat(dir); err == nil {
		t.Error("it was made")
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = rt.Verify(t.Context(), nil); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a file in its place: %v", err)
	}
}

func TestADamagedManifestDoesNotHideTheRest(t *testing.T) {
	rt, dir, _ := withStore(t)
	importModel(t, rt, "kept", synth.Options{})
	m := importModel(t, rt, "worse", synth.Options{Seed: 5})
	file := filepath.Join(dir, "manifests", "registry.ollama.ai", "library", "bad", "latest")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.Path); err != nil {
		t.Fatal(err)
	}
	bad, err := rt.Verify(t.Context(), nil)
	if err != nil || len(bad) != 2 || bad[0].Digest != "" || bad[1].Digest == "" ||
		!strings.Contains(bad[0].Err.Error(), file) {
		t.Errorf("got %+v, %v", bad, err)
	}
	_, err = rt.Find("bad")
	text := ""
	if e := (*mullama.Error)(nil); errors.As(err, &e) {
		text = e.Error() + "; " + e.Hint
	}
	if strings.Count(text, "pull or create the model again") != 1 {
		t.Errorf("what to do is said once, not in %q", text)
	}
}
