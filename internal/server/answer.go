package server

import (
	"net/http"
	"sync"
	"time"
)

// answer writes an answer that comes in parts: lines of JSON, or an event stream.
type answer struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	form    face

	mu      sync.Mutex // guards w; a timer writes comments
	started bool
	ended   bool
	last    time.Time // of the last part
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, form face) *answer {
	return &answer{s: s, w: w, r: r, control: http.NewResponseController(w), form: form}
}

// write sends a part at once. The first one sends the header, too.
func (a *answer) write(part []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.send(part)
}

func (a *answer) send(part []byte) error {
	if a.ended {
		return http.ErrBodyNotAllowed
	}
	a.begin()
	a.last = time.Now()
	if _, err := a.w.Write(part); err != nil {
		return refuse(statusCancelled, "the client went away: %v", err)
	}
	if err := a.control.Flush(); err != nil {
		return refuse(statusCancelled, "the client went away: %v", err)
	}
	return nil
}

func (a *answer) begin() {
	if a.started {
		return
	}
	a.started = true
	header := a.w.Header()
	header.Set("Content-Type", "application/x-ndjson")
	if a.form != ollama {
		header.Set("Content-Type", "text/event-stream")
	}
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Accel-Buffering", "no") // a proxy should not hold back what is read as it comes
	a.w.WriteHeader(http.StatusOK)
}

// end finishes the answer. An error after the first part becomes the last part; one before it is
// returned, to be answered with its status.
func (a *answer) end(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.ended = true }()
	if err == nil || !a.started {
		return err
	}
	f := toFailure(err)
	note(a.r.Context(), func(n *notes) { n.err = f.message })
	if a.r.Context().Err() != nil {
		return nil // nobody listens
	}
	buf := getBuffer()
	defer buf.put()
	if a.form != ollama {
		buf.b = append(buf.b, "data: "...)
	}
	buf.b = append(appendFailure(buf.b, a.form, f), '\n')
	if a.form != ollama {
		buf.b = append(buf.b, '\n')
	}
	_ = a.send(buf.b)
	return nil
}

// writeJSON sends a whole answer.
func writeJSON(w http.ResponseWriter, body []byte) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if _, err := w.Write(body); err != nil {
		return refuse(statusCancelled, "the client went away: %v", err)
	}
	return nil
}
