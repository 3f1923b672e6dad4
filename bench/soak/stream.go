package soak

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// line is what all forms of a stream may have in a line.
type line struct {
	Error    json.RawMessage `json:"error"`
	Done     bool            `json:"done"` // Ollama's end
	Stop     bool            `json:"stop"` // llama-server's end
	Response string          `json:"response"`
	Content  string          `json:"content"`
	Message  struct {
		Content string `json:"content"`
	} `json:"message"`
	Choices []struct {
		Text  string `json:"text"`
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
}

func (l *line) text() string {
	text := l.Response + l.Content + l.Message.Content
	for _, c := range l.Choices {
		text += c.Text + c.Delta.Content
	}
	return text
}

// reader reads one answer that streams.
type reader struct {
	t        *trial
	openAI   bool          // it ends with [DONE]
	leave    int           // the client leaves after so many parts; 0: never
	pause    time.Duration // the client takes its time after each part
	finished bool          // a line said that the text has ended
	ended    bool          // nothing may come any more
	said     strings.Builder
}

// read takes a stream to its end, or to where the client leaves it: then the error is errLeft.
func (r *reader) read(resp *http.Response) (text string, err error) {
	if err := ok(resp); err != nil {
		return "", err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for {
		data, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(data)) > 0 {
			if err := r.take(bytes.TrimSpace(data)); err != nil {
				return "", err
			}
		}
		switch {
		case errors.Is(err, io.EOF) && r.ended:
			return r.said.String(), nil
		case err != nil:
			return "", fmt.Errorf("the stream broke off after %d parts: %w", len(r.t.parts), err)
		}
	}
}

// take books one line.
func (r *reader) take(data []byte) error {
	if data[0] == ':' { // a comment
		return nil
	}
	if r.ended {
		return fmt.Errorf("the stream goes on after its end: %.100q", data)
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("data:")))
	if r.openAI && string(data) == "[DONE]" {
		r.ended = true
		if !r.finished {
			return errors.New("the stream ended without a finish_reason")
		}
		return nil
	}
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return fmt.Errorf("a part is not JSON: %.100q", data)
	}
	if len(l.Error) > 0 {
		return fmt.Errorf("the stream broke off: %s", l.Error)
	}
	if len(l.Choices) > 0 && l.Choices[0].FinishReason != "" {
		r.finished = true
	}
	r.ended = r.ended || l.Done || l.Stop
	if text := l.text(); text != "" {
		r.said.WriteString(text)
		return r.part()
	}
	return nil
}

// part books a part that came now.
func (r *reader) part() error {
	r.t.parts = append(r.t.parts, time.Now())
	if r.leave > 0 && len(r.t.parts) >= r.leave {
		return errLeft
	}
	if r.pause > 0 {
		time.Sleep(r.pause)
	}
	return nil
}
