package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// completion is the request. Servers ignore the fields that they do not know.
type completion struct {
	Model         string         `json:"model"`
	Prompt        string         `json:"prompt"`
	MaxTokens     int            `json:"max_tokens"`
	Temperature   float64        `json:"temperature"`
	TopK          int            `json:"top_k,omitempty"`
	TopP          float64        `json:"top_p,omitempty"`
	MinP          *float64       `json:"min_p,omitempty"`
	IgnoreEOS     bool           `json:"ignore_eos"`
	Stream        bool           `json:"stream"`
	StreamOptions map[string]any `json:"stream_options"`
}

// part is what a server sends at a time.
type part struct {
	Choices []struct {
		Text string `json:"text"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
		Details          struct {
			CachedTokens int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// request sends the i-th request and reads its answer.
func (s *sender) request(ctx context.Context, i int) Answer {
	a := Answer{}
	c := completion{
		Model: s.work.Model, Prompt: s.work.Prompt(i), MaxTokens: s.work.Tokens, IgnoreEOS: true,
		Stream: true, StreamOptions: map[string]any{"include_usage": true},
	}
	if sampling := s.work.Sampling; sampling.Temperature > 0 {
		c.Temperature, c.TopK, c.TopP = sampling.Temperature, sampling.TopK, sampling.TopP
		c.MinP = new(0.0) // off: llama-server has a filter of its own there unless told
	}
	body, err := json.Marshal(c)
	if err != nil {
		a.Error = err.Error()
		return a
	}
	a.Start = s.since()
	if err := s.stream(ctx, body, &a); err != nil {
		a.Error = err.Error()
	}
	a.End = s.since()
	return a
}

func (s *sender) stream(ctx context.Context, body []byte, a *Answer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.work.URL+"/v1/completions",
		bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.work.Key != "" {
		req.Header.Set("Authorization", "Bearer "+s.work.Key)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		const enough = 300
		text, _ := io.ReadAll(io.LimitReader(resp.Body, enough))
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return s.events(resp.Body, a)
}

var errNoEnd = errors.New("the answer has no end")

// events reads server-sent events up to [DONE].
func (s *sender) events(r io.Reader, a *Answer) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return errors.Join(errNoEnd, err)
		}
		now := s.since()
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data:"))
		if !ok {
			continue
		}
		data = bytes.TrimSpace(data)
		if bytes.Equal(data, []byte("[DONE]")) {
			return nil
		}
		if err := a.add(data, now); err != nil {
			return err
		}
	}
}

// add books one event that came now.
func (a *Answer) add(data []byte, now float64) error {
	var p part
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("an event is not JSON: %w", err)
	}
	if len(p.Error) > 0 {
		return fmt.Errorf("the answer broke off: %s", p.Error)
	}
	if len(p.Choices) > 0 && p.Choices[0].Text != "" {
		a.Times = append(a.Times, now)
	}
	if p.Usage != nil {
		a.PromptTokens, a.Tokens = p.Usage.PromptTokens, p.Usage.CompletionTokens
		a.CachedTokens = p.Usage.Details.CachedTokens
	}
	return nil
}
