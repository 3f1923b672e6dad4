package server

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// writeTimeout is how long a client may take to accept a part of an answer. One that takes longer
// is gone, or wants to hold a slot for ever.
const writeTimeout = time.Minute

// writePart is the most that a client must accept within that time.
const writePart = 64 << 10

// statusWriter remembers what was answered, and gives up on a client that does not take it.
type statusWriter struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	status   int
	bytes    int64
}

// allow gives the client the time for one more part.
func (w *statusWriter) allow() { _ = w.control.SetWriteDeadline(time.Now().Add(w.patience)) }

// WriteHeader sends the first status alone. Another one comes when a client goes away in the middle
// of a whole answer, which is then an error.
func (w *statusWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	all := 0
	for {
		part := b[all:min(len(b), all+writePart)]
		w.allow()
		n, err := w.ResponseWriter.Write(part)
		w.bytes += int64(n)
		if all += n; err != nil || all >= len(b) {
			return all, err
		}
	}
}

// Unwrap lets [http.ResponseController] flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// middleware does for all requests what is the same for all: it bounds their size and the time for
// them and their answers, guards, refuses while the server drains, survives a panic, and logs.
//
// The time is bounded for refused requests too: net/http reads what is left of a body before it
// sends an answer, and sends the end of one after the handler.
func (s *Server) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		writer := &statusWriter{ResponseWriter: w, control: http.NewResponseController(w),
			patience: s.patience}
		_ = writer.control.SetWriteDeadline(time.Time{}) // of the last answer on this connection
		defer writer.allow()
		ctx, notes := withNotes(r.Context())
		r = r.WithContext(ctx)
		r.Body = s.limitBody(w, r)
		defer func() { s.report(writer, r, notes, begun, recover()) }()
		done, err := s.guard.check(writer, r)
		if done {
			return
		}
		if err == nil && s.draining.Load() && !open(r.URL.Path) && r.URL.Path != metricsPath {
			w.Header().Set("Connection", "close")
			err = errDraining()
		}
		if err != nil {
			s.fail(writer, r, faceOf(r), err)
			return
		}
		next.ServeHTTP(writer, r)
	})
}

// report ends a request: it answers for a panic, and writes the line of the log.
func (s *Server) report(
	w *statusWriter, r *http.Request, n *notes, begun time.Time, panicked any,
) {
	if err, ok := panicked.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(panicked) // what net/http wants to abort a connection
	}
	begunAnswer := w.status != 0
	if panicked != nil {
		if err := s.defect(panicked); !begunAnswer {
			s.fail(w, r, faceOf(r), err)
		}
	}
	took := time.Since(begun)
	s.metrics.request(r, w.status, n, took)
	s.logLine(w, r, n, took)
	if panicked != nil && begunAnswer {
		panic(http.ErrAbortHandler) // or half an answer would look like a whole one
	}
}

// defect logs a panic and returns the error to answer with.
func (s *Server) defect(panicked any) error {
	s.log.Error("a request met a defect of the server", "panic", panicked,
		"stack", string(debug.Stack()))
	return errors.New("internal error; the log of the server says more")
}

// guarded calls fn on a goroutine that net/http does not guard, and turns a panic into an error.
func (s *Server) guarded(fn func() error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = s.defect(panicked)
		}
	}()
	return fn()
}

func (s *Server) logLine(w *statusWriter, r *http.Request, n *notes, took time.Duration) {
	level := slog.LevelInfo
	switch w.status {
	case http.StatusInternalServerError:
		level = slog.LevelError
	case http.StatusServiceUnavailable:
		level = slog.LevelWarn
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", w.status), slog.Duration("took", took),
		slog.Int64("bytes", w.bytes), slog.String("from", r.RemoteAddr),
	}
	s.log.LogAttrs(r.Context(), level, "request", append(attrs, n.attrs()...)...)
}
