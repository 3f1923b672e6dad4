package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// client sends one request after the other.
type client struct {
	*runner
	random *rand.Rand
	talk   conversation
}

// trial is one request.
type trial struct {
	*client
	ctx     context.Context
	kind    string
	model   string
	began   time.Time
	parts   []time.Time // when each part of a text came
	retries int
}

// object is one of JSON.
type object = map[string]any

// one sends a request of a random kind and books what becomes of it.
func (c *client) one(parent context.Context) {
	k := pick(c.random)
	ctx, cancel := context.WithTimeout(parent, c.Limit)
	defer cancel()
	t := &trial{client: c, ctx: ctx, kind: k.name, began: time.Now(),
		model: c.Models[c.random.IntN(len(c.Models))]}
	err := k.send(t)
	switch {
	case parent.Err() != nil: // the run was given up; that is not the daemon's fault
	case err == nil:
		c.books.win(t, time.Now())
	case ctx.Err() != nil:
		c.books.lose(t, fmt.Errorf("no end within %s: %w", c.Limit, err))
	default:
		c.books.lose(t, err)
	}
}

// chance is true once in n times.
func (c *client) chance(n int) bool { return c.random.IntN(n) == 0 }

// text returns n words.
func (c *client) text(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = words[c.random.IntN(len(words))]
	}
	return strings.Join(all, " ")
}

var words = strings.Fields("the of and to in is you that it he was for on are as with his they " +
	"at be this have from or one had by word but not what all were we when your can said there " +
	"use an each which she do how their if will up other about out many then them these so some")

// toChat picks a model that can chat, and returns its name.
func (t *trial) toChat() string {
	t.model = t.chats[t.random.IntN(len(t.chats))]
	return t.model
}

// messages is a conversation of one question.
func (c *client) messages() []object {
	return []object{{"role": "user", "content": c.text(4 + c.random.IntN(20))}}
}

// tokens is how long an answer may be.
func (c *client) tokens() int { return 2 + c.random.IntN(24) }

func authorize(req *http.Request, key string) {
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
}

// post sends a JSON object; see send.
func (t *trial) post(path string, body object) (*http.Response, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return t.send(http.MethodPost, path, data)
}

// send sends a request, again and again while the daemon says that it is busy and when it will not
// be.
func (t *trial) send(method, path string, body []byte) (*http.Response, error) {
	for {
		req, err := http.NewRequestWithContext(t.ctx, method, t.URL+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		authorize(req, t.Key)
		resp, err := t.http.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusServiceUnavailable {
			return resp, nil
		}
		if err := t.waitAsTold(resp); err != nil {
			return nil, err
		}
	}
}

// waitAsTold waits as long as an answer with status 503 says.
func (t *trial) waitAsTold(resp *http.Response) error {
	message, err := sentenceOf(resp)
	if err != nil {
		return err
	}
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		return fmt.Errorf("status 503 with Retry-After %q: %s", resp.Header.Get("Retry-After"),
			message)
	}
	t.retries++
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
		return nil
	case <-t.ctx.Done():
		return fmt.Errorf("still busy after %d retries: %s", t.retries, message)
	}
}

// sentenceOf reads the error that an answer tells and closes it. It must be JSON with a sentence.
func sentenceOf(resp *http.Response) (string, error) {
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return "", fmt.Errorf("status %d, but the error is not JSON: %.200q", resp.StatusCode, data)
	}
	var text string
	var openAI struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body.Error, &text) != nil {
		_ = json.Unmarshal(body.Error, &openAI) // without a message it stays empty
		text = openAI.Message
	}
	if text == "" {
		return "", fmt.Errorf("status %d without a sentence: %.200q", resp.StatusCode, data)
	}
	return text, nil
}

// ok closes an answer of another status and says what it was.
func ok(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	text, err := sentenceOf(resp)
	if err != nil {
		return err
	}
	return fmt.Errorf("status %d: %s", resp.StatusCode, text)
}

// whole reads an answer that must be one JSON object with a field.
func whole(resp *http.Response, field string) (object, error) {
	if err := ok(resp); err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var got object
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	if _, found := got[field]; !found {
		return nil, fmt.Errorf("the answer has no %s", field)
	}
	return got, nil
}

var errLeft = errors.New("the client has left")
