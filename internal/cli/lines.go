package cli

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/peterh/liner"
)

// errLineInterrupted means that Ctrl-C was pressed while a line was edited.
var errLineInterrupted = errors.New("line interrupted")

// lineReader reads lines a person types.
type lineReader interface {
	// readLine returns a line without its end, [io.EOF] for Ctrl-D on an empty line, or
	// errLineInterrupted.
	readLine(prompt string) (string, error)
	// remember makes text the newest entry of the history.
	remember(text string)
	// close saves the history and gives the terminal back as it was.
	close()
}

// terminalLines edits lines on the terminal. It uses peterh/liner, which knows wide characters,
// searches the history and is still released, and which leaves Ctrl-C to the program between lines.
//
// What comes from the terminal passes through a [pasteFilter], because liner takes every line end
// for the Enter key.
type terminalLines struct {
	state       *liner.State
	terminal    io.Writer
	historyFile string // "" keeps none
	ended       chan os.Signal
}

// newTerminalLines takes the terminal over until close.
func newTerminalLines(env environment) (lineReader, error) {
	state, err := newLiner()
	if err != nil {
		return nil, err
	}
	l := &terminalLines{state: state, terminal: os.Stdout, ended: make(chan os.Signal, 1)}
	_, _ = io.WriteString(l.terminal, pasteOn)
	l.state.SetCtrlCAborts(true)
	l.state.SetMultiLineMode(true)
	if !env.noHistory && env.cacheDir != "" {
		l.historyFile = filepath.Join(env.cacheDir, "history")
		l.loadHistory()
	}
	signal.Notify(l.ended, syscall.SIGTERM, syscall.SIGHUP)
	go l.restoreWhenEnded()
	return l, nil
}

// restoreWhenEnded gives the terminal back when the program is told to end from outside. It owns
// the process from then on.
func (l *terminalLines) restoreWhenEnded() {
	sig, ok := <-l.ended
	if !ok {
		return
	}
	l.restore()
	code := 1
	if number, ok := sig.(syscall.Signal); ok {
		code = 128 + int(number)
	}
	os.Exit(code)
}

func (l *terminalLines) readLine(prompt string) (string, error) {
	line, err := l.state.Prompt(prompt)
	if errors.Is(err, liner.ErrPromptAborted) {
		return "", errLineInterrupted
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", &failure{code: exitFailed, message: "read from the terminal: " + err.Error()}
	}
	return fromSymbols.Replace(line), err
}

func (l *terminalLines) remember(text string) { l.state.AppendHistory(toSymbols.Replace(text)) }

func (l *terminalLines) close() {
	signal.Stop(l.ended)
	close(l.ended)
	l.saveHistory()
	l.restore()
}

// restore gives the terminal back as it was. Where that fails there is no terminal any more.
func (l *terminalLines) restore() {
	_, _ = io.WriteString(l.terminal, pasteOff)
	_ = l.state.Close()
}

// loadHistory reads the saved history. One that cannot be read is as good as none.
func (l *terminalLines) loadHistory() {
	file, err := os.Open(l.historyFile)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = l.state.ReadHistory(file)
}

// saveHistory writes the history for the next chat, readable by its owner alone. A chat does not
// fail because of it.
func (l *terminalLines) saveHistory() {
	if l.historyFile == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(l.historyFile), 0o755); err != nil {
		return
	}
	temp, err := os.CreateTemp(filepath.Dir(l.historyFile), ".history-*")
	if err != nil {
		return
	}
	_, err = l.state.WriteHistory(temp)
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), l.historyFile)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
}
