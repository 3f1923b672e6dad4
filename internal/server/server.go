package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mullama/mullama"
)

// Runtime is what the server needs of a [mullama.Runtime].
type Runtime interface {
	List() ([]mullama.StoredModel, error)
	Find(name string) (*mullama.StoredModel, error)
	Copy(src, dst string) error
	Delete(name string) error
	Acquire(ctx context.Context, name string, o mullama.AcquireOptions) (*mullama.Lease, error)
	Running() []mullama.RunningModel
	Unload(name string) error
	Plan(path string, o *mullama.LoadOptions) (*mullama.Plan, error)

	Pull(
		ctx context.Context, name string, o *mullama.TransferOptions,
	) (*mullama.StoredModel, error)
	Push(ctx context.Context, name string, o *mullama.TransferOptions) error
	Create(
		ctx context.Context, name string, o *mullama.CreateOptions,
	) (*mullama.StoredModel, error)
	HasBlob(digest string) (bool, error)
	AddBlob(ctx context.Context, digest string, from io.Reader) error
}

// Config says how a Server behaves. The zero value is ready to use behind a loopback listener.
type Config struct {
	Version string // as /api/version tells it
	// Keys are the API keys, one of which a request must carry. Empty: none is needed.
	Keys []string
	// Origins are those of web pages that may use the server, besides pages and apps of this
	// machine. A * stands for any text, and alone for every origin.
	Origins []string
	// Local says that only this machine reaches the listener. Then the Host header must name this
	// machine or a private address, so that no web page gets in under a name of its own.
	Local bool
	// Defaults are the options of a load; requests change some of them.
	Defaults mullama.LoadOptions
	// Model is the server's own model: for requests of OpenAI's and llama-server's routes that name
	// none, or one that is not there. Empty: there is none.
	Model string
	// Tuning is what Model is loaded with beside Defaults.
	Tuning Tuning
	// Template is a chat template in Jinja for Model, in place of the one in its file.
	Template string
	// Options are those of requests where neither they nor the model say otherwise. CheckOptions
	// finds what is wrong with them.
	Options map[string]any
	// Indexes is the folder of the indexes for late interaction. Empty: there are none.
	Indexes string
	// Log gets a line per request. Nil: silence.
	Log *slog.Logger
}

// Server answers requests. It has no state but counters; its methods may be called from any
// goroutine.
type Server struct {
	runtime     Runtime
	config      Config
	log         *slog.Logger
	ping        time.Duration // how long an event stream may be silent
	patience    time.Duration // how long a client may take to accept a part
	bodyTimeout time.Duration // how long a client may take to send a request
	guard       *guard
	metrics     *metrics

	description
	borrowed borrowed
	indexes  indexFiles

	mu       sync.Mutex // held to set draining, and while sockets grow
	draining atomic.Bool
	loading  atomic.Bool    // Preload runs
	drained  chan struct{}  // closed by Drain
	sockets  sync.WaitGroup // WebSockets, for which net/http does not wait
}

// New returns a server of the models of a Runtime.
func New(runtime Runtime, config Config) *Server {
	s := &Server{
		runtime: runtime, config: config, log: config.Log, drained: make(chan struct{}),
		indexes: indexFiles{folder: config.Indexes, idle: indexIdle},
		ping:    pingInterval, patience: writeTimeout, bodyTimeout: bodyTimeout,
		borrowed: borrowed{linger: linger},
	}
	s.guard, s.metrics = newGuard(&s.config), newMetrics(runtime)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Drain makes the server refuse new requests with status 503. Those that run go on.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining.Swap(true) {
		close(s.drained)
	}
	s.borrowed.forget()
	s.indexes.forget()
}

func errDraining() error {
	return refuse(http.StatusServiceUnavailable, "the server is shutting down")
}

// enterSocket counts a WebSocket, unless the server drains.
func (s *Server) enterSocket() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.sockets.Add(1)
	return true
}

// Wait waits, after Drain, until the requests on WebSockets have ended, or ctx has. For those of
// other routes [http.Server.Shutdown] waits.
func (s *Server) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.sockets.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Handler returns the handler of all routes.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range s.routes() {
		mux.Handle(route.pattern, s.serve(route.face, route.handle))
	}
	return s.middleware(s.fallback(mux))
}

// handler answers a request or returns the error to answer with.
type handler func(w http.ResponseWriter, r *http.Request) error

type route struct {
	pattern string
	face    face
	handle  handler
}

func (s *Server) routes() []route {
	return slices.Concat(s.ollamaRoutes(), s.openAIRoutes(), s.nativeRoutes(), s.rerankRoutes(),
		s.indexRoutes())
}

// serve turns a handler into one of net/http that sends errors in the form of its face.
func (s *Server) serve(f face, handle handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			s.fail(w, r, f, err)
		}
	})
}

// fallback answers for paths and methods that no route has.
func (s *Server) fallback(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		if allowed := methods(mux, r); len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			s.fail(w, r, faceOf(r), refuse(http.StatusMethodNotAllowed,
				"%s does not answer %s; use %s", r.URL.Path, r.Method,
				strings.Join(allowed, " or ")))
			return
		}
		s.fail(w, r, faceOf(r), refuse(http.StatusNotFound, "there is no route %s", r.URL.Path))
	})
}

// methods lists those with which a path would be found.
func methods(mux *http.ServeMux, r *http.Request) []string {
	var allowed []string
	for _, method := range []string{"GET", "POST", "DELETE", "HEAD"} {
		other := *r
		other.Method = method
		if _, pattern := mux.Handler(&other); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	return allowed
}
