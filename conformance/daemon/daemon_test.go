// Package daemon tests the program as a process that serves real models.
package daemon

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

// daemon is a running program.
type daemon struct {
	t       *testing.T
	program string
	store   string
	address string
	cmd     *exec.Cmd
	log     syncText
}

// syncText is what a process has written so far.
type syncText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *syncText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *syncText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// start builds the program, imports models, given by the name in the store and that of the set, and
// serves them on a free port until the test ends.
func start(t *testing.T, models map[string]string, flags ...string) *daemon {
	t.Helper()
	rt, err := mullama.Open(mullama.Options{})
	if errors.Is(err, mullama.ErrLibraryMissing) && os.Getenv(testmodels.RequireEnv) != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	rt.Close()
	dir := t.TempDir()
	d := &daemon{t: t, program: filepath.Join(dir, "mullama"), store: filepath.Join(dir, "models"),
		address: freeAddress(t)}
	paths := map[string]string{}
	for name, set := range models {
		paths[name] = testmodels.Path(t, set)
	}
	must(t, exec.CommandContext(t.Context(), "go", "build", "-o", d.program, "../../cmd/mullama"))
	for name, path := range paths {
		must(t, exec.CommandContext(t.Context(), d.program, "import", path, name,
			"--models", d.store))
	}
	args := append([]string{"serve", "--host", d.address, "--models", d.store}, flags...)
	d.cmd = exec.Command(d.program, args...)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.end)
	d.wait()
	return d
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

// wait returns when the daemon answers.
func (d *daemon) wait() {
	d.t.Helper()
	for range 1500 {
		resp, err := http.Get("http://" + d.address)
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.t.Fatalf("the daemon does not answer:\n%s", d.log.String())
}

// end tells the daemon to end and checks that it does, with exit code 0.
func (d *daemon) end() {
	ended := make(chan error, 1)
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	go func() { ended <- d.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			d.t.Errorf("the daemon ended with %v", err)
		}
	case <-time.After(time.Minute):
		_ = d.cmd.Process.Kill()
		d.t.Error("the daemon did not end when told to")
	}
	if d.t.Failed() {
		log := d.log.String()
		d.t.Logf("the end of the daemon's log:\n%s", log[max(0, len(log)-20_000):])
	}
}

// TestASoak keeps a daemon with two models busy for a short time. The program says with its exit
// code whether anything was lost or leaked.
func TestASoak(t *testing.T) {
	d := start(t, map[string]string{"smollm2": "smollm2", "gemma3": "gemma270"})
	out, err := exec.CommandContext(t.Context(), d.program, "bench", "soak",
		"--url", "http://"+d.address, "--models", "smollm2,gemma3", "--duration", "15s",
		"--clients", "16", "--limit", "3m").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("soak: %v", err)
	}
	for _, bad := range []string{"level=ERROR", "panic", "DATA RACE"} {
		if strings.Contains(d.log.String(), bad) {
			t.Errorf("the daemon's log has %q", bad)
		}
	}
}

// TestAShortQueueIsObeyed has more clients than slots and places in the queue.
func TestAShortQueueIsObeyed(t *testing.T) {
	d := start(t, map[string]string{"smollm2": "smollm2"}, "--max-queue", "2", "--parallel", "2")
	out, err := exec.CommandContext(t.Context(), d.program, "bench", "soak",
		"--url", "http://"+d.address, "--models", "smollm2", "--duration", "5s",
		"--clients", "12", "--limit", "3m").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("soak: %v", err)
	}
	if !strings.Contains(d.log.String(), "status=503") {
		t.Error("nothing was refused")
	}
}

func TestASecondDaemonSaysWhyItCannotStart(t *testing.T) {
	d := start(t, map[string]string{"smollm2": "smollm2"})
	out, err := exec.CommandContext(t.Context(), d.program, "serve", "--host", d.address,
		"--models", d.store).CombinedOutput()
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || exit.ExitCode() != 1 ||
		!strings.HasPrefix(string(out), "mullama: "+d.address+" is in use") ||
		strings.Count(string(out), "\n") != 2 { // a sentence and a hint
		t.Errorf("a second daemon ended with %v:\n%s", err, out)
	}
	d.wait()
}
