package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// work is what both sides are asked to do. Both take it as the same words.
type work struct {
	model string
	Config
}

// words returns the arguments of one stage: throughput, cold or rss.
func (w work) words(stage string) []string {
	return []string{
		stage, w.model, w.Text,
		fmt.Sprintf("prompt=%d", w.PromptTokens),
		fmt.Sprintf("generate=%d", w.GenerateTokens),
		fmt.Sprintf("reps=%d", w.Reps),
		fmt.Sprintf("threads=%d", w.Threads),
		fmt.Sprintf("ctx=%d", w.Context),
		fmt.Sprintf("slots=%d", w.Slots),
	}
}

// program is one side: the words that start it, before those of the work.
type program []string

// child is what remains of a program that ended well.
type child struct {
	stdout    []byte
	firstByte time.Duration // from starting the process
	cpu       time.Duration
}

// run starts the program for one stage and waits for its end.
func (p program) run(ctx context.Context, stage string, w work) (child, error) {
	args := append(append([]string{}, p[1:]...), w.words(stage)...)
	cmd := exec.CommandContext(ctx, p[0], args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return child{}, fmt.Errorf("connect to %s: %w", p[0], err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return child{}, fmt.Errorf("start %s: %w", p[0], err)
	}
	first := make([]byte, 1)
	n, readErr := pipe.Read(first)
	c := child{firstByte: time.Since(start), stdout: first[:n]}
	if readErr == nil {
		var rest []byte
		rest, readErr = io.ReadAll(pipe)
		c.stdout = append(c.stdout, rest...)
	}
	if err := cmd.Wait(); err != nil {
		return child{}, stageError(p, stage, err, stderr.String())
	}
	if readErr != nil && !errors.Is(readErr, io.EOF) {
		return child{}, stageError(p, stage, readErr, stderr.String())
	}
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return c, nil
}

// stageError says which program ended badly and the last it said about it.
func stageError(p program, stage string, err error, stderr string) error {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	if last == "" {
		return fmt.Errorf("%s of %s: %w", stage, p[0], err)
	}
	return fmt.Errorf("%s of %s: %w: %s", stage, p[0], err, last)
}

// throughput runs the throughput stage and reads its lines into t.
func (p program) throughput(ctx context.Context, w work, t *Turn) (child, error) {
	c, err := p.run(ctx, "throughput", w)
	if err != nil {
		return c, err
	}
	lines := json.NewDecoder(bytes.NewReader(c.stdout))
	if err := lines.Decode(&t.Header); err != nil {
		return c, fmt.Errorf("first line of %s: %w", p[0], err)
	}
	for lines.More() {
		var rep Repetition
		if err := lines.Decode(&rep); err != nil {
			return c, fmt.Errorf("repetition %d of %s: %w", len(t.Reps)+1, p[0], err)
		}
		t.Reps = append(t.Reps, rep)
	}
	if len(t.Reps) != w.Reps {
		return c, fmt.Errorf("%s printed %d repetitions, not %d", p[0], len(t.Reps), w.Reps)
	}
	return c, nil
}

// cold starts the program once more and adds the time to its first byte to t.
func (p program) cold(ctx context.Context, w work, t *Turn) (child, error) {
	c, err := p.run(ctx, "cold", w)
	if err != nil {
		return c, err
	}
	if len(c.stdout) == 0 {
		return c, fmt.Errorf("cold of %s: nothing was printed", p[0])
	}
	t.Cold = append(t.Cold, c.firstByte.Seconds())
	return c, nil
}

// memory reads the program's resident memory into t.
func (p program) memory(ctx context.Context, w work, t *Turn) (child, error) {
	w.GenerateTokens = 32
	c, err := p.run(ctx, "rss", w)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(c.stdout, &t.Memory); err != nil {
		return c, fmt.Errorf("memory line of %s: %w", p[0], err)
	}
	return c, nil
}
