// Package load sends many completion requests to a server and times every token.
//
// It speaks the one protocol that Mullama, llama-server and Ollama share: /v1/completions with
// server-sent events. One goroutine per stream sends its requests one after the other (a closed
// loop), or requests start at a given rate whether earlier ones have ended or not (an open loop).
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Work says what is sent.
type Work struct {
	URL   string `json:"url"` // "http://127.0.0.1:11434"
	Model string `json:"model"`
	Key   string `json:"-"` // API key, or ""

	Requests     int     `json:"requests"`      // in all
	Streams      int     `json:"streams"`       // at once, in a closed loop
	Rate         float64 `json:"rate"`          // requests per second; 0: a closed loop
	PromptTokens int     `json:"prompt_tokens"` // about this many
	Tokens       int     `json:"tokens"`        // of each answer
	SharedPrompt int     `json:"shared_tokens"` // of each prompt, that are the same in all
	Seed         uint64  `json:"seed"`
	Text         string  `json:"text,omitempty"` // the prompt of every request; "": random words

	Sampling Sampling `json:"sampling"`
}

// Sampling says how servers are asked to choose tokens.
type Sampling struct {
	Temperature float64 `json:"temperature"` // 0: always the likeliest token
	// TopK and TopP count with a temperature alone. 0: the server's.
	TopK int     `json:"top_k"`
	TopP float64 `json:"top_p"`
}

// Answer is what became of one request. Times are seconds since the run began.
type Answer struct {
	Start        float64   `json:"start_s"`
	Times        []float64 `json:"times_s"` // when each part of the text came
	End          float64   `json:"end_s"`
	PromptTokens int       `json:"prompt_tokens"`
	CachedTokens int       `json:"cached_tokens"`
	Tokens       int       `json:"tokens"` // as the server counts them
	Error        string    `json:"error,omitempty"`
}

// Run is a whole run.
type Run struct {
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"` // from the first request to the last answer
	Answers []Answer  `json:"answers"`
}

// Send does the work. An answer that fails is part of the result, not an error.
func Send(ctx context.Context, w Work) (*Run, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: w.Streams + 1, MaxConnsPerHost: 0, DisableCompression: true,
	}}
	defer client.CloseIdleConnections()
	s := &sender{work: w, client: client, start: time.Now()}
	run := &Run{Started: s.start, Answers: make([]Answer, w.Requests)}
	if w.Rate > 0 {
		s.open(ctx, run)
	} else {
		s.closed(ctx, run)
	}
	run.Seconds = s.since()
	return run, ctx.Err()
}

func (w *Work) check() error {
	switch {
	case w.Requests < 1 || w.Tokens < 1 || w.PromptTokens < 1:
		return errors.New("requests, prompt tokens and tokens must be at least 1")
	case w.Rate < 0:
		return fmt.Errorf("the rate is %g; it must be 0 or more", w.Rate)
	case w.Rate == 0 && w.Streams < 1:
		return errors.New("a closed loop needs at least 1 stream")
	case w.SharedPrompt < 0 || w.SharedPrompt > w.PromptTokens:
		return fmt.Errorf("%d shared tokens do not fit in prompts of %d", w.SharedPrompt,
			w.PromptTokens)
	case w.Sampling.Temperature < 0 || w.Sampling.TopK < 0 || w.Sampling.TopP < 0:
		return errors.New("temperature, top-k and top-p must be at least 0")
	}
	return nil
}

// sender is one run.
type sender struct {
	work   Work
	client *http.Client
	start  time.Time
}

func (s *sender) since() float64 { return time.Since(s.start).Seconds() }

// closed has each stream send its next request when its last was answered.
func (s *sender) closed(ctx context.Context, run *Run) {
	next := make(chan int)
	var streams sync.WaitGroup
	for range min(s.work.Streams, s.work.Requests) {
		streams.Go(func() {
			for i := range next {
				run.Answers[i] = s.request(ctx, i)
			}
		})
	}
	for i := range s.work.Requests {
		next <- i
	}
	close(next)
	streams.Wait()
}

// open starts requests at random times with the given mean rate, as independent users would.
func (s *sender) open(ctx context.Context, run *Run) {
	random := rand.New(rand.NewPCG(s.work.Seed, 2))
	var all sync.WaitGroup
	at := 0.0
	for i := range s.work.Requests {
		wait := time.Duration((at - s.since()) * float64(time.Second))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		all.Go(func() { run.Answers[i] = s.request(ctx, i) })
		at += random.ExpFloat64() / s.work.Rate
	}
	all.Wait()
}

// Prompt returns the text of the i-th request. It has about PromptTokens tokens: most vocabularies
// have a token for each of these words. The first words differ between requests unless they are to
// be shared, so that no cache helps.
func (w *Work) Prompt(i int) string {
	if w.Text != "" {
		return w.Text
	}
	shared := rand.New(rand.NewPCG(w.Seed, 0))
	own := rand.New(rand.NewPCG(w.Seed, uint64(i)+3))
	text := make([]string, w.PromptTokens)
	for n := range text {
		random := own
		if n < w.SharedPrompt {
			random = shared
		}
		text[n] = words[random.IntN(len(words))]
	}
	return strings.Join(text, " ")
}

var words = strings.Fields("the of and to in is you that it he was for on are as with his " +
	"they I at be this have from or one had by word but not what all were we when your can said " +
	"there use an each which she do how their if will up other about out many then them these so " +
	"some her would make like him into time has look two more write go see number no way could " +
	"people my than first water been call who oil its now find long down day did get come made " +
	"may part")
