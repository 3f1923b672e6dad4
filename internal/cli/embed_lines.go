package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/mullama/mullama"
)

// embedTexts embeds all texts and writes the results as they come. Whatever ends it, what was
// written until then is kept, and the error says how to go on.
func (a *app) embedTexts(
	ctx context.Context, model Model, o *embedOptions, args []string,
) error {
	out, done, err := a.embedOutput(o)
	if err != nil {
		return err
	}
	w := &embedWork{app: a, options: o, args: args, out: out}
	err = w.run(ctx, model)
	part, outErr := done(err == nil, w.written > 0)
	switch {
	case err != nil && outErr == nil:
		return w.stopped(err, part)
	case err != nil:
		return err
	case outErr != nil:
		return outErr
	}
	return w.failed()
}

// embedWork embeds the texts of arguments or of lines.
type embedWork struct {
	*app
	options *embedOptions
	args    []string
	out     embedWriter
	written int
	bad     []int // texts without an embedding, by their index
	badMore int   // and how many others there are

	mu     sync.Mutex // guards the rest: lines are read on another goroutine
	noText map[int]error
	ended  error // why no more lines are read
	fault  bool  // a text is why it ended
}

// namedBad is how many texts without an embedding are named at the end.
const namedBad = 10

func (w *embedWork) run(ctx context.Context, model Model) error {
	ctx, stop := w.interruptible(ctx)
	defer stop()
	bar := w.newProgressBar("embedding")
	defer bar.finish()
	texts := slices.Values(w.args)
	if len(w.args) == 0 {
		texts = w.lines(bar)
	}
	err := w.embed(ctx, model, texts, bar)
	if end := w.out.end(); err == nil {
		err = end
	}
	return err
}

func (w *embedWork) embed(
	ctx context.Context, model Model, texts iter.Seq[string], bar *progressBar,
) error {
	for e, err := range model.EmbedStream(ctx, texts, &w.options.embed) {
		if err != nil {
			return err
		}
		if err := w.writeBad(); err != nil {
			return err
		}
		if err := w.write(&e); err != nil {
			return err
		}
		if n := len(w.args); n > 0 {
			bar.update(float32(w.written) / float32(n))
		}
	}
	if err := w.writeBad(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// writeBad writes the lines without a text that come next.
func (w *embedWork) writeBad() error {
	for {
		index := w.options.from - 1 + w.written
		w.mu.Lock()
		bad := w.noText[index]
		delete(w.noText, index)
		w.mu.Unlock()
		if bad == nil {
			return nil
		}
		if err := w.write(&mullama.Embedding{Err: bad}); err != nil {
			return err
		}
	}
}

func (w *embedWork) write(e *mullama.Embedding) error {
	index := w.options.from - 1 + w.written
	if err := w.out.write(index, e); err != nil {
		w.end(err, e.Err != nil)
		return err
	}
	switch {
	case e.Err == nil:
	case len(w.bad) < namedBad:
		w.bad = append(w.bad, index)
	default:
		w.badMore++
	}
	w.written++
	return nil
}

// lines yields the texts of stdin's lines. What has none ends them, or is left in w.noText.
func (w *embedWork) lines(bar *progressBar) iter.Seq[string] {
	return func(yield func(string) bool) {
		for n, line := range w.stdinLines(bar, func(err error) { w.end(err, false) }) {
			if n < w.options.from {
				continue
			}
			text, err := lineText(line, w.options.field, n)
			switch {
			case err == nil:
				if !yield(text) {
					return
				}
			case w.options.skip:
				w.mu.Lock()
				if w.noText == nil {
					w.noText = map[int]error{}
				}
				w.noText[n-1] = err
				w.mu.Unlock()
			default:
				w.end(err, true)
				return
			}
		}
	}
}

func (w *embedWork) end(err error, fault bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended, w.fault = err, fault
}

// stopped says of an error before the last text what is kept, and how to go on.
func (w *embedWork) stopped(err error, part string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var advice []string
	if own := hint(err); own != "" {
		advice = append(advice, own)
	}
	if part != "" {
		advice = append(advice, fmt.Sprintf("%s has what was embedded", part))
	}
	if len(w.args) == 0 {
		advice = append(advice, fmt.Sprintf("go on with --from-line %d", w.options.from+w.written))
	}
	if w.fault {
		advice = append(advice, "--skip-bad leaves out what cannot be embedded")
	}
	return &failure{code: exitCode(err), message: err.Error(), hint: strings.Join(advice, "; ")}
}

// failed tells of the texts that have no embedding, if some have none.
func (w *embedWork) failed() error {
	n := len(w.bad) + w.badMore
	if n == 0 {
		return nil
	}
	kind, numbers := "line", make([]string, len(w.bad))
	if len(w.args) > 0 {
		kind = "text"
	}
	for i, index := range w.bad {
		numbers[i] = fmt.Sprint(index + 1)
	}
	list := strings.Join(numbers, ", ")
	if n > 1 {
		kind += "s"
	}
	if w.badMore > 0 {
		list += fmt.Sprintf(" and %d more", w.badMore)
	}
	return &failure{code: exitFailed, message: fmt.Sprintf(
		"%d of %d texts have no embedding: %s %s", n, w.written, kind, list)}
}

// longestLine is the longest line of stdin.
const longestLine = 64 << 20

// stdinLines yields the lines of stdin with their numbers, from 1 on. end is called if one cannot
// be read.
func (a *app) stdinLines(bar *progressBar, end func(error)) iter.Seq2[int, []byte] {
	size := int64(0)
	if file, ok := a.stdin.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	return func(yield func(int, []byte) bool) {
		lines := bufio.NewScanner(a.stdin)
		lines.Buffer(nil, longestLine)
		read, n := int64(0), 1
		for ; lines.Scan(); n++ {
			read += int64(len(lines.Bytes())) + 1
			if size > 0 {
				bar.update(float32(read) / float32(size))
			}
			if !yield(n, lines.Bytes()) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			end(&failure{code: exitFailed, message: fmt.Sprintf(
				"line %d of stdin is longer than %d MB", n, longestLine>>20)})
		case err != nil:
			end(&failure{code: exitFailed, message: "read stdin: " + err.Error()})
		}
	}
}

// lineTexts yields the lines of stdin, or a field of the objects in them. What is wrong is left in
// *failed.
func (a *app) lineTexts(field string, bar *progressBar, failed *error) iter.Seq[string] {
	return func(yield func(string) bool) {
		for n, line := range a.stdinLines(bar, func(err error) { *failed = err }) {
			text, err := lineText(line, field, n)
			if err != nil {
				*failed = err
				return
			}
			if !yield(text) {
				return
			}
		}
	}
}

func lineText(line []byte, field string, n int) (string, error) {
	if field == "" {
		return strings.TrimSuffix(string(line), "\r"), nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return "", usage("line %d of stdin is not a JSON object: %s", n, err)
	}
	var text *string
	if err := json.Unmarshal(object[field], &text); err != nil || text == nil {
		return "", usage("line %d of stdin has no text in the field %q", n, field)
	}
	return *text, nil
}
