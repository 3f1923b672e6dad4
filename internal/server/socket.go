package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// maxSocketRequests is how many requests may run on one socket at once.
	maxSocketRequests = 64
	// maxRequestID is the longest id of a request, in bytes.
	maxRequestID = 128
	// socketPing is how often an idle client is asked whether it is still there.
	socketPing = 30 * time.Second
	// keyProtocol begins the subprotocol that carries an API key: browsers cannot send other
	// headers with a WebSocket.
	keyProtocol = "key."
	// socketProtocol is the subprotocol of the server.
	socketProtocol = "mullama"
)

// socket is a WebSocket on which several requests run at once.
type socket struct {
	s    *Server
	conn *websocket.Conn
	ctx  context.Context // ends with the connection

	writing sync.Mutex // held while a message is written
	mu      sync.Mutex // guards running
	running map[string]context.CancelFunc
	all     sync.WaitGroup // the goroutines of running
}

// socketMessage is what a client sends.
type socketMessage struct {
	Type string          `json:"type"` // "chat", "generate", "cancel" or "ping"
	ID   string          `json:"id"`
	Body json.RawMessage `json:"body"`
}

// serveSocket answers GET /ws. The guard has looked at origin and key.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) error {
	if !s.enterSocket() {
		return errDraining()
	}
	defer s.sockets.Done()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{socketProtocol}, InsecureSkipVerify: true,
	})
	if err != nil {
		note(r.Context(), func(n *notes) { n.err = err.Error() })
		return nil // Accept has answered
	}
	conn.SetReadLimit(maxBody)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	k := &socket{s: s, conn: conn, ctx: ctx, running: map[string]context.CancelFunc{}}
	go k.watch()
	err = k.read()
	cancel()
	k.all.Wait()
	note(r.Context(), func(n *notes) { n.err = closeReason(err) })
	_ = conn.CloseNow()
	return nil
}

// closeReason is why a socket ended, or "" when that is how it should.
func closeReason(err error) string {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway:
		return ""
	}
	return err.Error()
}

// read takes messages until the connection ends.
func (k *socket) read() error {
	for {
		kind, data, err := k.conn.Read(k.ctx)
		if err != nil {
			return err
		}
		if kind != websocket.MessageText {
			return k.conn.Close(websocket.StatusUnsupportedData, "send JSON as text")
		}
		var m socketMessage
		if err := unmarshal(data, &m); err != nil {
			k.fail("", err)
			continue
		}
		if err := k.take(&m); err != nil {
			k.fail(m.ID, err)
		}
	}
}

// take does what a message says.
func (k *socket) take(m *socketMessage) error {
	if len(m.ID) > maxRequestID {
		m.ID = ""
		return badField("id", "the id is longer than %d bytes", maxRequestID)
	}
	switch m.Type {
	case "ping":
		return k.send(m.ID, "pong", nil)
	case "cancel":
		k.mu.Lock()
		cancel := k.running[m.ID]
		k.mu.Unlock()
		if cancel != nil { // or it has just ended, and the client will learn so
			cancel()
		}
		return nil
	case "chat", "generate":
		return k.start(m)
	}
	return badField("type", "the type is %s; it must be chat, generate, cancel or ping",
		show(m.Type))
}

// start runs a request beside the others.
func (k *socket) start(m *socketMessage) error {
	if m.ID == "" {
		return badField("id", "id is required")
	}
	ctx, notes := withNotes(k.ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.s.draining.Load() {
		cancel(nil)
		return errDraining()
	}
	if k.running[m.ID] != nil {
		cancel(nil)
		return badField("id", "a request with the id %s is running", show(m.ID))
	}
	if len(k.running) >= maxSocketRequests {
		cancel(nil)
		return refuse(http.StatusServiceUnavailable,
			"%d requests are running on this connection; wait for one to end", maxSocketRequests)
	}
	k.running[m.ID] = func() { cancel(errCancelled) }
	k.all.Go(func() { // ends with the request, or the connection
		defer cancel(nil)
		begun := time.Now()
		err := k.s.guarded(func() error { return k.answer(ctx, m) })
		k.mu.Lock()
		delete(k.running, m.ID)
		k.mu.Unlock()
		if err != nil {
			notes.err = toFailure(err).message
			if errors.Is(context.Cause(ctx), errCancelled) {
				err = refuse(statusCancelled, "the request was cancelled")
			}
			k.fail(m.ID, err)
		}
		k.s.socketReport(m, notes, time.Since(begun), err)
	})
	return nil
}

// errCancelled says that the client asked for the end.
var errCancelled = errors.New("cancelled by the client")

// watch finds clients that are gone, and closes an idle socket when the server drains.
func (k *socket) watch() {
	ticker := time.NewTicker(socketPing)
	defer ticker.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-ticker.C:
			ctx, cancel := context.WithTimeout(k.ctx, socketPing)
			err := k.conn.Ping(ctx)
			cancel()
			if err != nil {
				_ = k.conn.CloseNow()
				return
			}
		case <-k.s.drained:
			k.mu.Lock() // whoever held it has been added, and no more will be
			k.mu.Unlock()
			k.all.Wait()
			_ = k.conn.Close(websocket.StatusGoingAway, "the server is shutting down")
			return
		}
	}
}
