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
)

// maxLine is the longest line of a stream. Lines are longest for whole answers with logprobs.
const maxLine = 64 << 20

// Generate continues a prompt. An error ends the iteration; leaving it cancels the request.
func (c *Client) Generate(
	ctx context.Context, req *GenerateRequest,
) iter.Seq2[*GenerateResponse, error] {
	return stream(ctx, c, "/api/generate", req,
		func(r *GenerateResponse) bool { return r.Done || r.Debug != nil })
}

// Chat answers a conversation. An error ends the iteration; leaving it cancels the request.
func (c *Client) Chat(ctx context.Context, req *ChatRequest) iter.Seq2[*ChatResponse, error] {
	return stream(ctx, c, "/api/chat", req,
		func(r *ChatResponse) bool { return r.Done || r.Debug != nil })
}

// stream posts a request and yields the lines of its answer. A stream whose last line is not last
// was cut off.
func stream[T any](
	ctx context.Context, c *Client, path string, req any, last func(*T) bool,
) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		resp, err := c.send(ctx, http.MethodPost, path, req)
		if err != nil {
			yield(nil, err)
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode >= http.StatusBadRequest {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine))
			yield(nil, statusError(resp, body))
			return
		}
		ended := false
		for line, err := range lines(resp.Body) {
			var part *T
			if err == nil {
				part, err = decodeLine[T](line)
			}
			if !yield(part, err) || err != nil {
				return
			}
			ended = last(part)
		}
		if !ended {
			yield(nil, fmt.Errorf("%s: %w", path, errCutOff))
		}
	}
}

// errCutOff is a daemon that went away.
var errCutOff = errors.New("the answer ended before its last part came")

func lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		scanner := bufio.NewScanner(r)
		scanner.Buffer(nil, maxLine)
		for scanner.Scan() {
			if line := bytes.TrimSpace(scanner.Bytes()); len(line) > 0 && !yield(line, nil) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// decodeLine reads one part of an answer, or the error that ends it.
func decodeLine[T any](line []byte) (*T, error) {
	var failure struct {
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(line, &failure); err != nil {
		return nil, fmt.Errorf("a part of the answer is not JSON: %w", err)
	}
	if failure.Error != nil {
		return nil, &StatusError{Message: errorMessage(line)}
	}
	part := new(T)
	if err := json.Unmarshal(line, part); err != nil {
		return nil, fmt.Errorf("a part of the answer is not what a daemon sends: %w", err)
	}
	return part, nil
}
