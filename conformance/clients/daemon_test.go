// Package clients drives the daemon with the official clients of other projects.
package clients

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

const (
	model = "smollm2"
	// keenerModel is for the tests that need an answer to be of use.
	keenerModel = "qwen05"
)

// shared is the daemon that all tests use, so that the model is imported and loaded once.
var shared daemon

func TestMain(m *testing.M) {
	code := m.Run()
	if err := shared.end(); err != nil {
		fmt.Fprintf(os.Stderr, "%v; its log:\n%s", err, shared.log.Bytes())
		code = max(code, 1)
	}
	os.Exit(code)
}

// serving gives the address of the daemon, which has these models.
func serving(t *testing.T, models ...string) (url string) {
	t.Helper()
	openLibrary(t)
	files := make(map[string]string)
	for _, name := range models {
		files[name] = testmodels.Path(t, name)
	}
	if err := shared.serve(files); err != nil {
		t.Fatal(err)
	}
	return "http://" + shared.address
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

// A daemon is the program, serving a store of its own at a free port.
type daemon struct {
	folder  string
	address string
	has     map[string]bool // models that were imported
	server  *exec.Cmd
	log     bytes.Buffer
}

// serve sees to it that the daemon runs and has the models, whose files are given by name.
func (d *daemon) serve(files map[string]string) error {
	if d.server == nil {
		if err := d.start(); err != nil {
			return err
		}
	}
	for name, file := range files {
		if d.has[name] {
			continue
		}
		if err := call(d.program(), "import", file, name, "--models", d.store()); err != nil {
			return err
		}
		d.has[name] = true
	}
	return nil
}

func (d *daemon) program() string { return filepath.Join(d.folder, "mullama") }
func (d *daemon) store() string   { return filepath.Join(d.folder, "models") }

// start builds the program and waits until it answers.
func (d *daemon) start() (err error) {
	d.has = make(map[string]bool)
	if d.folder, err = os.MkdirTemp("", "mullama-clients-"); err != nil {
		return err
	}
	if err := call("go", "build", "-o", d.program(), "../../cmd/mullama"); err != nil {
		return err
	}
	if d.address, err = freeAddress(); err != nil {
		return err
	}
	server := exec.Command(d.program(), "serve", "--host", d.address, "--models", d.store())
	server.Stdout, server.Stderr = &d.log, &d.log
	if err := server.Start(); err != nil {
		return err
	}
	d.server = server
	return waitFor("http://" + d.address)
}

// end tells the daemon to end and reports whether it did so cleanly.
func (d *daemon) end() error {
	defer os.RemoveAll(d.folder)
	if d.server == nil {
		return nil
	}
	_ = d.server.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- d.server.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("the daemon ended with %w", err)
		}
		return nil
	case <-time.After(40 * time.Second):
		_ = d.server.Process.Kill()
		<-ended
		return errors.New("the daemon did not end when told to")
	}
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
	defer listener.Close()
	return listener.Addr().String(), nil
}

func waitFor(url string) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp, err := http.Get(url)
		if err == nil {
			return resp.Body.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the daemon does not answer: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
