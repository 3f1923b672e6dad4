package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// atServer is a server under test that answers with the handler.
func atServer(t *testing.T, handler http.HandlerFunc) *served {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &served{url: server.URL, address: strings.TrimPrefix(server.URL, "http://")}
}

func TestAConnectionIsKeptFromMessageToMessage(t *testing.T) {
	remotes := map[string]int{}
	d := atServer(t, func(w http.ResponseWriter, r *http.Request) {
		remotes[r.RemoteAddr]++
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/fails" {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	})
	c, err := d.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, path := range []string{"/a", "/fails", "/b"} {
		m, err := message("POST", path, map[string]int{"n": 1})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.roundTrip(m)
		if string(got) != path+` {"n":1}` || (err != nil) != (path == "/fails") {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if len(remotes) != 1 {
		t.Errorf("connections %v, want one", remotes)
	}
}

func TestBusySlotsAreSeen(t *testing.T) {
	answer := `[{"id":0,"is_processing":false},{"id":1,"is_processing":true}]`
	d := atServer(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
	c, err := d.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if busy, err := c.busy(); !busy || err != nil {
		t.Errorf("busy %v, %v", busy, err)
	}
	answer = `[{"id":0,"is_processing":false}]`
	if busy, err := c.busy(); busy || err != nil {
		t.Errorf("busy %v, %v", busy, err)
	}
	answer = "nonsense"
	if _, err := c.busy(); err == nil {
		t.Error("nonsense was taken for slots")
	}
}

func TestResidentMemoryIsThatOfTheProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip(err)
	}
	before, err := residentMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	held := make([]byte, 64e6)
	for i := range held {
		held[i] = 1
	}
	after, err := residentMemory(os.Getpid())
	if err != nil || after-before < 50 {
		t.Errorf("%.1f MB before and %.1f MB after taking %d MB: %v", before, after,
			len(held)/1e6, err)
	}
}

func TestReactionsBecomeRowsWithGoals(t *testing.T) {
	m := &reactions{samples: map[string][]float64{}}
	m.add("hot_ttft", 10, 12, 11)
	m.add("hot_ttft*", 10, 10)
	m.add("tokenize_p50", 61)
	for _, r := range m.rows() {
		switch r.Name {
		case "hot_ttft":
			if r.Value != 11 || *r.Ratio != 1.1 || !*r.Met {
				t.Errorf("%+v", r)
			}
		case "tokenize_p50":
			if *r.Met {
				t.Errorf("%+v", r)
			}
		case "tokenize_unix_p50":
			if r.Goal != nil || r.Met != nil {
				t.Errorf("%+v", r)
			}
		}
	}
}

func TestAServerIsWaitedForUntilItHasItsModel(t *testing.T) {
	asked := 0
	d := atServer(t, func(w http.ResponseWriter, r *http.Request) {
		if asked++; r.URL.Path != "/health" || asked < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	if err := d.healthy(t.Context()); err != nil || asked != 3 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}
