package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/mullama/mullama/internal/testmodels"
)

const (
	program    = "bin/mullama"
	startLimit = 30 * time.Second
	stopLimit  = 20 * time.Second
)

// daemon is a `mullama serve` on a free port of this machine with a store of its own.
type daemon struct {
	address string // "127.0.0.1:12345"
	store   string
	cmd     *exec.Cmd
}

// startDaemon starts a daemon whose store has the test models under the given names, with further
// environment variables.
func startDaemon(
	ctx context.Context, log io.Writer, env []string, models map[string]string,
) (*daemon, error) {
	store, err := os.MkdirTemp("", "mullama-store-")
	if err != nil {
		return nil, err
	}
	d := &daemon{store: store}
	for name, set := range models {
		if err := d.importModel(ctx, name, set); err != nil {
			return nil, errors.Join(err, os.RemoveAll(store))
		}
	}
	if d.address, err = freeAddress(); err != nil {
		return nil, err
	}
	d.cmd = exec.Command(program, "serve", "--host", d.address, "--models", store)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.Env = append(os.Environ(), env...)
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w; run 'make build' first", program, err)
	}
	if err := waitFor(ctx, "http://"+d.address+"/"); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

func (d *daemon) importModel(ctx context.Context, name, set string) error {
	dir, err := testmodels.Dir()
	if err != nil {
		return err
	}
	model, ok := testmodels.Find(set)
	if !ok {
		return fmt.Errorf("there is no test model %q", set)
	}
	cmd := exec.CommandContext(ctx, program, "import", model.Path(dir), name, "--models", d.store)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import %s: %w: %s", name, err, out)
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

func splitAddress(address string) (host, port string) {
	host, port, _ = net.SplitHostPort(address)
	return host, port
}

// waitFor returns when a server answers with success.
func waitFor(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer", url)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the daemon and removes its store.
func (d *daemon) stop() error { return errors.Join(end(d.cmd), os.RemoveAll(d.store)) }

// end ends a server that was started.
func end(cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && !exit.Exited() {
			return nil // by the signal
		}
		return err
	case <-time.After(stopLimit):
		return errors.Join(errors.New("it did not end when told to"), cmd.Process.Kill())
	}
}
