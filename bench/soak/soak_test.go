package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// daemon answers as a daemon must, but for the faults that a test gives it.
type daemon struct {
	breaksOff bool // every second stream
	silent    bool // it answers nothing to some requests
	rude      bool // it refuses without a sentence
	leaks     bool // a goroutine for each stream
	busy      bool // it refuses each second request for a moment
	forgets   bool // to say when to try again

	requests, left atomic.Int32
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := d.requests.Add(1)
	if r.ContentLength > 20<<20 {
		_, _ = io.Copy(io.Discard, r.Body)
		d.refuse(w, http.StatusRequestEntityTooLarge)
		return
	}
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.URL.Path == "/metrics":
		fmt.Fprintf(w, "go_goroutines %d\nprocess_open_fds 9\n"+
			"process_resident_memory_bytes 1e+08\n", 10+d.left.Load())
		return
	case d.busy && n%2 == 0 && strings.Contains(string(body), `"prompt"`):
		if !d.forgets {
			w.Header().Set("Retry-After", "1")
		}
		d.refuse(w, http.StatusServiceUnavailable)
		return
	}
	for _, b := range broken {
		if r.Method == b.method && r.URL.Path == b.path &&
			string(body) == strings.ReplaceAll(b.body, "MODEL", "tiny") {
			d.refuse(w, b.status)
			return
		}
	}
	if r.URL.Path == "/ws" {
		d.socket(w, r)
		return
	}
	d.answer(w, r, body, n)
}

func (d *daemon) refuse(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	if !d.rude {
		fmt.Fprint(w, `{"error":{"message":"no"}}`)
	}
}

// answer sends all fields that some kind of answer must have.
func (d *daemon) answer(w http.ResponseWriter, r *http.Request, body []byte, n int32) {
	var req struct {
		Stream *bool  `json:"stream"`
		Prompt string `json:"prompt"`
	}
	_ = json.Unmarshal(body, &req)
	openAI := strings.HasPrefix(r.URL.Path, "/v1")
	streams := req.Stream == nil && (r.URL.Path == "/api/chat" || req.Prompt != "") && !openAI ||
		req.Stream != nil && *req.Stream
	if !streams {
		if d.silent && (req.Prompt != "" || r.Method == http.MethodGet) {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, `{"done":true,"done_reason":"stop","models":[],"tokens":[],"usage":{},`+
			`"prompt":"","version":"1"}`)
		return
	}
	if d.leaks {
		d.left.Add(1)
	}
	flush := http.NewResponseController(w)
	for range 8 {
		if openAI {
			fmt.Fprint(w, "data: ")
		}
		fmt.Fprintln(w, `{"content":"a","done":false,"choices":[{"finish_reason":null}]}`)
		_ = flush.Flush()
		time.Sleep(2 * time.Millisecond)
		if r.Context().Err() != nil {
			return
		}
	}
	switch {
	case d.breaksOff && n%2 == 0:
	case openAI:
		fmt.Fprint(w, "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	default:
		fmt.Fprintln(w, `{"done":true}`)
	}
}

// socket answers each message with a token and an end.
func (d *daemon) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		_, data, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		var m message
		_ = json.Unmarshal(data, &m)
		answers := []string{
			fmt.Sprintf(`{"type":"token","id":%q,"content":"x"}`, m.ID),
			fmt.Sprintf(`{"type":"done","id":%q}`, m.ID),
		}
		if m.Type == "cancel" {
			continue
		}
		for _, a := range answers {
			if conn.Write(r.Context(), websocket.MessageText, []byte(a)) != nil {
				return
			}
		}
	}
}

