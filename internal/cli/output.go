package cli

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
	"text/tabwriter"
	"unicode"
)

// output is standard output that remembers its first failed write, so that a command can print
// freely and the failure is told once, at the end.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	o.err = err
	return n, err
}

// failed returns the failure to tell about, nil when all was written. A reader that went away is
// an end, not a failure, but the code still says that not everything was delivered.
func (o *output) failed() error {
	if o.err == nil {
		return nil
	}
	if errors.Is(o.err, syscall.EPIPE) || errors.Is(o.err, io.ErrClosedPipe) {
		return &failure{code: exitFailed}
	}
	return &failure{code: exitFailed, message: "write the output: " + o.err.Error()}
}

// printJSON writes v as one line.
func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// grid aligns what is written to it in columns, which tabs separate.
type grid struct{ *tabwriter.Writer }

// table returns a grid; the caller ends it.
func table(w io.Writer) grid {
	return grid{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

// end prints what was written. A failed write is noticed by what lies below, see [output].
func (g grid) end() { _ = g.Flush() }

// printable replaces control characters that a terminal would obey. Text from model files and
// models is not trusted with the user's terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
