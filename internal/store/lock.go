package store

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// lockFile is in the store's folder, where Ollama does not look. It is never removed: a lock on a
// removed file would exclude nobody.
const lockFile = ".mullama.lock"

// lockWait is how long a writer waits for another, who holds the lock for milliseconds.
const lockWait = 20 * time.Second

// lock excludes other writers, in this program and others, until unlock is called.
func (s *Store) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, s.writeError(err)
	}
	end := time.Now().Add(lockWait)
	for {
		unlock, err := tryLock(filepath.Join(s.dir, lockFile))
		switch {
		case err == nil:
			return unlock, nil
		case !errors.Is(err, errHeld):
			return nil, s.writeError(err)
		case time.Now().After(end):
			return nil, &storeError{kind: ErrLocked,
				message: "another program is writing to the model store " + s.dir}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// errHeld means that someone else has the lock.
var errHeld = errors.New("the lock is held")
