//go:build unix

package cli

import (
	"os"

	"github.com/peterh/liner"
)

// newLiner returns a line editor behind a paste filter. liner takes its input from os.Stdin as that
// is when it starts, and the terminal's mode from descriptor 0, so it can be given a pipe here. The
// goroutine that fills the pipe ends with the program: a read from a terminal cannot be given up.
func newLiner() (*liner.State, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	terminal := os.Stdin
	os.Stdin = read
	state := liner.NewLiner()
	os.Stdin = terminal
	go new(pasteFilter).copyTo(write, terminal)
	return state, nil
}
