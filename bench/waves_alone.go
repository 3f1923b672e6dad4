package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
)

// alone is llama.cpp alone in a process that computes a wave whenever it is told to: the model is
// loaded once, and other sides can take turns with it.
type alone struct {
	program program
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *json.Decoder
	stderr  bytes.Buffer
	header  Header
}

// startAlone starts mullama-oracle for waves of a model.
func startAlone(ctx context.Context, p program, model string, options ...string) (*alone, error) {
	a := &alone{program: p}
	args := append(slices.Clone(p[1:]), "waves", model, "x")
	a.cmd = exec.CommandContext(ctx, p[0], append(args, options...)...)
	a.cmd.Stderr = &a.stderr
	var err error
	if a.orders, err = a.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the baseline: %w", err)
	}
	a.answers = json.NewDecoder(out)
	return a, a.read(&a.header)
}

// read reads the program's next line. When it ends instead, the error says why.
func (a *alone) read(line any) error {
	err := a.answers.Decode(line)
	if err == nil {
		return nil
	}
	_ = a.orders.Close() // it may be waiting for more
	if ended := a.cmd.Wait(); ended != nil {
		err = ended
	}
	return stageError(a.program, "waves", err, a.stderr.String())
}

// wave has it compute so many streams at once, and choose tokens from the logits or not.
func (a *alone) wave(streams int, sample bool) (Wave, error) {
	order := fmt.Sprintf("%d %d\n", streams, map[bool]int{true: 1}[sample])
	_, writeErr := io.WriteString(a.orders, order)
	var rep struct {
		Generated int     `json:"generated"`
		Prompt    float64 `json:"prompt_s"`
		Generate  float64 `json:"generate_s"`
	}
	if err := a.read(&rep); err != nil {
		return Wave{}, errors.Join(err, writeErr)
	}
	side := "baseline"
	if !sample {
		side = "unsampled"
	}
	w := Wave{
		Streams: streams, Side: side, Tokens: streams * rep.Generated,
		Seconds: rep.Prompt + rep.Generate, PromptSeconds: rep.Prompt,
		GenerateSeconds: rep.Generate,
	}
	if rep.Generated > 1 {
		w.Decode = float64(streams*(rep.Generated-1)) / rep.Generate
	}
	return w, nil
}

// stop ends the program.
func (a *alone) stop() error {
	if err := a.orders.Close(); err != nil {
		return nil //nolint:nilerr // it has ended before, which was reported then
	}
	return a.cmd.Wait()
}
