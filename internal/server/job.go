package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// order is what the requests of all faces have in common.
type order struct {
	model     string
	keepAlive *api.Duration
	base      mullama.Sampling // below the model's parameters
	options   []map[string]any // above them, the last counts most
	any       bool             // the name of the model may be missing or another server's
}

// job is a request that has its model.
type job struct {
	*mullama.Model
	name     string // as the request has it, and the answer
	stored   *mullama.StoredModel
	lease    *mullama.Lease
	generate mullama.GenerateOptions
	template string     // in place of the model's own, or ""
	verbose  bool       // show the prompt beside the answer
	think    *api.Think // whether the model thinks, if an option says so
}

// open finds the model of a request, reads its options, and waits until the model is ready. The
// caller releases the lease.
func (s *Server) open(ctx context.Context, o order) (*job, error) {
	stored, name, err := s.findFor(o)
	if err != nil {
		return nil, err
	}
	if !can(stored, "completion") {
		return nil, badField("model", "%q does not support generate", stored.Name)
	}
	settings, err := s.settings(stored, o.base, o.options)
	if err != nil {
		return nil, err
	}
	generate := settings.finish()
	if err := generate.Sampling.Validate(); err != nil {
		return nil, err
	}
	lease, err := s.acquire(ctx, stored, settings, o.keepAlive)
	if err != nil {
		return nil, err
	}
	if err := settings.biasTexts(lease.Model); err != nil {
		lease.Release()
		return nil, err
	}
	if generate.Overflow == mullama.OverflowShift && generate.MaxTokens == 0 {
		generate.MaxTokens = shiftedContexts * lease.Model.ContextSize()
	}
	return &job{
		Model: lease.Model, name: name, stored: stored, lease: lease, generate: generate,
		template: s.templateOf(stored), think: settings.think,
		verbose: settings.verbose,
	}, nil
}

// findFor finds the model of an order, and the name that the answer has for it.
func (s *Server) findFor(o order) (*mullama.StoredModel, string, error) {
	if o.any {
		return s.findAny(o.model)
	}
	stored, err := s.find(o.model)
	return stored, o.model, err
}

// settings puts the options of the server, of a model and of a request on each other.
func (s *Server) settings(
	stored *mullama.StoredModel, base mullama.Sampling, options []map[string]any,
) (*settings, error) {
	all := newSettings(s.config.Defaults, base)
	if !s.config.Tuning.isEmpty() && s.isOwn(stored) {
		s.config.Tuning.apply(all)
	}
	for _, o := range append([]map[string]any{s.config.Options, stored.Parameters}, options...) {
		if err := all.apply(o, s.log); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *Server) acquire(
	ctx context.Context, stored *mullama.StoredModel, settings *settings, keep *api.Duration,
) (*mullama.Lease, error) {
	var options mullama.AcquireOptions
	if keep != nil {
		options.KeepAlive = &keep.Duration
	}
	if settings.reload {
		if trained := stored.Details.ContextLength; trained > 0 {
			settings.load.ContextSize = min(settings.load.ContextSize, trained)
		}
		options.Load = &settings.load
	}
	lease, err := s.runtime.Acquire(ctx, stored.Name, options)
	if err != nil {
		return nil, err
	}
	note(ctx, func(n *notes) { n.model, n.load = stored.Name, lease.LoadTime })
	return lease, nil
}

// find looks a model up by name. Only names: a path of a file would let a client load, or learn
// of, any file that the server may read.
func (s *Server) find(name string) (*mullama.StoredModel, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	stored, err := s.runtime.Find(name)
	if err != nil {
		return nil, err
	}
	if stored.Path == "" {
		return nil, badField("model", "model %s is not a GGUF file; it cannot be run here",
			show(name))
	}
	return stored, nil
}

// checkName refuses what is no name.
func checkName(name string) error {
	if name == "" {
		return badField("model", "model is required")
	}
	if isPath(name) {
		return badField("model", "model %s is a path; give the name of a model", show(name))
	}
	return nil
}

// isPath reports whether a name would be taken as that of a file.
func isPath(name string) bool {
	return strings.HasPrefix(name, "/") || strings.HasPrefix(name, ".") ||
		strings.HasPrefix(name, "~") || strings.ContainsAny(name, "\\\x00") ||
		strings.Contains(name, "..") || strings.HasSuffix(strings.ToLower(name), ".gguf")
}

// can reports whether a model has a capability. One whose file says nothing may generate.
func can(stored *mullama.StoredModel, capability string) bool {
	if len(stored.Capabilities) == 0 {
		return capability == "completion"
	}
	for _, c := range stored.Capabilities {
		if c == capability {
			return true
		}
	}
	return false
}

// deliver hands each chunk of a stream to fn and closes the stream. The end of the context is an
// error, also where the stream ended in peace.
func (s *Server) deliver(
	ctx context.Context, stream *mullama.Stream, fn func(*mullama.Chunk) error,
) error {
	defer stream.Close()
	meter := s.meter(ctx)
	for {
		chunk, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		meter.chunk(&chunk)
		if chunk.FinishReason == mullama.FinishCancelled {
			if err := context.Cause(ctx); err != nil {
				return refuse(statusCancelled, "the client went away")
			}
			return refuse(http.StatusServiceUnavailable, "the request was cancelled by the server")
		}
		if err := fn(&chunk); err != nil {
			return err
		}
	}
}

// deliverAll is deliver for several streams at once. fn is called from one goroutine at a time. The
// first error ends all streams.
func (s *Server) deliverAll(
	ctx context.Context, streams []*mullama.Stream, fn func(i int, c *mullama.Chunk) error,
) error {
	if len(streams) == 1 {
		return s.deliver(ctx, streams[0], func(c *mullama.Chunk) error { return fn(0, c) })
	}
	var (
		mu    sync.Mutex // held while fn runs; guards first
		first error
		all   sync.WaitGroup
	)
	for i, stream := range streams {
		all.Go(func() {
			err := s.guarded(func() error {
				return s.deliver(ctx, stream, func(c *mullama.Chunk) error {
					mu.Lock()
					defer mu.Unlock()
					if first != nil {
						return first
					}
					return fn(i, c)
				})
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil && first == nil {
				first = err
				closeAll(streams)
			}
		})
	}
	all.Wait()
	return first
}

func closeAll(streams []*mullama.Stream) {
	for _, stream := range streams {
		stream.Close()
	}
}
