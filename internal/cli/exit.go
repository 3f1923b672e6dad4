package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/mullama/mullama"
)

// The exit codes of the program.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitNotUsable   = 4
	exitTooSmall    = 5
	exitNoLibrary   = 6
	exitUnreachable = 7
	exitInterrupted = 130
)

// exitMeanings documents the exit codes, for `mullama help exit-codes`.
var exitMeanings = []struct {
	code    int
	meaning string
}{
	{exitDone, "done"},
	{exitFailed, "something else went wrong"},
	{exitUsage, "a flag, an argument or a combination of them is wrong"},
	{exitNotFound, "a file or model was not found or cannot be opened"},
	{exitNotUsable, "the file is not a model this engine can use"},
	{exitTooSmall, "memory or the context is too small"},
	{exitNoLibrary, "the native library is missing or does not fit"},
	{exitUnreachable, "another machine does not answer, or went away"},
	{exitInterrupted, "interrupted"},
}

// exitTable maps errors to exit codes. The first row that matches decides.
var exitTable = []struct {
	err  error
	code int
}{
	{context.Canceled, exitInterrupted},
	{mullama.ErrCancelled, exitInterrupted},
	{mullama.ErrLibraryMissing, exitNoLibrary},
	{mullama.ErrUnreachable, exitUnreachable},
	{mullama.ErrNotFound, exitNotFound},
	{fs.ErrNotExist, exitNotFound},
	{fs.ErrPermission, exitNotFound},
	{mullama.ErrNotGGUF, exitNotUsable},
	{mullama.ErrUnsupported, exitNotUsable},
	{mullama.ErrTemplate, exitNotUsable},
	{mullama.ErrContextFull, exitTooSmall},
	{mullama.ErrOutOfMemory, exitTooSmall},
	{mullama.ErrInvalidOption, exitUsage},
	{mullama.ErrGrammar, exitUsage},
}

// failure is an error of the command line itself: a sentence, what to do about it, and its code.
type failure struct {
	code    int
	message string
	hint    string
}

func (f *failure) Error() string { return f.message }

// usage returns a failure for a wrong call.
func usage(format string, args ...any) *failure {
	return &failure{code: exitUsage, message: fmt.Sprintf(format, args...)}
}

// withHint adds what the user can do.
func (f *failure) withHint(format string, args ...any) *failure {
	f.hint = fmt.Sprintf(format, args...)
	return f
}

// exitCode returns the code the program ends with after err.
func exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	var own *failure
	if errors.As(err, &own) {
		return own.code
	}
	for _, row := range exitTable {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	return exitFailed
}

// hint returns what can be done about err, or "".
func hint(err error) string {
	var own *failure
	if errors.As(err, &own) {
		return own.hint
	}
	var typed *mullama.Error
	if errors.As(err, &typed) {
		return typed.Hint
	}
	return ""
}

// report prints err the way every command does: one sentence, and a hint if there is one.
func (a *app) report(err error) {
	if err == nil || err.Error() == "" {
		return
	}
	message, advice := sentence(err.Error()), sentence(hint(err))
	fmt.Fprintf(a.stderr, "mullama: %s\n", message)
	if advice != "" && !strings.Contains(message, advice) {
		fmt.Fprintf(a.stderr, "hint: %s\n", advice)
	}
}

// sentence makes one line of text.
func sentence(text string) string {
	return printable(strings.Join(strings.Fields(text), " "))
}
