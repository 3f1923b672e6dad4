package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// dial opens a socket; header is that of the handshake.
func (s *site) dial(h http.Header, protocols ...string) (*client, error) {
	s.t.Helper()
	conn, resp, err := websocket.Dial(s.t.Context(), s.URL+"/ws", //nolint:bodyclose // it has none
		&websocket.DialOptions{HTTPHeader: h, Subprotocols: protocols})
	if err != nil {
		if resp != nil {
			err = fmt.Errorf("status %d: %w", resp.StatusCode, err)
		}
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	s.t.Cleanup(func() { conn.CloseNow() })
	return &client{s.t, conn}, nil
}

func (s *site) socket() *client {
	s.t.Helper()
	c, err := s.dial(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// client is the other end of a socket.
type client struct {
	t    testing.TB
	conn *websocket.Conn
}

func (c *client) send(m object) {
	c.t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, data); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) receive() object {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	_, data, err := c.conn.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	var m object
	if err := json.Unmarshal(data, &m); err != nil {
		c.t.Fatalf("%s: %v", data, err)
	}
	return m
}

// until reads up to the message of a type for an id.
func (c *client) until(id, kind string) object {
	c.t.Helper()
	for {
		if m := c.receive(); m["id"] == id && m["type"] == kind {
			return m
		}
	}
}

func chatMessage(id string, n int) object {
	return object{"type": "chat", "id": id,
		"body": object{"model": "tiny", "messages": hello(), "options": greedy(n)}}
}

func TestASocketRunsRequestsSideBySide(t *testing.T) {
	s := newSite(t, Config{})
	want := s.ok("POST", "/api/chat", object{"model": "tiny", "messages": hello(),
		"stream": false, "options": greedy(10)})["message"].(object)["content"]
	c := s.socket()
	texts, open := map[string]string{}, 5
	for i := range open {
		c.send(chatMessage(fmt.Sprint(i), 10))
	}
	c.send(object{"type": "generate", "id": "g", "body": object{"model": "tiny", "prompt": "a",
		"options": greedy(2)}})
	for open++; open > 0; {
		m := c.receive()
		id, _ := m["id"].(string)
		switch m["type"] {
		case "token":
			texts[id] += m["content"].(string)
		case "done":
			open--
			if m["done_reason"] != "length" || m["eval_count"].(float64) < 2 {
				t.Errorf("done: %v", m)
			}
		default:
			t.Fatalf("message %v", m)
		}
	}
	for id, text := range texts {
		if id != "g" && text != want {
			t.Errorf("request %s: %q, over HTTP %q", id, text, want)
		}
	}
}

func TestASocketCancelsOneRequest(t *testing.T) {
	s := newSite(t, Config{})
	c := s.socket()
	c.send(chatMessage("long", 400))
	c.until("long", "token")
	c.send(chatMessage("short", 3))
	c.send(object{"type": "cancel", "id": "long"})
	c.send(object{"type": "ping", "id": "p"})
	ended := map[any]object{}
	for len(ended) < 3 {
		if m := c.receive(); m["type"] != "token" {
			ended[m["id"]] = m
		}
	}
	if m := ended["long"]; m["type"] != "error" || m["status"] != 499.0 {
		t.Errorf("the cancelled request ended with %v", m)
	}
	if ended["short"]["type"] != "done" || ended["p"]["type"] != "pong" {
		t.Errorf("the others ended with %v", ended)
	}
	c.send(object{"type": "cancel", "id": "long"}) // it is gone; no harm
}

func TestASocketNamesErrors(t *testing.T) {
	s := newSite(t, Config{})
	c := s.socket()
	for _, tt := range []struct {
		message object
		status  float64
		word    string
	}{
		{object{"type": "what", "id": "a"}, 400, "what"},
		{object{"type": "chat"}, 400, "id is required"},
		{object{"type": "chat", "id": "a"}, 400, "missing request body"},
		{object{"type": "chat", "id": "a", "body": 5}, 400, "number"},
		{object{"type": "chat", "id": "a", "body": object{"model": "tiny"}}, 400, "messages"},
		{object{"type": "generate", "id": "a", "body": object{"model": "x", "prompt": "a"}}, 404,
			"not found"},
		{object{"type": "generate", "id": "a", "body": object{"model": "/x", "prompt": "a"}}, 400,
			"path"},
		{object{"type": "chat", "id": strings.Repeat("a", 200)}, 400, "longer than"},
		{object{"type": 7}, 400, "type"},
	} {
		c.send(tt.message)
		m := c.receive()
		if text, _ := m["error"].(string); m["type"] != "error" || m["status"] != tt.status ||
			!strings.Contains(text, tt.word) {
			t.Errorf("%v: %v", tt.message, m)
		}
	}
	c.send(chatMessage("twice", 400))
	c.send(chatMessage("twice", 400))
	for {
		m := c.receive()
		if m["type"] == "error" {
			if !strings.Contains(m["error"].(string), "is running") {
				t.Errorf("an id used twice: %v", m)
			}
			break
		}
	}
}

func TestSocketsOfOtherSitesAreRefused(t *testing.T) {
	s := newSite(t, Config{Keys: []string{"a/key+1="}})
	auth := header("Authorization", "Bearer a/key+1=")
	if _, err := s.dial(auth); err != nil {
		t.Errorf("with a key: %v", err)
	}
	if _, err := s.dial(nil); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without a key: %v", err)
	}
	if c, err := s.dial(nil, "mullama", "key.a%2Fkey+1%3D"); err != nil {
		t.Errorf("with a key as a protocol: %v", err)
	} else if got := c.conn.Subprotocol(); got != "mullama" {
		t.Errorf("the protocol is %q", got)
	}
	auth.Set("Origin", "http://evil.example")
	if _, err := s.dial(auth); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("from another site: %v", err)
	}
}

func TestSocketsEndWithTheirClientsAndWithTheServer(t *testing.T) {
	s := newSite(t, Config{})
	s.ok("POST", "/api/generate", object{"model": "tiny"})
	before := runtime.NumGoroutine()
	for range 5 {
		c := s.socket()
		c.send(chatMessage("a", 400))
		c.send(chatMessage("b", 400))
		c.until("a", "token")
		c.conn.CloseNow()
	}
	idle, busy := s.socket(), s.socket()
	busy.send(chatMessage("a", 100))
	busy.until("a", "token")
	s.s.Drain()
	busy.until("a", "done")
	for _, c := range []*client{idle, busy} {
		_, _, err := c.conn.Read(t.Context())
		if websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("a socket of a draining server ended with %v", err)
		}
	}
	if _, err := s.dial(nil); err == nil {
		t.Error("a draining server takes sockets")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.s.Wait(ctx); err != nil {
		t.Error(err)
	}
	s.Client().CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	for i := 0; s.fake.busy() > 0 || runtime.NumGoroutine() > before+2; i++ {
		if i > 1000 {
			t.Fatalf("%d requests and %d goroutines are left, before %d", s.fake.busy(),
				runtime.NumGoroutine(), before)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
