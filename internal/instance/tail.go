package instance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// look is how often a log is looked at for more.
const look = 100 * time.Millisecond

// Tail writes the last lines of a log, and with follow what comes then, also in a new file of its
// path, until ctx ends.
func Tail(ctx context.Context, w io.Writer, path string, lines int, follow bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { f.Close() }()
	if err := seekLines(f, lines); err != nil {
		return err
	}
	for {
		if _, err := io.Copy(w, f); err != nil {
			return err
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(look):
		}
		fresh, err := reopened(f, path)
		if err != nil {
			return err
		}
		if fresh != nil {
			_, err = io.Copy(w, f) // what came before the change
			f.Close()
			if f = fresh; err != nil {
				return err
			}
		}
	}
}

// reopened returns the file that has taken the place of f, or nil.
func reopened(f *os.File, path string) (*os.File, error) {
	then, err := f.Stat()
	if err != nil {
		return nil, err
	}
	now, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && os.SameFile(then, now) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	fresh, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return fresh, err
}

// seekLines puts f at the beginning of its last lines.
func seekLines(f *os.File, lines int) error {
	const piece = 16 << 10
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	wanted := lines + 1 // the line ends before and after them
	if lines <= 0 {
		return nil
	}
	for end > 0 {
		begin := max(0, end-piece)
		part := make([]byte, end-begin)
		if _, err := f.ReadAt(part, begin); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for at := len(part); at > 0; {
			at = bytes.LastIndexByte(part[:at], '\n')
			if at < 0 {
				break
			}
			if wanted--; wanted == 0 {
				_, err := f.Seek(begin+int64(at)+1, io.SeekStart)
				return err
			}
		}
		end = begin
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
