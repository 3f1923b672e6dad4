//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/mullama/mullama"
)

// childVariable makes the test binary behave as the program, over a model that echoes.
const childVariable = "MULLAMA_CLI_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(childMain())
	}
	_ = os.Setenv(configVariable, os.DevNull) // not that of whoever runs the tests
	os.Exit(m.Run())
}

// childMain is [Main] but for its engine.
func childMain() int {
	a := newApp()
	fake := echoFake()
	a.open = func(mullama.Options) (Engine, error) { return fake, nil }
	return a.execute(context.Background(), os.Args[1:])
}

// screen is a program on a terminal.
type screen struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	exit chan error

	mu   sync.Mutex
	text bytes.Buffer
}

// onTerminal starts the program on a terminal of its own.
func onTerminal(t *testing.T, cache string, args ...string) *screen {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(
		os.Environ(),
		childVariable+"=1",
		"TERM=xterm",
		"MULLAMA_CACHE="+cache,
		"GORACE=exitcode=66",
	)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		t.Skip("no terminal to be had: ", err)
	}
	s := &screen{t: t, tty: tty, cmd: cmd, exit: make(chan error, 1)}
	copied := make(chan struct{})
	go func() { _, _ = io.Copy(s, tty); close(copied) }()
	go func() { err := cmd.Wait(); <-copied; s.exit <- err }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = tty.Close() })
	return s
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// seen returns what was printed so far.
func (s *screen) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// wait waits until want is on the screen and takes everything up to its end off it.
func (s *screen) wait(want string) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for ; time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		i := strings.Index(s.text.String(), want)
		if i >= 0 {
			s.text.Next(i + len(want))
		}
		s.mu.Unlock()
		if i >= 0 {
			return
		}
	}
	s.t.Fatalf("%q never came; the screen has %q", want, s.seen())
}

// send types text.
func (s *screen) send(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, text); err != nil {
		s.t.Fatal(err)
	}
}

// code waits for the end of the program.
func (s *screen) code() int {
	s.t.Helper()
	select {
	case err := <-s.exit:
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			return ended.ExitCode()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return 0
	case <-time.After(20 * time.Second):
		s.t.Fatalf("the program does not end; the screen has %q", s.seen())
		return -1
	}
}

func TestChatOnATerminal(t *testing.T) {
	cache := t.TempDir()
	s := onTerminal(t, cache, "run", "m.gguf")
	s.wait(chatPrompt)
	s.send("first\r")
	s.wait(`heard "first" after 0 messages`)
	s.wait(chatPrompt)

	s.send("count forever\r")
	s.wait("one two")
	s.send("\x03") // stops the answer
	s.wait(chatPrompt)
	s.send("dropped\x03") // drops the line
	s.wait("Ctrl-D or /bye leaves.")
	s.wait(chatPrompt)
	s.send("second\r")
	s.wait(`heard "second" after 4 messages`)
	s.wait(chatPrompt)

	s.send("\"\"\"a\r")
	s.wait(continuePrompt)
	s.send("b\"\"\"\r")
	s.wait(`heard "a\nb" after 6 messages`)
	s.wait(chatPrompt)
	s.send("\x04")
	if code := s.code(); code != 0 {
		t.Errorf("code %d", code)
	}

	file, err := os.Stat(filepath.Join(cache, "history"))
	if err != nil || file.Mode().Perm() != 0o600 {
		t.Errorf("history file %v, %v", file, err)
	}
	s = onTerminal(t, cache, "run", "m.gguf")
	s.wait(chatPrompt)
	s.send("\x1b[A\x1b[A\r") // up, up: the line before the last
	s.wait(`heard "second" after 0 messages`)
	s.wait(chatPrompt)
	s.send("/bye\r")
	if code := s.code(); code != 0 {
		t.Errorf("code %d", code)
	}
}

func TestPastedLinesAreOneMessage(t *testing.T) {
	s := onTerminal(t, t.TempDir(), "run", "m.gguf")
	s.wait(chatPrompt)
	s.send("\x1b[200~one\rtwo\nthree\x1b[201~")
	s.send("!\r")
	s.wait(`heard "one\ntwo\nthree!" after 0 messages`)
	s.send("\x04")
	if code := s.code(); code != 0 {
		t.Errorf("code %d", code)
	}
}

func TestTerminationGivesTheTerminalBack(t *testing.T) {
	s := onTerminal(t, t.TempDir(), "run", "m.gguf")
	s.wait(chatPrompt)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.code(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("code %d", code)
	}
}

func TestCtrlCEndsAOneShotAnswerWith130(t *testing.T) {
	s := onTerminal(t, t.TempDir(), "run", "m.gguf", "count forever")
	s.wait("one two")
	s.send("\x03")
	if code := s.code(); code != exitInterrupted {
		t.Errorf("code %d", code)
	}
}

func TestAClosedPipeEndsTheProgramQuietly(t *testing.T) {
	cmd := exec.Command(os.Args[0], "help", "run")
	cmd.Env = append(os.Environ(), childVariable+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	cmd.Stdout = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	if err := cmd.Wait(); err == nil || stderr.Len() != 0 {
		t.Errorf("ended with %v, stderr %q", err, &stderr)
	}
}
