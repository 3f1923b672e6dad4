package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// startLimit is how long a daemon that was just started may take until it answers.
const startLimit = 20 * time.Second

// daemon returns a client of the daemon. When none answers where one of this machine should be, it
// is started.
func (a *app) daemon(ctx context.Context) (*api.Client, error) {
	h, err := parseHost(a.env.host)
	if err != nil {
		return nil, usage("MULLAMA_HOST: %s", err)
	}
	client := api.NewClient(h.url, nil)
	if a.env.apiKey != "" {
		client = client.WithKey(a.env.apiKey)
	}
	if err := client.Ping(ctx); err == nil || !nobodyListens(err) {
		return client, daemonError(err)
	}
	if !h.isLocal() || a.env.noStart {
		return nil, (&failure{code: exitFailed,
			message: fmt.Sprintf("no daemon answers at %s", h)}).
			withHint("start one with 'mullama serve', or set MULLAMA_HOST")
	}
	log, err := a.startDaemon()
	if err != nil {
		return nil, &failure{code: exitFailed, message: "start the daemon: " + err.Error()}
	}
	if err := waitFor(ctx, client); err != nil {
		return nil, (&failure{code: exitFailed, message: "the daemon does not start"}).
			withHint("its log is %s", log)
	}
	return client, nil
}

// remote is the daemon as an [Engine].
func (a *app) remote() (Engine, error) {
	h, err := parseHost(a.env.host)
	if err != nil {
		return nil, usage("MULLAMA_HOST: %s", err)
	}
	client, err := mullama.NewClient(h.url.String(), mullama.ClientOptions{Key: a.env.apiKey})
	if err != nil {
		return nil, err
	}
	return remote{client}, nil
}

// nobodyListens reports whether err means that there is no daemon at all.
func nobodyListens(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}

// waitFor pings until the daemon answers.
func waitFor(ctx context.Context, client *api.Client) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		if err := client.Ping(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// startInBackground starts this program as a daemon that outlives it, and returns the path of the
// daemon's log.
func (a *app) startInBackground() (logPath string, err error) {
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	logPath = filepath.Join(a.env.cacheDir, "daemon.log")
	if err := os.MkdirAll(a.env.cacheDir, 0o755); err != nil {
		return "", err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return "", err
	}
	defer log.Close()
	cmd := exec.Command(program, "serve")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = detached()
	if err := cmd.Start(); err != nil {
		return "", err
	}
	return logPath, cmd.Process.Release()
}

// daemonError gives an error of the client its sentence and exit code.
func daemonError(err error) error {
	if err == nil {
		return nil
	}
	var status *api.StatusError
	if errors.As(err, &status) {
		f := &failure{code: exitOfStatus(status.StatusCode), message: status.Message}
		if status.StatusCode == 401 {
			f.hint = "set MULLAMA_API_KEY to one of the daemon's keys"
		}
		return f
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return &failure{code: exitFailed, message: "talk to the daemon: " + op.Error()}
	}
	return &failure{code: exitFailed,
		message: "talk to the daemon: " + strings.TrimPrefix(err.Error(), "Get ")}
}

// exitOfStatus returns the exit code for an HTTP status.
func exitOfStatus(status int) int {
	switch status {
	case 400, 422:
		return exitUsage
	case 404:
		return exitNotFound
	}
	return exitFailed
}
