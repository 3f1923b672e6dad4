//go:build linux || darwin

package mullama_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testregistry"
)

// smallFilesVariable makes the test program pull a model while it may write small files alone:
// "FOLDER NAME".
const smallFilesVariable = "MULLAMA_TEST_SMALL_FILES"

func init() {
	folder, name, ok := strings.Cut(os.Getenv(smallFilesVariable), " ")
	if !ok {
		return
	}
	const most = 64 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE,
		&syscall.Rlimit{Cur: most, Max: most}); err != nil {
		os.Exit(2)
	}
	rt, err := mullama.Open(mullama.Options{ModelsDir: folder, KeyDir: filepath.Dir(folder)})
	if err == nil {
		_, err = rt.Pull(context.Background(), name, &insecure)
	}
	if err != nil {
		os.Stdout.WriteString(mullama.ErrorName(err) + " " + err.Error())
	}
	os.Exit(0)
}

func TestAPullThatCannotWriteSaysSoAndLeavesTheStoreWhole(t *testing.T) {
	registry := testregistry.New(t)
	name := registry.Host() + "/some/model:1"
	maker, _, _ := withStore(t)
	digest := addFile(t, maker, tinyFile(t, synth.Options{}))
	o := &mullama.CreateOptions{Files: map[string]string{"tiny.gguf": digest}}
	if _, err := maker.Create(t.Context(), name, o); err != nil {
		t.Fatal(err)
	}
	if err := maker.Push(t.Context(), name, &insecure); err != nil {
		t.Fatal(err)
	}
	rt, dir, _ := withStore(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), smallFilesVariable+"="+dir+" "+name)
	said, err := cmd.Output()
	if err != nil {
		t.Skipf("the size of files cannot be limited here: %v", err)
	}
	if !strings.HasPrefix(string(said), "store ") || !strings.Contains(string(said), dir) ||
		!strings.Contains(string(said), "file too large") {
		t.Errorf("it said %q", said)
	}
	if bad, err := rt.Verify(t.Context(), nil); err != nil || len(bad) > 0 {
		t.Errorf("the store has %+v, %v", bad, err)
	}
	if _, err := rt.Find(name); err == nil {
		t.Error("half a model is there")
	}
	if _, err := rt.Pull(t.Context(), name, &insecure); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
