package instance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrHeld means that a daemon runs at that place.
var ErrHeld = errors.New("a daemon runs there already")

// retry is how often a lock is tried.
const retry = 10 * time.Millisecond

// Record says who a daemon is.
type Record struct {
	PID     int       `json:"pid"`
	Address string    `json:"address"`
	Args    []string  `json:"args"` // flags that it was started with
	Log     string    `json:"log,omitempty"`
	Config  string    `json:"config,omitempty"`
	Models  string    `json:"models,omitempty"` // folder of its store
	Version string    `json:"version"`
	Started time.Time `json:"started"`
}

// Place is where the daemon of an address has its files.
type Place struct{ dir, name string }

// At returns the place of an address in a folder, which need not exist. The daemon at the usual
// address has the plain names.
func At(dir, address, usual string) Place {
	if address == usual {
		return Place{dir, "daemon"}
	}
	plain := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}
	return Place{dir, "daemon-" + strings.Trim(strings.Map(plain, address), "-")}
}

func (p Place) file(extension string) string { return filepath.Join(p.dir, p.name+extension) }

// LogFile is where a daemon that is started in the background logs to.
func (p Place) LogFile() string { return p.file(".log") }

// Hold makes this process the daemon of the place until release is called or the process ends. It
// returns ErrHeld if there is one.
func (p Place) Hold(r Record) (release func(), err error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(p.file(".lock"))
	// Somebody may be looking at the lock right now, which takes no time.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if ok, err := lock.TryLockContext(ctx, retry); !ok {
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			err = ErrHeld
		}
		return nil, err
	}
	if err := p.write(r); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return func() {
		os.Remove(p.file(".json"))
		_ = lock.Unlock()
	}, nil
}

// write puts the record down, whole or not at all.
func (p Place) write(r Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	fresh := p.file(".json.new")
	if err := os.WriteFile(fresh, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, p.file(".json"))
}

// Running returns the record of the daemon that runs, or nil when none does.
func (p Place) Running() (*Record, error) {
	if _, err := os.Stat(p.file(".lock")); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	lock := flock.New(p.file(".lock"))
	free, err := lock.TryRLock()
	if err != nil {
		return nil, err
	}
	if free {
		return nil, lock.Unlock()
	}
	return p.read()
}

// read reads the record. Its daemon may only just have taken the lock.
func (p Place) read() (*Record, error) {
	for patience := time.Second; ; patience -= retry {
		var r Record
		text, err := os.ReadFile(p.file(".json"))
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err == nil {
			return &r, nil
		}
		if patience <= 0 {
			return nil, fmt.Errorf("read the record of the daemon: %w", err)
		}
		time.Sleep(retry)
	}
}

// Line makes the caller the only one who starts or stops a daemon there, until leave is called. It
// waits for others until ctx ends.
func (p Place) Line(ctx context.Context) (leave func(), err error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(p.file(".start"))
	if ok, err := lock.TryLockContext(ctx, retry); !ok {
		return nil, fmt.Errorf("wait for another start of the daemon: %w", err)
	}
	return func() { _ = lock.Unlock() }, nil
}
