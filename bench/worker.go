package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// worker is a process that loads a model once, answers every line it reads with a line of JSON, and
// ends when there are no more: so it can take turns with others.
type worker struct {
	name    string
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *json.Decoder
	stderr  bytes.Buffer
}

// startWorker starts cmd and reads its first line.
func startWorker(name string, cmd *exec.Cmd, header any) (*worker, error) {
	w := &worker{name: name, cmd: cmd}
	cmd.Stderr = &w.stderr
	var err error
	if w.orders, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	w.answers = json.NewDecoder(out)
	return w, w.read(header)
}

// order writes a line and reads the answer to it.
func (w *worker) order(line []byte, answer any) error {
	_, writeErr := w.orders.Write(append(line, '\n'))
	if err := w.read(answer); err != nil {
		return errors.Join(err, writeErr)
	}
	return nil
}

// read reads the next line. When the process ends instead, the error says why.
func (w *worker) read(line any) error {
	err := w.answers.Decode(line)
	if err == nil {
		return nil
	}
	_ = w.orders.Close() // it may be waiting for more
	if ended := w.cmd.Wait(); ended != nil {
		err = ended
	}
	return stageError(program{w.name}, "orders", err, w.stderr.String())
}

// stop ends the process.
func (w *worker) stop() error {
	if err := w.orders.Close(); err != nil {
		return nil //nolint:nilerr // it has ended before, which was reported then
	}
	return w.cmd.Wait()
}
