// Package testdaemon runs the program as a process that serves, for tests from outside.
package testdaemon

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

// Daemon is the program with a store of its own. Methods are for one goroutine, but for Log.
type Daemon struct {
	Program string // built from this checkout
	Store   string
	Address string // that Serve listens on

	folder string
	cmd    *exec.Cmd
	log    syncText
}

// syncText is what a process has written so far.
type syncText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *syncText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// program builds the program once for a package whose tests [Main] runs.
var program func() (string, error)

// Main runs the tests of a package that starts several daemons: all share one build of the program.
func Main(m *testing.M) int {
	folder, err := os.MkdirTemp("", "mullama-program-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	program = sync.OnceValues(func() (string, error) { return build(folder) })
	return m.Run()
}

// build builds the program in a folder.
func build(folder string) (string, error) {
	path := filepath.Join(folder, "mullama")
	return path, call("go", "build", "-o", path, "github.com/mullama/mullama/cmd/mullama")
}

// New builds the program, makes an empty store and finds a free port. The caller calls End.
func New() (*Daemon, error) {
	folder, err := os.MkdirTemp("", "mullama-daemon-")
	if err != nil {
		return nil, err
	}
	d := &Daemon{folder: folder, Store: filepath.Join(folder, "models")}
	if program != nil {
		d.Program, err = program()
	} else {
		d.Program, err = build(folder)
	}
	if err == nil {
		d.Address, err = freeAddress()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return d, nil
}

// Start imports models, given by the name in the store and that of the set, and serves them until
// the test ends. Then the daemon must end with exit code 0.
func Start(t testing.TB, models map[string]string, flags ...string) *Daemon {
	t.Helper()
	RequireLibrary(t)
	paths := map[string]string{}
	for name, set := range models {
		paths[name] = testmodels.Path(t, set)
	}
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.End(); err != nil {
			t.Error(err)
		}
		if log := d.Log(); t.Failed() {
			t.Logf("the end of the daemon's log:\n%s", log[max(0, len(log)-20_000):])
		}
	})
	for name, path := range paths {
		if err := d.Import(path, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Serve(flags...); err != nil {
		t.Fatal(err)
	}
	return d
}

func call(program string, arguments ...string) error {
	cmd := exec.Command(program, arguments...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// Import puts a model's file into the store. The daemon may run.
func (d *Daemon) Import(file, name string) error {
	return call(d.Program, "import", file, name, "--models", d.Store)
}

// Serve starts `mullama serve` with further flags and returns when it answers.
func (d *Daemon) Serve(flags ...string) error {
	args := append([]string{"serve", "--host", d.Address, "--models", d.Store}, flags...)
	cmd := exec.Command(d.Program, args...)
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	if err := cmd.Start(); err != nil {
		return err
	}
	d.cmd = cmd
	return d.Wait()
}

// Wait returns when the daemon answers.
func (d *Daemon) Wait() error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(d.URL())
		if err == nil {
			return resp.Body.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the daemon does not answer: %w\n%s", err, d.Log())
		}
	}
}

// URL is where the daemon answers.
func (d *Daemon) URL() string { return "http://" + d.Address }

// CPUTime is what all threads of the daemon have computed, as /proc has it.
func (d *Daemon) CPUTime(t testing.TB) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), ") ") // what stands before has the program's name
	fields := strings.Fields(after)
	total := 0
	for _, ticks := range fields[11:13] { // in hundredths of a second: of the user, of the system
		n, err := strconv.Atoi(ticks)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return time.Duration(total) * 10 * time.Millisecond
}

// Log is what the daemon has written so far.
func (d *Daemon) Log() string {
	d.log.mu.Lock()
	defer d.log.mu.Unlock()
	return d.log.text.String()
}

// End tells the daemon to end, if it runs, and removes all files. It reports an exit code that is
// not 0.
func (d *Daemon) End() error {
	defer func() { _ = os.RemoveAll(d.folder) }()
	if d.cmd == nil {
		return nil
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- d.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("the daemon ended with %w", err)
		}
		return nil
	case <-time.After(40 * time.Second):
		_ = d.cmd.Process.Kill()
		return errors.Join(errors.New("the daemon did not end when told to"), <-ended)
	}
}

// RequireLibrary skips a test where the native library was not built.
func RequireLibrary(t testing.TB) {
	t.Helper()
	rt, err := mullama.Open(mullama.Options{})
	if errors.Is(err, mullama.ErrLibraryMissing) && os.Getenv(testmodels.RequireEnv) != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = rt.Close()
}
