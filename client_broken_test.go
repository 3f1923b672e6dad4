package mullama_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// fakeModel is the model of a server that answers POST /api/generate with handler.
func fakeModel(t *testing.T, handler http.HandlerFunc) *mullama.Model {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/show", say(200, `{"details":{},"capabilities":["completion"]}`))
	mux.HandleFunc("POST /api/chat", handler)
	mux.HandleFunc("POST /api/generate", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asks := strings.Contains(string(body), `"prompt":`) ||
			strings.Contains(string(body), `"tokens":`)
		if !asks {
			fmt.Fprint(w, `{"done":true,"done_reason":"load"}`)
			return
		}
		handler(w, r)
	})
	m, err := newClient(t, serve(t, mux)).Load(t.Context(), "m", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func say(status int, lines string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, lines)
	}
}

// cut sends a part and then breaks the connection.
func cut(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, `{"response":"a"}`)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// hang sends a part and then nothing more.
func hang(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, `{"response":"a"}`)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func TestDaemonsThatBreakOffOrAnswerNonsenseAreInternalErrors(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"hung up":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut":             cut,
		"no last part":    say(200, `{"response":"a"}`),
		"half a part":     say(200, "{\"response\":\"a\"}\n{\"resp"),
		"no JSON":         say(200, "<html>hello</html>"),
		"another type":    say(200, `{"response":["a"]}`),
		"nothing":         say(200, ""),
		"500":             say(500, `{"error":"oh"}`),
		"502 of a proxy":  say(502, "<html>Bad Gateway</html>"),
		"an error within": say(200, "{\"response\":\"a\"}\n{\"error\":\"the engine stopped\"}"),
		"a redirect loop": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/api/generate", http.StatusTemporaryRedirect)
		},
		"a status unknown": say(599, ""),
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			s, err := fakeModel(t, handler).Generate(t.Context(), "x", nil)
			text := ""
			for err == nil {
				var c mullama.Chunk
				c, err = s.Next()
				text += c.Text
			}
			wantKind(t, err, mullama.ErrInternal)
			if errors.Is(err, io.EOF) {
				t.Errorf("%v looks like the end of an answer", err)
			}
			if strings.Trim(text, "a") != "" {
				t.Errorf("the text is %q", text)
			}
			if s == nil {
				return
			}
			if _, again := s.Next(); again == nil || again.Error() != err.Error() {
				t.Errorf("later: %v, first: %v", again, err)
			}
		})
	}
}

func TestStatusesOfADaemonAndTheirKinds(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		want   error
		words  string
	}{
		{400, `{"error":"no room","kind":"context_full"}`, mullama.ErrContextFull, "no room"},
		{400, `{"error":"bad","kind":"grammar"}`, mullama.ErrGrammar, "bad"},
		{400, `{"error":"bad","kind":"of the future"}`, mullama.ErrInvalidOption, "bad"},
		{400, `{"error":"input exceeds the context length"}`, mullama.ErrContextFull, "exceeds"},
		{400, `{"error":"top_k"}`, mullama.ErrInvalidOption, "top_k"},
		{401, `{"error":"no key"}`, mullama.ErrInvalidOption, "no key"},
		{404, `{"error":"model not found"}`, mullama.ErrNotFound, "model not found"},
		{413, `{"error":"too large"}`, mullama.ErrInvalidOption, "too large"},
		{429, ``, mullama.ErrBusy, "429"},
		{500, `{"error":"no memory","kind":"out_of_memory"}`, mullama.ErrOutOfMemory, "no memory"},
		{501, `{"error":"not yet"}`, mullama.ErrUnsupported, "not yet"},
		{503, `{"error":"9 wait","kind":"busy"}`, mullama.ErrBusy, "9 wait"},
		{503, `{"error":"going down","kind":"closed"}`, mullama.ErrClosed, "going down"},
	} {
		m := fakeModel(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.body)
		})
		_, err := m.Generate(t.Context(), "x", nil)
		wantKind(t, err, tt.want, tt.words)
		status, busy := (*api.StatusError)(nil), (*mullama.BusyError)(nil)
		if !errors.As(err, &status) || status.StatusCode != tt.status {
			t.Errorf("%d: the cause is %v", tt.status, status)
		}
		if isBusy := errors.As(err, &busy); isBusy != errors.Is(err, mullama.ErrBusy) ||
			isBusy && busy.RetryAfter != 7*time.Second {
			t.Errorf("%d: busy %v", tt.status, busy)
		}
	}
}

