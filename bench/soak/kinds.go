package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// kind is a kind of request.
type kind struct {
	name   string
	weight int
	send   func(t *trial) error
}

// kinds is the mix. What sends 20 MB is rare, and so is unloading: all other requests for the model
// wait until those that run have ended.
var kinds = []kind{
	{"openai_chat", 20, func(t *trial) error { return t.stream(t.openAIChat()) }},
	{"openai_whole", 5, openAIWhole},
	{"generate", 12, func(t *trial) error { return t.stream(t.generate()) }},
	{"generate_whole", 8, generateWhole},
	{"completion", 4, func(t *trial) error { return t.stream(t.completion()) }},
	{"conversation", 10, goOn},
	{"long_prompt", 4, longPrompt},
	{"other_context", 3, otherContext},
	{"slow_reader", 3, slowReader},
	{"socket", 6, useSocket},
	{"socket_cancel", 3, cancelOnSocket},
	{"cancel", 10, cancelStream},
	{"vanish", 6, vanish},
	{"slow_sender", 3, slowSender},
	{"broken", 14, sendBroken},
	{"too_large", 1, sendTooLarge},
	{"unload", 1, unloadModel},
	{"tokenize", 8, tokenize},
	{"ps", 4, func(t *trial) error { return t.get("/api/ps", "models") }},
	{"tags", 2, func(t *trial) error { return t.get("/api/tags", "models") }},
	{"metrics", 2, getMetrics},
}

// pick takes a kind by its weight.
func pick(random *rand.Rand) *kind {
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	n := random.IntN(sum)
	for i := range kinds {
		if n -= kinds[i].weight; n < 0 {
			return &kinds[i]
		}
	}
	return &kinds[0]
}

// streamed is a request whose answer streams.
type streamed struct {
	path string
	body object
	form reader
}

func (t *trial) openAIChat() streamed {
	return streamed{"/v1/chat/completions", object{"model": t.toChat(), "messages": t.messages(),
		"max_tokens": t.tokens(), "stream": true}, reader{openAI: true}}
}

func (t *trial) generate() streamed {
	return streamed{"/api/generate", object{"model": t.model, "prompt": t.text(8),
		"options": object{"num_predict": t.tokens()}}, reader{}}
}

func (t *trial) completion() streamed {
	return streamed{"/completion", object{"model": t.model, "prompt": t.text(12),
		"n_predict": t.tokens(), "stream": true}, reader{}}
}

// anyStream is one of the above.
func (t *trial) anyStream() streamed {
	return []func(*trial) streamed{
		(*trial).openAIChat, (*trial).generate, (*trial).completion,
	}[t.random.IntN(3)](t)
}

// stream sends a request and reads its answer.
func (t *trial) stream(s streamed) error {
	_, err := t.streamText(s)
	return err
}

func (t *trial) streamText(s streamed) (string, error) {
	resp, err := t.post(s.path, s.body)
	if err != nil {
		return "", err
	}
	s.form.t = t
	return s.form.read(resp)
}

func openAIWhole(t *trial) error {
	body := object{"model": t.toChat(), "messages": t.messages(), "max_tokens": t.tokens()}
	if t.chance(4) {
		body["n"] = 2
	}
	resp, err := t.post("/v1/chat/completions", body)
	if err != nil {
		return err
	}
	_, err = whole(resp, "usage")
	return err
}

func generateWhole(t *trial) error {
	s := t.generate()
	s.body["stream"] = false
	resp, err := t.post(s.path, s.body)
	if err != nil {
		return err
	}
	got, err := whole(resp, "done_reason")
	if err == nil && got["done"] != true {
		err = errors.New("the answer is not done")
	}
	return err
}

// conversation is one that a client goes on with, so that its beginning is in the cache.
type conversation struct {
	model    string
	messages []object
}

func goOn(t *trial) error {
	const longest = 8
	if len(t.talk.messages) == 0 || len(t.talk.messages) > longest {
		t.talk = conversation{model: t.toChat()}
	}
	t.model = t.talk.model
	t.talk.messages = append(t.talk.messages, t.messages()...)
	answer, err := t.streamText(streamed{"/api/chat", object{"model": t.model,
		"messages": t.talk.messages, "options": object{"num_predict": t.tokens()}}, reader{}})
	if err != nil {
		t.talk = conversation{}
		return err
	}
	t.talk.messages = append(t.talk.messages, object{"role": "assistant", "content": answer})
	return nil
}

func longPrompt(t *trial) error {
	s := t.anyStream()
	long := t.text(300 + t.random.IntN(900))
	if s.body["messages"] != nil {
		s.body["messages"] = []object{{"role": "user", "content": long}}
	} else {
		s.body["prompt"] = long
	}
	return t.stream(s)
}

// otherContext makes the daemon load the model with another context beside the first.
func otherContext(t *trial) error {
	s := t.generate()
	s.body["options"].(object)["num_ctx"] = 1024
	return t.stream(s)
}

func slowReader(t *trial) error {
	s := t.anyStream()
	s.form.pause = 30 * time.Millisecond
	err := t.stream(s)
	t.parts = nil // their times are the client's
	return err
}

// cancelStream leaves after a few parts. An answer may also end before.
func cancelStream(t *trial) error {
	s := t.anyStream()
	s.form.leave = 1 + t.random.IntN(5)
	if err := t.stream(s); !errors.Is(err, errLeft) {
		return err
	}
	return nil
}

// unloadModel unloads a model, or asks for an answer after which it goes.
func unloadModel(t *trial) error {
	if t.chance(2) {
		s := t.generate()
		s.body["keep_alive"] = 0
		return t.stream(s)
	}
	resp, err := t.post("/api/generate", object{"model": t.model, "keep_alive": 0})
	if err != nil {
		return err
	}
	_, err = whole(resp, "done")
	return err
}

// unload is the same outside of the mix.
func (r *runner) unload(ctx context.Context, model string) error {
	ctx, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	t := &trial{client: &client{runner: r}, ctx: ctx}
	resp, err := t.post("/api/generate", object{"model": model, "keep_alive": 0})
	if err != nil {
		return err
	}
	_, err = whole(resp, "done")
	return err
}

func tokenize(t *trial) error {
	resp, err := t.post("/tokenize", object{"model": t.model, "content": t.text(20),
		"with_pieces": t.chance(4)})
	if err != nil {
		return err
	}
	_, err = whole(resp, "tokens")
	return err
}

// get asks for an object with a field.
func (t *trial) get(path, field string) error {
	resp, err := t.send(http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	_, err = whole(resp, field)
	return err
}

func getMetrics(t *trial) error {
	resp, err := t.send(http.MethodGet, "/metrics", nil)
	if err != nil {
		return err
	}
	if err := ok(resp); err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := parseState(resp.Body); err != nil {
		return fmt.Errorf("the metrics: %w", err)
	}
	return nil
}
