package load

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fake answers like a server of completions and keeps count.
type fake struct {
	pause          time.Duration
	now, most, all atomic.Int32
	prompts        chan string
	asked          chan completion
	broken         bool // breaks off each second answer
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for n := f.now.Add(1); ; {
		most := f.most.Load()
		if n <= most || f.most.CompareAndSwap(most, n) {
			break
		}
	}
	defer f.now.Add(-1)
	var c completion
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil || r.URL.Path != "/v1/completions" {
		http.Error(w, "not a completion", http.StatusBadRequest)
		return
	}
	if f.prompts != nil {
		f.prompts <- c.Prompt
	}
	if f.asked != nil {
		f.asked <- c
	}
	number := f.all.Add(1)
	flush := http.NewResponseController(w)
	for i := range c.MaxTokens {
		fmt.Fprintf(w, "data: {\"choices\":[{\"text\":\"t%d\"}]}\n\n", i)
		_ = flush.Flush()
		time.Sleep(f.pause)
		if f.broken && number%2 == 0 {
			return
		}
	}
	fmt.Fprintf(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":%d,"+
		"\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\ndata: [DONE]\n\n", c.MaxTokens)
}

func send(t *testing.T, f *fake, w Work) Summary {
	t.Helper()
	server := httptest.NewServer(f)
	defer server.Close()
	w.URL = server.URL
	run, err := Send(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return run.Summary()
}

func TestAClosedLoopKeepsItsStreamsBusy(t *testing.T) {
	f := &fake{pause: time.Millisecond}
	s := send(t, f, Work{Requests: 12, Streams: 4, PromptTokens: 5, Tokens: 6})
	if s.Requests != 12 || s.Failed != 0 || s.Tokens != 72 || s.PromptTokens != 84 ||
		s.CachedTokens != 36 {
		t.Errorf("summary %+v", s)
	}
	if most := f.most.Load(); most < 2 || most > 4 {
		t.Errorf("%d requests at once, want up to 4", most)
	}
	if s.Gap.P50 < 0.9 || s.FirstToken.P50 <= 0 || s.Whole.P50 < 5*s.Gap.P50/2 {
		t.Errorf("times %+v, %+v, %+v", s.FirstToken, s.Gap, s.Whole)
	}
}

func TestAnOpenLoopDoesNotWait(t *testing.T) {
	f := &fake{pause: 20 * time.Millisecond}
	s := send(t, f, Work{Requests: 10, Rate: 1000, PromptTokens: 5, Tokens: 5})
	if s.Failed != 0 || f.most.Load() < 5 {
		t.Errorf("%d requests at once of 10, summary %+v", f.most.Load(), s)
	}
}

func TestAnAnswerThatBreaksOffIsCountedAsFailed(t *testing.T) {
	s := send(t, &fake{broken: true}, Work{Requests: 4, Streams: 1, PromptTokens: 5, Tokens: 3})
	if s.Failed != 2 || s.Tokens != 6 || !strings.Contains(s.FirstError, "no end") {
		t.Errorf("summary %+v", s)
	}
}

func TestPromptsShareWhatTheyShould(t *testing.T) {
	f := &fake{prompts: make(chan string, 2)}
	send(t, f, Work{Requests: 2, Streams: 1, PromptTokens: 40, SharedPrompt: 20, Tokens: 1})
	a, b := strings.Fields(<-f.prompts), strings.Fields(<-f.prompts)
	if len(a) != 40 || len(b) != 40 {
		t.Fatalf("%d and %d words, want 40", len(a), len(b))
	}
	if strings.Join(a[:20], " ") != strings.Join(b[:20], " ") {
		t.Error("the first 20 words differ")
	}
	if strings.Join(a[20:], " ") == strings.Join(b[20:], " ") {
		t.Error("the last 20 words are the same")
	}
}

func TestWorkThatMakesNoSenseIsRefused(t *testing.T) {
	for _, w := range []Work{
		{}, {Requests: 1, Streams: 0, PromptTokens: 1, Tokens: 1},
		{Requests: 1, Rate: -1, PromptTokens: 1, Tokens: 1},
		{Requests: 1, Streams: 1, PromptTokens: 1, Tokens: 1, SharedPrompt: 2},
		{Requests: 1, Streams: 1, PromptTokens: 1, Tokens: 1, Sampling: Sampling{TopK: -1}},
	} {
		if _, err := Send(t.Context(), w); err == nil {
			t.Errorf("%+v was sent", w)
		}
	}
}

func TestSamplingIsAskedForAsItIsGiven(t *testing.T) {
	f := &fake{asked: make(chan completion, 2)}
	w := Work{Requests: 1, Streams: 1, PromptTokens: 5, Tokens: 1,
		Sampling: Sampling{TopK: 40, TopP: 0.9}}
	send(t, f, w)
	if c := <-f.asked; c.Temperature != 0 || c.TopK != 0 || c.TopP != 0 || c.MinP != nil {
		t.Errorf("a greedy request is %+v", c)
	}
	w.Sampling.Temperature = 0.8
	send(t, f, w)
	if c := <-f.asked; c.Temperature != 0.8 || c.TopK != 40 || c.TopP != 0.9 || c.MinP == nil {
		t.Errorf("a request with a temperature is %+v", c)
	}
}

func TestGenerationIsTimedWhileAllAnswersGrow(t *testing.T) {
	run := Run{Answers: []Answer{
		{Times: []float64{1, 2, 3, 4}, Tokens: 8}, // a part is two tokens
		{Times: []float64{2, 3, 4, 5}, Tokens: 4},
	}}
	// From 2 to 4: two parts of the first, and of the second.
	if got := run.Summary().DecodePerSecond; got != 3 {
		t.Errorf("%v tokens per second, want 3", got)
	}
	run.Answers[1].Times = []float64{4, 5}
	if got := run.Summary().DecodePerSecond; got != 0 {
		t.Errorf("%v tokens per second of answers that came one after the other, want 0", got)
	}
}
