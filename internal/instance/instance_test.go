package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

func TestAPlaceHasOneDaemon(t *testing.T) {
	p := At(t.TempDir(), "unix:/run/a b", "x")
	if r, err := p.Running(); r != nil || err != nil {
		t.Fatalf("at first: %v, %v", r, err)
	}
	release, err := p.Hold(Record{PID: 7, Address: "a", Args: []string{"--x=1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Hold(Record{PID: 8}); !errors.Is(err, ErrHeld) {
		t.Errorf("a second daemon: %v", err)
	}
	r, err := p.Running()
	if err != nil || r == nil || r.PID != 7 || r.Args[0] != "--x=1" {
		t.Errorf("got %+v, %v", r, err)
	}
	release()
	if r, err := p.Running(); r != nil || err != nil {
		t.Errorf("after the end: %v, %v", r, err)
	}
}

func TestACleanEndLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	p := At(dir, "x", "y")
	for range 2 {
		leave, err := p.Line(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		release, err := p.Hold(Record{PID: 7})
		if err != nil {
			t.Fatal(err)
		}
		release()
		leave()
		if r, err := p.Running(); r != nil || err != nil {
			t.Errorf("after the end: %v, %v", r, err)
		}
		if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
			t.Errorf("left are %v, %v", left, err)
		}
	}
}

func TestALockOfAFileThatWasRemovedIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	late := flock.New(file)
	if ok, err := late.TryLock(); !ok || !isThere(late) {
		t.Fatalf("the lock is not held: %v", err)
	}
	defer late.Close()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if isThere(late) {
		t.Error("the file is gone, and its lock counts")
	}
	give, err := take(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer give()
	if isThere(late) {
		t.Error("two have the lock")
	}
}

func TestARecordThatWasLeftBehindIsStale(t *testing.T) {
	p := At(t.TempDir(), "x", "x")
	for file, text := range map[string]string{".json": `{"pid": 1}`, ".lock": ""} {
		if err := os.WriteFile(p.file(file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := p.Running(); r != nil || err != nil {
		t.Errorf("process 1 is taken for the daemon: %v, %v", r, err)
	}
	release, err := p.Hold(Record{PID: 9})
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestPlacesOfAddressesDiffer(t *testing.T) {
	usual, other := At("d", "127.0.0.1:11434", "127.0.0.1:11434"), At("d", "[::1]:80", "x")
	if usual.LogFile() != filepath.Join("d", "daemon.log") ||
		other.LogFile() != filepath.Join("d", "daemon-1--80.log") {
		t.Errorf("got %s and %s", usual.LogFile(), other.LogFile())
	}
}

func TestWhoeverStartsOneWaitsInLine(t *testing.T) {
	p := At(t.TempDir(), "x", "x")
	var inside, most, all int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			leave, err := p.Line(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside, all = inside+1, all+1
			most = max(most, inside)
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
			leave()
		})
	}
	wg.Wait()
	if most != 1 || all != 8 {
		t.Errorf("%d were inside at once, %d in all", most, all)
	}
	leave, err := p.Line(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Line(ended); err == nil {
		t.Error("somebody went in who had stopped waiting")
	}
}

func TestAFullLogIsPutAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "log")
	l, err := OpenLog(path, 30, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 10 {
		fmt.Fprintf(l, "line number %d\n", i)
	}
	for name, want := range map[string]string{
		"":   "line number 8\nline number 9\n",
		".1": "line number 6\nline number 7\n",
		".2": "line number 4\nline number 5\n",
		".3": "",
	} {
		got, err := os.ReadFile(path + name)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s has %q, %v; want %q", path+name, got, err, want)
		}
	}
}

func TestALogKeepsNothingWhereNothingIsToBeKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := OpenLog(path, 5, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fmt.Fprint(l, "first\n")
	fmt.Fprint(l, "second\n")
	got, _ := os.ReadFile(path)
	rest, _ := filepath.Glob(path + "*")
	if string(got) != "second\n" || len(rest) != 1 {
		t.Errorf("got %q, files %v", got, rest)
	}
}

func TestTailPrintsTheLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[int]string{
		0: "", 2: "line 4998\nline 4999\n", 9999: text.String(),
	} {
		var out bytes.Buffer
		if err := Tail(t.Context(), &out, path, lines, false); err != nil || out.String() != want {
			t.Errorf("%d lines: %d bytes, %v; want %d", lines, out.Len(), err, len(want))
		}
	}
	var out bytes.Buffer
	if err := Tail(t.Context(), &out, path, 3000, false); err != nil ||
		!strings.HasPrefix(out.String(), "line 2000\n") {
		t.Errorf("3000 lines begin with %.20q, %v", out.String(), err)
	}
}

// pieces passes on what is written to it.
type pieces chan string

func (p pieces) Write(b []byte) (int, error) { p <- string(b); return len(b), nil }

func TestTailFollowsALogThatIsPutAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := OpenLog(path, 20, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fmt.Fprint(l, "the first line\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, ended := make(pieces), make(chan error, 1)
	go func() { ended <- Tail(ctx, out, path, 1, true) }()
	for _, next := range []string{"the second line\n", "the third line\n", ""} {
		select {
		case got := <-out:
			if !strings.HasSuffix(got, " line\n") {
				t.Errorf("got %q", got)
			}
		case <-ctx.Done():
			t.Fatal("nothing more came")
		}
		fmt.Fprint(l, next)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
