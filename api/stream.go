package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync/atomic"
	"time"
)

// maxLine is the longest line of a stream. Lines are longest for whole answers with logprobs.
const maxLine = 64 << 20

// Generate continues a prompt. An error ends the iteration; leaving it cancels the request.
func (c *Client) Generate(
	ctx context.Context, req *GenerateRequest,
) iter.Seq2[*GenerateResponse, error] {
	return all(func() (*Answer[GenerateResponse], error) { return c.StartGenerate(ctx, req) })
}

// Chat answers a conversation. An error ends the iteration; leaving it cancels the request.
func (c *Client) Chat(ctx context.Context, req *ChatRequest) iter.Seq2[*ChatResponse, error] {
	return all(func() (*Answer[ChatResponse], error) { return c.StartChat(ctx, req) })
}

// StartGenerate is Generate for who reads the parts one by one. It returns when the answer begins.
func (c *Client) StartGenerate(
	ctx context.Context, req *GenerateRequest,
) (*Answer[GenerateResponse], error) {
	return start(ctx, c, "/api/generate", req,
		func(r *GenerateResponse) bool { return r.Done || r.Debug != nil })
}

// StartChat is Chat for who reads the parts one by one. It returns when the answer begins.
func (c *Client) StartChat(ctx context.Context, req *ChatRequest) (*Answer[ChatResponse], error) {
	return start(ctx, c, "/api/chat", req,
		func(r *ChatResponse) bool { return r.Done || r.Debug != nil })
}

// all are the parts of an answer.
func all[T any](begin func() (*Answer[T], error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		answer, err := begin()
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = answer.Close() }()
		for {
			part, err := answer.Next()
			if errors.Is(err, io.EOF) || !yield(part, err) || err != nil {
				return
			}
		}
	}
}

// Answer is an answer that comes in parts. One goroutine at a time reads it to its end, or until
// the first error; any may close it.
type Answer[T any] struct {
	ctx    context.Context // of the caller
	path   string
	lines  *bufio.Scanner
	body   io.Closer
	isLast func(*T) bool
	ended  bool
	whole  atomic.Bool        // the last part has come, and drain is on its way
	cancel context.CancelFunc // ends the request
	unlink func() bool        // of ctx
}

// start posts a request. The request has a context of its own, because the connection can be used
// again only if nobody cancels while the end of the answer is read.
func start[T any](
	ctx context.Context, c *Client, path string, req any, isLast func(*T) bool,
) (*Answer[T], error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unlink := context.AfterFunc(ctx, cancel)
	resp, err := c.send(own, http.MethodPost, path, req)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine))
		_ = resp.Body.Close()
		err = statusError(resp, body)
	}
	if err != nil {
		unlink()
		cancel()
		return nil, orCause(ctx, err)
	}
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, maxLine)
	return &Answer[T]{ctx: ctx, path: path, lines: scanner, body: resp.Body, isLast: isLast,
		cancel: cancel, unlink: unlink}, nil
}

// orCause is why ctx ended, if it has, in place of what came of that.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Next waits for the next part. After the last one it returns [io.EOF]. An answer whose last part
// never comes was cut off, which is an error.
func (a *Answer[T]) Next() (*T, error) {
	if a.ended {
		return nil, io.EOF
	}
	part, err := a.read()
	switch {
	case err != nil:
		a.ended = true
		_ = a.Close()
		return nil, orCause(a.ctx, err)
	case a.isLast(part):
		a.ended = true
		a.unlink()
		a.whole.Store(true)
		go a.drain()
	}
	return part, nil
}

func (a *Answer[T]) read() (*T, error) {
	for a.lines.Scan() {
		if line := bytes.TrimSpace(a.lines.Bytes()); len(line) > 0 {
			return decodeLine[T](line)
		}
	}
	if err := a.lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: the answer broke off: %w", a.path, err)
	}
	return nil, fmt.Errorf("%s: %w", a.path, errCutOff)
}

// drain reads what follows the last part, which is nothing, so that the connection can be used
// again. It ends within drainLimit.
func (a *Answer[T]) drain() {
	timer := time.AfterFunc(drainLimit, a.cancel)
	defer timer.Stop()
	for a.lines.Scan() {
	}
	a.end()
}

const drainLimit = time.Second

// Close cancels the request, unless the last part has come. It returns nil and may be called more
// than once, from any goroutine.
func (a *Answer[T]) Close() error {
	if !a.whole.Load() {
		a.end()
	}
	return nil
}

func (a *Answer[T]) end() {
	a.unlink()
	a.cancel()
	_ = a.body.Close()
}

// errCutOff is a daemon that went away.
var errCutOff = errors.New("the answer ended before its last part came")

// decodeLine reads one part of an answer, or the error that ends it.
func decodeLine[T any](line []byte) (*T, error) {
	var failure struct {
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(line, &failure); err != nil {
		return nil, fmt.Errorf("a part of the answer is not JSON: %w", err)
	}
	if failure.Error != nil {
		return nil, &StatusError{Message: errorMessage(line), Kind: errorKind(line)}
	}
	part := new(T)
	if err := json.Unmarshal(line, part); err != nil {
		return nil, fmt.Errorf("a part of the answer is not what a daemon sends: %w", err)
	}
	return part, nil
}