func TestASlowDaemonIsCancelled(t *testing.T) {
	noLeaks(t)
	m := fakeModel(t, hang)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	within(t, 10*time.Second, "a slow answer", func() {
		s, err := m.Generate(ctx, "x", nil)
		if err != nil {
			t.Error(err)
			return
		}
		if c, err := s.Next(); err != nil || c.Text != "a" {
			t.Errorf("it begins with %+v, %v", c, err)
		}
		time.AfterFunc(50*time.Millisecond, cancel)
		r, err := s.Collect()
		if err != nil || r.Text != "" || r.FinishReason != mullama.FinishCancelled {
			t.Errorf("got %+v, %v", r, err)
		}
	})

	never := fakeModel(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, 10*time.Second, "no answer", func() {
		_, err := never.Generate(ctx, "x", nil)
		wantKind(t, err, mullama.ErrCancelled)
	})
	time.AfterFunc(50*time.Millisecond, func() { never.Close() })
	within(t, 10*time.Second, "an answer of a closed model", func() {
		_, err := never.Generate(t.Context(), "x", nil)
		wantKind(t, err, mullama.ErrClosed)
	})
}

func TestADroppedStreamOfADaemonEnds(t *testing.T) {
	gone := make(chan struct{})
	m := fakeModel(t, func(w http.ResponseWriter, r *http.Request) {
		hang(w, r)
		close(gone)
	})
	func() {
		if _, err := m.Generate(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
	}()
	within(t, 10*time.Second, "the end of a dropped stream", func() {
		for {
			runtime.GC()
			select {
			case <-gone:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
}

func TestADaemonThatIsNotThere(t *testing.T) {
	c := newClient(t, "http://127.0.0.1:1")
	_, err := c.Load(t.Context(), "m", nil)
	wantKind(t, err, mullama.ErrInternal, "ask the daemon")
	if e := (*mullama.Error)(nil); !errors.As(err, &e) || !strings.Contains(e.Hint, "running") {
		t.Errorf("the hint is missing: %#v", err)
	}
	if _, err := c.List(); err == nil || len(c.Running()) > 0 || c.Engine().Version != "" {
		t.Errorf("it is there: %v", err)
	}
}

func TestAClientThatIsClosed(t *testing.T) {
	wait := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := newClient(t, serve(t, wait))
	time.AfterFunc(50*time.Millisecond, func() { c.Close() })
	within(t, 10*time.Second, "a list of a closed client", func() {
		_, err := c.List()
		wantKind(t, err, mullama.ErrClosed)
	})
	_, err := c.Load(t.Context(), "m", nil)
	wantKind(t, err, mullama.ErrClosed)
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{
		"", "127.0.0.1:1", "localhost", "http://", "ftp://x", "unix:", ":",
	} {
		_, err := mullama.NewClient(address, mullama.ClientOptions{})
		wantKind(t, err, mullama.ErrInvalidOption, "address")
	}
	for _, address := range []string{"http://[::1]:1", "https://a/b", "unix:///run/s"} {
		if _, err := mullama.NewClient(address, mullama.ClientOptions{}); err != nil {
			t.Error(err)
		}
	}
}

func TestAKeyGoesWithEachRequest(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"version":%q}`, r.Header.Get("Authorization"))
	}))
	c, err := mullama.NewClient(url, mullama.ClientOptions{Key: "k", HTTP: http.DefaultClient})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Engine().Version; got != "daemon Bearer k" {
		t.Errorf("the daemon got %q", got)
	}
}

// Ollama takes thoughts out of the text, tells no tokens and takes none.
func TestWhatOllamaLacks(t *testing.T) {
	m := fakeModel(t, say(200, `{"message":{"thinking":"1+1"}}
{"message":{"thinking":" is 2"}}
{"message":{"content":"Two"}}
{"message":{"content":""},"done":true,"done_reason":"stop","eval_count":5}`))
	s, err := m.Chat(t.Context(), capital, nil)
	r := collect(t, s, err)
	if r.Text != "<think>\n1+1 is 2\n</think>\n\nTwo" || len(r.Tokens) > 0 ||
		r.Stats.GeneratedTokens != 5 {
		t.Errorf("got %+v", r)
	}
	s, err = m.Chat(t.Context(), capital, &mullama.ChatOptions{ThoughtsApart: true})
	if r := collect(t, s, err); r.Text != "Two" || r.Thinking != "1+1 is 2" {
		t.Errorf("apart: %+v", r)
	}
	m = fakeModel(t, say(200, `{"done":true,"done_reason":"load"}`))
	s, err = m.GenerateTokens(t.Context(), []mullama.Token{1}, nil)
	if err == nil {
		_, err = s.Next()
	}
	wantKind(t, err, mullama.ErrUnsupported, "tokens")
	_, err = m.FormatChat(capital, nil)
	wantKind(t, err, mullama.ErrUnsupported)
	_, err = m.Tokenize("a", mullama.TokenizeOptions{})
	wantKind(t, err, mullama.ErrUnsupported, "tokenize")
}
