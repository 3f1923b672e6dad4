package cli

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
)

// fakeStore remembers what was imported.
type fakeStore struct {
	options    mullama.Options
	name, path string
	err        error
}

func (s *fakeStore) Import(_ context.Context, name, path string) (*mullama.StoredModel, error) {
	s.name, s.path = name, path
	return &mullama.StoredModel{Name: name + ":latest"}, s.err
}

func (s *fakeStore) Verify(
	_ context.Context, o *mullama.VerifyOptions,
) ([]mullama.BadBlob, error) {
	bad := mullama.BadBlob{Digest: "sha256:ab", Models: []string{"a:1", "b:1"}, Mended: o.Repair,
		Err: errors.New("blob sha256:ab is damaged")}
	return []mullama.BadBlob{bad}, s.err
}

func (s *fakeStore) Prune(age time.Duration) (int64, error) {
	return int64(age / time.Second), s.err
}

func (s *fakeStore) Close() error { return nil }

func TestVerifyAndPruneSayWhatTheyFound(t *testing.T) {
	lost := "sha256:ab of a:1, b:1: blob sha256:ab is damaged\n"
	got := runStore(t, &fakeStore{}, "verify")
	if got.code != exitFailed || got.out != lost ||
		!strings.Contains(got.err, "1 file is damaged\nhint: 'mullama verify --repair'") {
		t.Errorf("got %+v", got)
	}
	got = runStore(t, &fakeStore{}, "verify", "--repair")
	if got != (outcome{0, "sha256:ab of a:1, b:1: mended\n", ""}) {
		t.Errorf("got %+v", got)
	}
	got = runStore(t, &fakeStore{}, "prune", "--older-than", "2s")
	if got != (outcome{0, "removed 2 B\n", ""}) {
		t.Errorf("got %+v", got)
	}
}

func runImport(t *testing.T, s *fakeStore, args ...string) outcome {
	t.Helper()
	return runStore(t, s, append([]string{"import"}, args...)...)
}

func runStore(t *testing.T, s *fakeStore, args ...string) outcome {
	t.Helper()
	a, out, errOut := testApp(newFake(), "")
	a.openStore = func(o mullama.Options) (modelStore, error) { s.options = o; return s, nil }
	code := a.execute(t.Context(), args)
	return outcome{code, out.String(), errOut.String()}
}

func TestImportNamesTheModelAfterItsFile(t *testing.T) {
	for path, want := range map[string]string{
		"SmolLM2-135M-Instruct.Q4_1.gguf": "smollm2-135m-instruct.q4_1",
		"dir/My Model (1).GGUF":           "my-model-1",
	} {
		s := &fakeStore{}
		got := runImport(t, s, path)
		if got.code != 0 || s.name != want || s.path != path {
			t.Errorf("%q was imported as %q, %+v; want %q", path, s.name, got, want)
		}
	}
}

func TestImportTakesANameAndAFolder(t *testing.T) {
	s, dir := &fakeStore{}, t.TempDir()
	got := runImport(t, s, "x.gguf", "user/x:1", "--models", dir)
	if got != (outcome{0, "imported 'x.gguf' as 'user/x:1:latest'\n", ""}) || s.name != "user/x:1" {
		t.Errorf("got %+v, name %q", got, s.name)
	}
	if s.options.ModelsDir != filepath.Clean(dir) {
		t.Errorf("the store is %q, want %q", s.options.ModelsDir, dir)
	}
	s.err = &mullama.Error{Kind: mullama.ErrNotFound, Op: "read x", Err: errors.New("no such file")}
	if got := runImport(t, s, "x.gguf"); got.code != exitNotFound {
		t.Errorf("a missing file: %+v", got)
	}
	if got := runImport(t, s); got.code != exitUsage {
		t.Errorf("no file: %+v", got)
	}
}
