package instance

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Log is a file that is begun anew when it is full. Full ones are kept as PATH.1, the newest,
// PATH.2 and so on.
type Log struct {
	path  string
	limit int64
	keep  int

	mu         sync.Mutex
	file       *os.File
	redirected bool
}

// OpenLog goes on with the file at path, which has at most limit bytes; 0: any number. keep is how
// many full files are kept.
func OpenLog(path string, limit uint64, keep int) (*Log, error) {
	l := &Log{path: path, limit: int64(limit), keep: keep}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	var err error
	l.file, err = openAppend(path)
	return l, err
}

func openAppend(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// Write appends a line.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full(len(line)) {
		l.begin()
	}
	return l.file.Write(line)
}

// full reports whether so many bytes are too many. The file's size is asked for, as native code
// writes to it too.
func (l *Log) full(more int) bool {
	info, err := l.file.Stat()
	return err == nil && l.limit > 0 && info.Size() > 0 && info.Size()+int64(more) > l.limit
}

// begin puts the full file away. Where that cannot be, it goes on with it: a log that is too long
// is better than none.
func (l *Log) begin() {
	for i := l.keep - 1; i > 0; i-- {
		_ = os.Rename(l.numbered(i), l.numbered(i+1)) // one that is not there yet
	}
	if l.keep > 0 {
		if os.Rename(l.path, l.numbered(1)) != nil {
			return
		}
	} else if os.Remove(l.path) != nil {
		return
	}
	fresh, err := openAppend(l.path)
	if err != nil {
		return
	}
	old := l.file
	l.file = fresh
	if l.redirected {
		_ = redirect(fresh) // as before; it went well then
	}
	old.Close()
}

func (l *Log) numbered(i int) string { return fmt.Sprintf("%s.%d", l.path, i) }

// TakeOver sends what this process writes to stdout and stderr, also from native code, to the log.
func (l *Log) TakeOver() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.redirected = true
	return redirect(l.file)
}

// Close ends the log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
