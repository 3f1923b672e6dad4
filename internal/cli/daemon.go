package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

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
	if _, err := a.ensureStarted(ctx, h, client, nil); err != nil {
		return nil, err
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