// soak runs against a daemon with faults.
func soak(t *testing.T, d *daemon, duration time.Duration) *Report {
	t.Helper()
	server := httptest.NewServer(d)
	defer server.Close()
	report, err := Run(t.Context(), Work{URL: server.URL, Models: []string{"tiny"}, Clients: 16,
		Duration: duration, Seed: 1, Limit: 20 * time.Second, Settle: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAGoodDaemonLosesAndLeaksNothing(t *testing.T) {
	r := soak(t, &daemon{}, 1500*time.Millisecond)
	if err := r.Err(); err != nil || r.Requests < 16 {
		t.Fatalf("%d requests, %v: %+v", r.Requests, err, r.Losses)
	}
	count := 0
	for _, k := range r.Kinds {
		count += k.Count
		if k.Whole.P50 <= 0 || k.Whole.P99 < k.Whole.P50 || k.Whole.Max < k.Whole.P99 {
			t.Errorf("times of %s: %+v", k.Name, k.Whole)
		}
		if k.Name == "generate" && (k.First == nil || k.Gap == nil || k.Gap.P50 < 1) {
			t.Errorf("times of a stream: %+v", k)
		}
	}
	if count != r.Requests {
		t.Errorf("%d requests, but %d of all kinds", r.Requests, count)
	}
	if len(r.Course) == 0 || r.Course[0].Goroutines != 10 {
		t.Errorf("the course of the run is %v", r.Course)
	}
}

func TestEveryKindIsWonFromAGoodDaemon(t *testing.T) {
	server := httptest.NewServer(&daemon{})
	defer server.Close()
	r := &runner{books: newBooks(), http: server.Client(), chats: []string{"tiny"},
		host: strings.TrimPrefix(server.URL, "http://"),
		Work: Work{URL: server.URL, Models: []string{"tiny"}, Limit: time.Minute}}
	for _, k := range kinds {
		for seed := range uint64(4) {
			ctx, cancel := context.WithTimeout(t.Context(), r.Limit)
			c := &client{runner: r, random: rand.New(rand.NewPCG(seed, 0))}
			if err := k.send(&trial{client: c, ctx: ctx, kind: k.name, model: "tiny",
				began: time.Now()}); err != nil {
				t.Errorf("%s: %v", k.name, err)
			}
			cancel()
		}
	}
}

func TestLossesAndLeaksAreFound(t *testing.T) {
	for _, tt := range []struct {
		name   string
		daemon *daemon
		leaks  bool
		words  string
	}{
		{"streams that break off", &daemon{breaksOff: true}, false, "broke off"},
		{"no answer", &daemon{silent: true}, false, "EOF"},
		{"no sentence", &daemon{rude: true}, false, "not JSON"},
		{"no time to try again", &daemon{busy: true, forgets: true}, false, "Retry-After"},
		{"goroutines that stay", &daemon{leaks: true}, true, "goroutines leaked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := soak(t, tt.daemon, 500*time.Millisecond)
			err := r.Err()
			if err == nil {
				t.Fatal("nothing was found")
			}
			if tt.leaks {
				if r.Lost != 0 || r.Leaked() != 1 || !strings.Contains(err.Error(), tt.words) {
					t.Errorf("%v; %+v, %+v", err, r.Leaks, r.Losses)
				}
				return
			}
			for _, l := range r.Losses {
				if strings.Contains(l.Message, tt.words) && l.Count > 0 {
					return
				}
			}
			t.Errorf("%d lost, but none with %q: %+v", r.Lost, tt.words, r.Losses)
		})
	}
}

func TestABusyDaemonIsAskedAgain(t *testing.T) {
	r := soak(t, &daemon{busy: true}, 200*time.Millisecond)
	retries := 0
	for _, k := range r.Kinds {
		retries += k.Retries
	}
	if r.Err() != nil || retries == 0 {
		t.Errorf("%d retries, %v: %+v", retries, r.Err(), r.Losses)
	}
}

func TestWorkThatMakesNoSenseIsRefused(t *testing.T) {
	good := Work{URL: "http://127.0.0.1:1", Models: []string{"a"}, Duration: 1, Clients: 1, Limit: 1}
	for name, spoil := range map[string]func(*Work){
		"no models":  func(w *Work) { w.Models = nil },
		"no clients": func(w *Work) { w.Clients = 0 },
		"no time":    func(w *Work) { w.Duration = 0 },
		"no URL":     func(w *Work) { w.URL = "127.0.0.1:1" },
		"no daemon":  func(*Work) {},
	} {
		w := good
		spoil(&w)
		if _, err := Run(t.Context(), w); err == nil {
			t.Errorf("a run with %s began", name)
		}
	}
}

func TestTheStateIsReadFromMetrics(t *testing.T) {
	got, err := parseState(strings.NewReader(`# HELP go_goroutines Number
go_goroutines 12
process_open_fds 30
process_resident_memory_bytes 1.5e+06
go_memstats_sys_bytes 9e+05
go_memstats_heap_released_bytes 1e+05
mullama_slots{context="512",model="a b"} 4
mullama_slots{context="1024",model="a b"} 4
mullama_slots_busy{context="512",model="a b"} 2
mullama_slots_busy{context="1024",model="a b"} 1
mullama_requests_waiting{context="512",model="a b"} 3
`))
	want := State{Goroutines: 12, Files: 30, RSS: 1_500_000, Go: 800_000,
		Busy: 3, Waiting: 3, Contexts: 2}
	if err != nil || got != want || got.idle() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseState(strings.NewReader("process_open_fds 3\n")); err == nil {
		t.Error("metrics without goroutines were taken")
	}
}
