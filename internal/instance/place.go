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
	// Somebody may be looking at the lock right now, which takes no time.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	give, err := take(ctx, p.file(".lock"))
	if errors.Is(err, context.DeadlineExceeded) {
		err = ErrHeld
	}
	if err != nil {
		return nil, err
	}
	if err := p.write(r); err != nil {
		give()
		return nil, err
	}
	return func() {
		os.Remove(p.file(".json"))
		give()
	}, nil
}

// take waits until it has the lock of a file, or ctx ends. give removes the file while the lock is
// still held, so that none stays behind. Whoever had opened it before gets the lock of a file that
// is no longer there, by which he knows that it is none, and takes it anew.
func take(ctx context.Context, file string) (give func(), err error) {
	for {
		lock := flock.New(file)
		if ok, err := lock.TryLockContext(ctx, retry); !ok {
			return nil, errors.Join(err, lock.Close())
		}
		if isThere(lock) {
			return func() {
				os.Remove(file) // an open one stays, where the system has it so
				_ = lock.Unlock()
			}, nil
		}
		if err := lock.Unlock(); err != nil {
			return nil, err
		}
	}
}

// isThere reports whether a lock that is held is that of the file which has the name now.
func isThere(lock *flock.Flock) bool {
	held, err := lock.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(lock.Path())
	return err == nil && os.SameFile(held, named)
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
	for {
		lock := flock.New(p.file(".lock"), flock.SetFlag(os.O_RDONLY)) // does not make it
		free, err := lock.TryRLock()
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil, nil
		case err != nil:
			return nil, err
		case !free:
			return p.read()
		}
		there := isThere(lock)
		if err := lock.Unlock(); err != nil || there {
			return nil, err
		}
	}
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
	if leave, err = take(ctx, p.file(".start")); err != nil {
		return nil, fmt.Errorf("wait for another start of the daemon: %w", err)
	}
	return leave, nil
}
