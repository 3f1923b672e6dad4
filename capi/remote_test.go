package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
)

// fakeDaemon answers like a daemon with the model "m". A prompt "wait" gets one part and no more.
func fakeDaemon(t *testing.T) engine {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/show", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"details":{}}`)
	})
	mux.HandleFunc("POST /api/generate", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "long") {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"the prompt has 9 tokens","kind":"context_full"}`)
			return
		}
		fmt.Fprintln(w, `{"response":"a","done":false}`)
		_ = http.NewResponseController(w).Flush()
		if strings.Contains(string(body), "wait") {
			<-r.Context().Done()
			return
		}
		fmt.Fprintln(w, `{"response":"b","done":false}`)
		fmt.Fprintln(w, `{"response":"","done":true,"done_reason":"stop","eval_count":2}`)
	})
	daemon := httptest.NewServer(mux)
	t.Cleanup(daemon.Close)
	e, err := openRemote(&runtimeOptions{URL: daemon.URL})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func loadRemote(t *testing.T) model {
	m, err := loadWith(fakeDaemon(t), "m", nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Another thread than the one that asked reads the answer, as mullama_stream_deliver does.
func TestAnyThreadReadsTheAnswerOfADaemon(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	a, err := loadRemote(t).generate([]byte(`{"prompt":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	go func() {
		runtime.LockOSThread()
		text := ""
		for {
			p, err := a.next()
			if err != nil {
				done <- text + " " + err.Error()
				return
			}
			text += p.text + string(p.json)
		}
	}()
	want := `ab{"model":"","created_at":"0001-01-01T00:00:00Z","response":"","done":true,` +
		`"done_reason":"stop","eval_count":2} EOF`
	if got := <-done; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnAnswerOfADaemonThatIsCancelledEnds(t *testing.T) {
	a, err := loadRemote(t).generate([]byte(`{"prompt":"wait"}`))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := a.next(); err != nil || p.text != "a" {
		t.Fatalf("got %+v, %v", p, err)
	}
	time.AfterFunc(10*time.Millisecond, a.cancel)
	p, err := a.next()
	if err != nil || !p.done || !strings.Contains(string(p.json), "cancelled") {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := a.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

func TestClosingAModelEndsTheAnswersOfTheDaemon(t *testing.T) {
	m := loadRemote(t)
	a, err := m.generate([]byte(`{"prompt":"wait"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.next(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, func() { m.close() })
	if p, err := a.next(); err != nil || !strings.Contains(string(p.json), "cancelled") {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestEveryEngineTellsThatTheModelIsLoaded(t *testing.T) {
	for name, e := range map[string]engine{"m": fakeDaemon(t), "echo": echo{}} {
		var told []float32
		m, err := load(e, name, &mullama.LoadOptions{}, func(fraction float32) bool {
			told = append(told, fraction)
			return true
		})
		if m == nil || err != nil || !slices.Equal(told, []float32{1}) {
			t.Errorf("%s: told %v, and got %v, %v", name, told, m, err)
		}
		_, err = load(e, name, &mullama.LoadOptions{}, func(float32) bool { return false })
		if code, message := explain(err); statusName(code) != "cancelled" {
			t.Errorf("%s: a load that was given up ended with %s", name, message)
		}
	}
}

func TestErrorsOfADaemonHaveTheKindsOfTheEngine(t *testing.T) {
	m := loadRemote(t)
	for request, kind := range map[string]error{
		`{"prompt":"long"}`:                         mullama.ErrContextFull,
		`{"prompt":"x","options":{"num_ctx":9}}`:    nil, // a refusal, as in this process
		`{"prompt":"x","options":{"top_k":"many"}}`: nil,
		`{}`: mullama.ErrInvalidOption,
		`{`:  mullama.ErrInvalidOption,
	} {
		_, err := m.generate([]byte(request))
		if err == nil || kind != nil && !errors.Is(err, kind) {
			t.Errorf("%s: %v, want %v", request, err, kind)
		} else if code, _ := explain(err); kind == nil && statusName(code) != "invalid" {
			t.Errorf("%s: %s, %v", request, statusName(code), err)
		}
	}
	if _, err := openRemote(&runtimeOptions{URL: "127.0.0.1:1"}); err == nil {
		t.Error("a url without http:// was taken")
	}
	e, err := openRemote(&runtimeOptions{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.info()
	if _, message := explain(err); !strings.Contains(message, "is it running") {
		t.Errorf("no daemon: %s", message)
	}
}
