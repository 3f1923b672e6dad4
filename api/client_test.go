package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama/api"
)

// daemon answers every request with handler.
func daemon(t *testing.T, handler http.HandlerFunc) *api.Client {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return api.NewClient(base, srv.Client())
}

func say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestGenerateYieldsEachPart(t *testing.T) {
	c := daemon(t, say(200, `{"model":"m","response":"He"}
{"model":"m","response":"llo"}

{"model":"m","response":"","done":true,"done_reason":"stop","eval_count":2,"cached_tokens":7}
`))
	var text strings.Builder
	var last *api.GenerateResponse
	for part, err := range c.Generate(t.Context(), &api.GenerateRequest{Model: "m"}) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(part.Response)
		last = part
	}
	if text.String() != "Hello" || last.EvalCount != 2 || last.CachedTokens != 7 {
		t.Errorf("got %q and %+v", text.String(), last)
	}
}

func TestErrorsOfTheDaemonCarryStatusAndMessage(t *testing.T) {
	for _, tt := range []struct {
		name, body, want string
		status           int
	}{
		{"Ollama's form", `{"error":"model \"x\" not found"}`, `model "x" not found`, 404},
		{"our form", `{"error":"no room","kind":"context_full"}`, "no room", 400},
		{"OpenAI's form", `{"error":{"message":"too long","code":null}}`, "too long", 400},
		{"plain text", "Bad Gateway\n", "Bad Gateway", 502},
		{"nothing", "", "the daemon answered 503 Service Unavailable", 503},
		{"a page", strings.Repeat("<html>", 200), "the daemon answered 500 Internal", 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := daemon(t, say(tt.status, tt.body))
			_, err := c.Show(t.Context(), &api.ShowRequest{Model: "x"})
			wantStatus(t, err, tt.status, tt.want)
			for _, err := range c.Chat(t.Context(), &api.ChatRequest{Model: "x"}) {
				wantStatus(t, err, tt.status, tt.want)
			}
		})
	}
}

func wantStatus(t *testing.T, err error, status int, text string) {
	t.Helper()
	var e *api.StatusError
	if !errors.As(err, &e) || e.StatusCode != status || !strings.HasPrefix(e.Error(), text) {
		t.Errorf("got error %#v, want status %d and %q", err, status, text)
	}
}

func TestAnErrorWithinAnAnswerEndsIt(t *testing.T) {
	c := daemon(t, say(200, `{"message":{"content":"a"}}
{"error":"the engine stopped"}
{"message":{"content":"b"},"done":true}
`))
	var errs []string
	parts := 0
	for part, err := range c.Chat(t.Context(), &api.ChatRequest{}) {
		if err != nil {
			errs = append(errs, err.Error())
			continue
		}
		parts += len(part.Message.Content)
	}
	if parts != 1 || len(errs) != 1 || errs[0] != "the engine stopped" {
		t.Errorf("got %d parts and errors %q", parts, errs)
	}
}

func TestACutOffAnswerIsAnError(t *testing.T) {
	c := daemon(t, say(200, `{"response":"a"}`+"\n"))
	var last error
	for _, err := range c.Generate(t.Context(), &api.GenerateRequest{}) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "before its last part") {
		t.Errorf("got %v", last)
	}
}

func TestLeavingTheLoopCancelsTheRequest(t *testing.T) {
	gone := make(chan struct{})
	c := daemon(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, `{"response":"a"}`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	})
	for range c.Generate(t.Context(), &api.GenerateRequest{}) {
		break
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the daemon did not notice")
	}
}

func TestAnAnswerThatIsWholeLeavesItsConnectionForTheNext(t *testing.T) {
	addresses := make(chan string, 3)
	c := daemon(t, func(w http.ResponseWriter, r *http.Request) {
		addresses <- r.RemoteAddr
		fmt.Fprintln(w, `{"response":"","done":true}`)
	})
	first, idle := "", make(chan error, 1)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		PutIdleConn: func(err error) { idle <- err },
	})
	for range cap(addresses) {
		answer, err := c.StartGenerate(ctx, &api.GenerateRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := answer.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := answer.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the last part: %v", err)
		}
		answer.Close()
		if err := <-idle; err != nil { // the end of the answer was read meanwhile
			t.Errorf("the connection was not kept: %v", err)
		}
		address := <-addresses
		if first == "" {
			first = address
		} else if address != first {
			t.Errorf("another connection: %s, not %s", address, first)
		}
	}
}

func TestAClosedAnswerEndsWhileItIsRead(t *testing.T) {
	c := daemon(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, `{"response":"a"}`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	answer, err := c.StartGenerate(t.Context(), &api.GenerateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { answer.Close() })
	for err == nil {
		_, err = answer.Next()
	}
	if errors.Is(err, io.EOF) {
		t.Error("it ended as if it were whole")
	}
}

func TestAClientSpeaksOverAUnixSocketAndShowsItsKey(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"version":"%s of %s"}`, r.Header.Get("Authorization"), r.Host)
	})}
	go srv.Serve(listener)
	defer srv.Close()
	c := api.NewClient(&url.URL{Scheme: "unix", Path: socket}, nil).WithKey("k")
	got, err := c.Version(t.Context())
	if err != nil || got != "Bearer k of localhost" {
		t.Errorf("Version = %q, %v", got, err)
	}
}

func TestUnloadSendsNoPromptAndNoTime(t *testing.T) {
	body := make(chan string, 1)
	c := daemon(t, func(_ http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 1000)
		n, _ := r.Body.Read(buf)
		body <- string(buf[:n])
	})
	if err := c.Unload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if got, want := <-body, `{"model":"m","stream":false,"keep_alive":"0s"}`; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

func TestADaemonThatIsNotThere(t *testing.T) {
	c := api.NewClient(&url.URL{Scheme: "http", Host: "127.0.0.1:1"}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Ping(ctx); err == nil {
		t.Error("Ping says that a daemon is there")
	}
}
