package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// message is what comes over a WebSocket.
type message struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Status  int    `json:"status"`
	Error   string `json:"error"`
	Content string `json:"content"`
}

// socket is an open WebSocket of a trial.
type socket struct {
	*trial
	conn *websocket.Conn
}

func (t *trial) dial() (*socket, error) {
	header := http.Header{}
	if t.Key != "" {
		header.Set("Authorization", "Bearer "+t.Key)
	}
	conn, _, err := websocket.Dial(t.ctx, t.URL+"/ws", //nolint:bodyclose // it has none
		&websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return nil, err
	}
	return &socket{t, conn}, nil
}

func (s *socket) write(m object) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.conn.Write(s.ctx, websocket.MessageText, data)
}

// chat asks for an answer of up to n tokens.
func (s *socket) chat(id string, n int) error {
	return s.write(object{"type": "chat", "id": id, "body": object{"model": s.toChat(),
		"messages": s.messages(), "options": object{"num_predict": n}}})
}

// next reads a message. One of a request that is busy is sent again.
func (s *socket) next() (*message, error) {
	_, data, err := s.conn.Read(s.ctx)
	if err != nil {
		return nil, err
	}
	m := &message{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("a message is not JSON: %.100q", data)
	}
	if m.Type == "token" && m.Content != "" {
		s.parts = append(s.parts, time.Now())
	}
	return m, nil
}

// useSocket has two requests run side by side.
func useSocket(t *trial) error {
	s, err := t.dial()
	if err != nil {
		return err
	}
	defer func() { _ = s.conn.CloseNow() }()
	open := map[string]bool{"a": true, "b": true}
	for id := range open {
		if err := s.chat(id, t.tokens()); err != nil {
			return err
		}
	}
	for len(open) > 0 {
		m, err := s.next()
		if err != nil {
			return err
		}
		switch {
		case !open[m.ID]:
			return fmt.Errorf("a message of %q after its end", m.ID)
		case m.Type == "error" && m.Status == http.StatusServiceUnavailable:
			t.retries++
			time.Sleep(time.Second)
			if err := s.chat(m.ID, t.tokens()); err != nil {
				return err
			}
		case m.Type == "error":
			return fmt.Errorf("status %d: %s", m.Status, m.Error)
		case m.Type == "done":
			delete(open, m.ID)
		}
	}
	t.parts = nil // two texts in turn
	return s.conn.Close(websocket.StatusNormalClosure, "")
}

// cancelOnSocket cancels a request after its first part, by a message or by leaving.
func cancelOnSocket(t *trial) error {
	s, err := t.dial()
	if err != nil {
		return err
	}
	defer func() { _ = s.conn.CloseNow() }()
	if err := s.chat("a", 10*t.tokens()); err != nil {
		return err
	}
	leaves, cancelled := t.chance(2), false
	for {
		m, err := s.next()
		if err != nil {
			return err
		}
		switch {
		case m.Type == "token" && leaves:
			return nil
		case m.Type == "token" && !cancelled:
			cancelled = true
			if err := s.write(object{"type": "cancel", "id": "a"}); err != nil {
				return err
			}
		case m.Type == "done":
			return nil // before it was cancelled
		case m.Type == "error" && m.Status == http.StatusServiceUnavailable:
			return nil // busy; there is nothing to cancel
		case m.Type == "error":
			if m.Status != 499 || !strings.Contains(m.Error, "cancelled") {
				return fmt.Errorf("a cancelled request ended with status %d: %s", m.Status, m.Error)
			}
			return nil
		case m.Type != "token":
			return errors.New("a message of the type " + m.Type)
		}
	}
}
