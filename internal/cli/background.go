package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
	"github.com/mullama/mullama/internal/instance"
)

// startLimit is how long a daemon that was just started may take until it answers.
const startLimit = 20 * time.Second

// place is where the daemon at an address has its log and its record.
func (a *app) place(h host) instance.Place {
	address := strings.Replace(h.String(), "localhost:", "127.0.0.1:", 1)
	return instance.At(a.env.cacheDir, address, general("host").byDefault)
}

// hold makes this process known as the daemon at an address. What release undoes. A daemon that
// cannot be known works all the same.
func (a *app) hold(
	h host, f *serveFlags, models string, log *slog.Logger,
) (release func()) {
	isPlace := func(arg string) bool {
		return strings.HasPrefix(arg, "--log-file=") || strings.HasPrefix(arg, "--host=")
	}
	record := instance.Record{PID: os.Getpid(), Address: h.String(),
		Args: slices.DeleteFunc(f.given, isPlace), Log: f.logFile,
		Config: a.env.config.path, Models: models, Version: mullama.Version(), Started: time.Now()}
	release, err := a.place(h).Hold(record)
	if err != nil {
		log.Warn("'mullama daemon' will not know of this one", "error", err)
		return func() {}
	}
	return release
}

// logTo sends everything that the daemon prints to its log file.
func (a *app) logTo(f *serveFlags) error {
	log, err := instance.OpenLog(f.logFile, f.logSize, f.logFiles)
	if err != nil {
		return fmt.Errorf("--log-file: %w", err)
	}
	if err := log.TakeOver(); err != nil {
		return fmt.Errorf("--log-file: %w", err)
	}
	a.stderr = log // until the process ends
	return nil
}

// ensureStarted starts a daemon unless one answers, and returns when it does. Of several that try
// at once only one starts it. args are flags of serve.
func (a *app) ensureStarted(
	ctx context.Context, h host, client *api.Client, args []string,
) (started bool, err error) {
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	leave, err := a.place(h).Line(limited)
	if err != nil {
		return false, &failure{code: exitFailed, message: "start the daemon: " + err.Error()}
	}
	defer leave()
	if client.Ping(ctx) == nil {
		return false, nil
	}
	child, err := a.startInBackground(h, args)
	if err != nil {
		return false, &failure{code: exitFailed, message: "start the daemon: " + err.Error()}
	}
	return true, child.wait(limited, client)
}

// child is a daemon that was just started.
type child struct {
	ended chan struct{} // closed when it has ended
	log   string
	begin int64 // of what it writes there
}

// startInBackground starts this program as a daemon that outlives it.
func (a *app) startInBackground(h host, args []string) (*child, error) {
	program, err := a.program()
	if err != nil {
		return nil, err
	}
	c := &child{ended: make(chan struct{}), log: a.env.config.one("log_file")}
	if c.log == "" {
		c.log = a.place(h).LogFile()
	}
	for _, arg := range args {
		if file, ok := strings.CutPrefix(arg, "--log-file="); ok {
			c.log = file
		}
	}
	if err := os.MkdirAll(a.env.cacheDir, 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if c.begin, err = log.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append([]string{"serve", "--log-file=" + c.log}, args...)...)
	cmd.Env = os.Environ()
	if a.env.config.path != "" {
		cmd.Env = append(cmd.Env, configVariable+"="+a.env.config.path)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = detached()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = cmd.Wait(); close(c.ended) }() // ends with the daemon or this program
	return c, nil
}

// wait returns when the daemon answers, or says why it does not.
func (c *child) wait(ctx context.Context, client *api.Client) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		if err := client.Ping(ctx); err == nil {
			return nil
		}
		select {
		case <-c.ended:
			return c.reason()
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return (&failure{code: exitFailed, message: "the daemon does not answer"}).
				withHint("its log is %s", c.log)
		case <-time.After(pause):
		}
	}
}

// reason is what a daemon that ended at once has written last.
func (c *child) reason() error {
	f := (&failure{code: exitFailed, message: "the daemon does not start"}).
		withHint("its log is %s", c.log)
	file, err := os.Open(c.log)
	if err != nil {
		return f
	}
	defer file.Close()
	const enough = 64 << 10
	text, _ := io.ReadAll(io.NewSectionReader(file, c.begin, enough))
	for line := range strings.Lines(string(text)) {
		if said, ok := strings.CutPrefix(line, "mullama: "); ok {
			f.message = "the daemon does not start: " + strings.TrimSpace(said)
		}
	}
	return f
}
