package server

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// statusWriter remembers what was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// middleware does for all requests what is the same for all: it guards, refuses while the server
// drains, survives a panic, and logs.
func (s *Server) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		writer := &statusWriter{ResponseWriter: w}
		ctx, notes := withNotes(r.Context())
		r = r.WithContext(ctx)
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
