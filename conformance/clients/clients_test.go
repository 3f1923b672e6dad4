// Package clients drives the daemon with the official clients of other projects.
package clients

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

const model = "smollm2"

// TestPythonClients runs the tests beside this file, which use the packages ollama, openai and
// litellm, against a daemon with a real model.
func TestPythonClients(t *testing.T) {
	python := clientPython(t)
	url := startDaemon(t)
	cmd := exec.CommandContext(t.Context(), python, "-m", "pytest", "-q", "--no-header",
		"-p", "no:cacheprovider", "-W", "ignore", ".")
	cmd.Env = append(os.Environ(), "MULLAMA_URL="+url, "MULLAMA_MODEL="+model,
		"PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1", "LITELLM_LOCAL_MODEL_COST_MAP=True")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("pytest: %v", err)
	}
}

// clientPython is the interpreter of the environment that conformance/setup.sh makes.
func clientPython(t *testing.T) string {
	t.Helper()
	dir, err := testmodels.Dir()
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(filepath.Dir(dir), "venv-clients", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		if os.Getenv(testmodels.RequireEnv) == "1" {
			t.Fatal(err)
		}
		t.Skipf("the clients are not set up (%v); run conformance/setup.sh", err)
	}
	return python
}

// startDaemon builds the program, imports the model and serves it on a free port until the test
// ends.
func startDaemon(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	program, store := filepath.Join(dir, "mullama"), filepath.Join(dir, "models")
	must(t, exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/mullama"))
	openLibrary(t)
	file := testmodels.Path(t, model)
	must(t, exec.CommandContext(t.Context(), program, "import", file, model, "--models", store))
	address := freeAddress(t)
	cmd := exec.Command(program, "serve", "--host", address, "--models", store)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endDaemon(t, cmd, &log) })
	waitFor(t, "http://"+address)
	return "http://" + address
}

// openLibrary skips where the native library was not built.
func openLibrary(t *testing.T) {
	t.Helper()
	rt, err := mullama.Open(mullama.Options{})
	if errors.Is(err, mullama.ErrLibraryMissing) && os.Getenv(testmodels.RequireEnv) != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	rt.Close()
}

func must(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func waitFor(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatal(fmt.Errorf("the daemon does not answer: %w", err))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// endDaemon tells the daemon to end and checks that it does, cleanly.
func endDaemon(t *testing.T, cmd *exec.Cmd, log *strings.Builder) {
	t.Helper()
	ended := make(chan error, 1)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	case <-time.After(40 * time.Second):
		_ = cmd.Process.Kill()
		t.Error("the daemon did not end when told to")
	}
	if t.Failed() {
		t.Logf("the daemon's log:\n%s", log)
	}
}
