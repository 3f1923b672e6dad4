package cli

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/mullama/mullama"
)

// embedLine is an embedding as a line of JSON.
type embedLine struct {
	Index     int    `json:"index"`
	Embedding any    `json:"embedding,omitempty"`
	Tokens    int    `json:"tokens,omitempty"`
	Cut       bool   `json:"truncated,omitempty"`
	Error     string `json:"error,omitempty"`
}

// lineWriter writes an object for each text.
type lineWriter struct{ w io.Writer }

func (l *lineWriter) write(index int, e *mullama.Embedding) error {
	line := embedLine{Index: index, Tokens: e.Tokens, Cut: e.Cut}
	switch {
	case e.Err != nil:
		line.Tokens, line.Error = 0, e.Err.Error()
	case e.Rows != nil:
		line.Embedding = e.Rows
	default:
		line.Embedding = e.Vector
	}
	return writeJSONLine(l.w, line)
}

func (l *lineWriter) end() error { return nil }

func writeJSONLine(w io.Writer, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// listWriter writes a list of embeddings, or one alone. A text that has none ends it, or is null.
type listWriter struct {
	w           io.Writer
	alone, skip bool
	n           int
}

func (l *listWriter) write(index int, e *mullama.Embedding) error {
	if e.Err != nil && !l.skip {
		return fmt.Errorf("text %d: %w", index+1, e.Err)
	}
	var value any = e.Vector
	switch {
	case e.Err != nil:
		value = nil
	case e.Rows != nil:
		value = e.Rows
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	before := ",\n"
	switch {
	case l.alone:
		before = ""
	case l.n == 0:
		before = "["
	}
	l.n++
	_, err = fmt.Fprint(l.w, before, string(data))
	return err
}

func (l *listWriter) end() error {
	after := "]\n"
	switch {
	case l.alone:
		after = "\n"
	case l.n == 0:
		after = "[]\n"
	}
	_, err := io.WriteString(l.w, after)
	return err
}

// arrayWriter writes an array of NumPy, whose number of rows is filled in at the end. A text that
// has no embedding ends it, or is a row of NaN.
type arrayWriter struct {
	w       io.Writer
	file    io.WriterAt
	skip    bool
	n       int
	width   int // 0: not known yet
	waiting int // rows of NaN that come first
}

// npyHeader is the length of the header: room for the largest array.
const npyHeader = 128

func (a *arrayWriter) header(rows int) []byte {
	const fixed = 10 // magic, version and length
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows,
		a.width)
	head := append([]byte("\x93NUMPY\x01\x00"), byte(npyHeader-fixed), 0)
	head = append(head, text...)
	return append(append(head, strings.Repeat(" ", npyHeader-1-len(head))...), '\n')
}

func (a *arrayWriter) write(index int, e *mullama.Embedding) error {
	switch {
	case e.Err != nil && !a.skip:
		return fmt.Errorf("text %d: %w", index+1, e.Err)
	case e.Rows != nil:
		return usage("this model does not pool, so npy has no rows for it; use --pooling mean")
	}
	a.n++
	if a.width == 0 && e.Err != nil {
		a.waiting++
		return nil
	}
	if a.width == 0 {
		if err := a.begin(len(e.Vector)); err != nil {
			return err
		}
	}
	if e.Err != nil {
		return a.none()
	}
	return a.row(e.Vector)
}

// begin writes what comes before the first row that has numbers.
func (a *arrayWriter) begin(width int) error {
	a.width = width
	if _, err := a.w.Write(a.header(0)); err != nil {
		return err
	}
	for ; a.waiting > 0; a.waiting-- {
		if err := a.none(); err != nil {
			return err
		}
	}
	return nil
}

func (a *arrayWriter) none() error {
	return a.row(slices.Repeat([]float32{float32(math.NaN())}, a.width))
}

func (a *arrayWriter) row(numbers []float32) error {
	var data []byte
	for _, x := range numbers {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	_, err := a.w.Write(data)
	return err
}

func (a *arrayWriter) end() error {
	if a.width == 0 {
		_, err := a.w.Write(a.header(a.n))
		return err
	}
	if flusher, ok := a.w.(interface{ Flush() error }); ok {
		if err := flusher.Flush(); err != nil {
			return err
		}
	}
	_, err := a.file.WriteAt(a.header(a.n), 0)
	return err
}
