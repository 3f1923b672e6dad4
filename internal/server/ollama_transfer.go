package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// pullModel answers POST /api/pull.
func (s *Server) pullModel(w http.ResponseWriter, r *http.Request) error {
	var req api.PullRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	name := firstOf(req.Model, req.Name)
	if err := checkPullName(name); err != nil {
		return err
	}
	if err := checkPace(&req); err != nil {
		return err
	}
	return s.transfer(w, r, req.Stream, func(ctx context.Context, t transferOptions) error {
		pace(&t, &req)
		_, err := s.runtime.Pull(ctx, name, &t)
		return err
	})
}

// maxParallel is how many requests at once a client may ask for; more only annoy registries.
const maxParallel = 64

// checkPace refuses numbers that say nothing.
func checkPace(req *api.PullRequest) error {
	if req.Parallel < 0 || req.Parallel > maxParallel {
		return badField("parallel", "parallel is %d; it must be from 0 to %d", req.Parallel,
			maxParallel)
	}
	if req.BytesPerSecond < 0 {
		return badField("bytes_per_second", "bytes_per_second is %d; it must not be negative",
			req.BytesPerSecond)
	}
	return nil
}

// pace passes on how a model is to come or go.
func pace(t *transferOptions, req *api.PullRequest) {
	t.Insecure, t.Parallel, t.BytesPerSecond = req.Insecure, req.Parallel, req.BytesPerSecond
}

// checkPullName refuses files of this machine, which are not for every client to read.
func checkPullName(name string) error {
	if strings.HasPrefix(name, "file:") {
		return badField("model", "model %s is a file of the server; import it there", show(name))
	}
	if strings.HasPrefix(name, "hf:") {
		return nil // may end with .gguf
	}
	return checkName(name)
}

// pushModel answers POST /api/push.
func (s *Server) pushModel(w http.ResponseWriter, r *http.Request) error {
	var req api.PushRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	name := firstOf(req.Model, req.Name)
	if err := checkName(name); err != nil {
		return err
	}
	pull := api.PullRequest(req)
	if err := checkPace(&pull); err != nil {
		return err
	}
	return s.transfer(w, r, req.Stream, func(ctx context.Context, t transferOptions) error {
		pace(&t, &pull)
		return s.runtime.Push(ctx, name, &t)
	})
}

// createModel answers POST /api/create.
func (s *Server) createModel(w http.ResponseWriter, r *http.Request) error {
	var req api.CreateRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	name := firstOf(req.Model, req.Name)
	if err := checkName(name); err != nil {
		return err
	}
	if req.From != "" {
		if err := checkPullName(req.From); err != nil {
			return err
		}
	}
	messages, err := toMessages(req.Messages)
	if err != nil {
		return err
	}
	return s.transfer(w, r, req.Stream, func(ctx context.Context, t transferOptions) error {
		t.Insecure = req.Insecure
		_, err := s.runtime.Create(ctx, name, &mullama.CreateOptions{
			TransferOptions: t, From: req.From, Files: req.Files, Adapters: req.Adapters,
			AdapterScales: req.AdapterScales, Drafts: req.DraftFiles, Imatrix: req.Imatrix,
			Template: req.Template, System: req.System, Licenses: req.License,
			Parameters: req.Parameters, Messages: messages, Renderer: req.Renderer,
			Parser: req.Parser, Requires: req.Requires,
			Quantize: firstOf(req.Quantize, req.Quantization), QuantizeDraft: req.DraftQuantize,
			ThinkStart: req.ThinkStart, ThinkEnd: req.ThinkEnd, ToolFormat: req.ToolFormat,
			Capabilities: req.Capabilities, Author: req.Author,
		})
		if errors.Is(err, mullama.ErrNotGGUF) { // what the client sent is
			f := toFailure(err)
			f.status = http.StatusBadRequest
			return f
		}
		return err
	})
}

type transferOptions = mullama.TransferOptions

// progressInterval is how often the same blob is told about.
const progressInterval = 60 * time.Millisecond

// transfer runs fn and sends its progress as lines, or only what comes of it.
func (s *Server) transfer(
	w http.ResponseWriter, r *http.Request, stream *bool,
	fn func(context.Context, transferOptions) error,
) error {
	var t transferOptions
	if !wantsStream(stream) {
		if err := fn(r.Context(), t); err != nil {
			return err
		}
		return encode(w, api.ProgressResponse{Status: "success"})
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	a := s.answer(w, r, ollama)
	lines := &progressLines{answer: a}
	t.Progress = func(p mullama.Progress) {
		if err := lines.tell(p); err != nil {
			cancel(err)
		}
	}
	return a.end(fn(ctx, t))
}

// progressLines sends progress, but of one blob not more often than anybody can see.
type progressLines struct {
	answer *answer

	mu   sync.Mutex
	last mullama.Progress
	when time.Time
}

func (l *progressLines) tell(p mullama.Progress) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Status == l.last.Status && p.Completed < p.Total && time.Since(l.when) < progressInterval {
		return nil
	}
	l.last, l.when = p, time.Now()
	line, err := json.Marshal(api.ProgressResponse(p))
	if err != nil {
		return err
	}
	return l.answer.write(append(line, '\n'))
}

// hasBlob answers HEAD /api/blobs/{digest}.
func (s *Server) hasBlob(w http.ResponseWriter, r *http.Request) error {
	has, err := s.runtime.HasBlob(r.PathValue("digest"))
	if err != nil {
		return err
	}
	if !has {
		return refuse(http.StatusNotFound, "there is no blob %s", r.PathValue("digest"))
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// addBlob answers POST /api/blobs/{digest}. A blob may be of any size, but must not stop coming.
func (s *Server) addBlob(w http.ResponseWriter, r *http.Request) error {
	digest := r.PathValue("digest")
	has, err := s.runtime.HasBlob(digest)
	if err != nil {
		return err
	}
	if has {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	body := &livelyBody{r.Body, http.NewResponseController(w), s.patience}
	if err := s.runtime.AddBlob(r.Context(), digest, body); err != nil {
		if broken := (*http.MaxBytesError)(nil); errors.As(err, &broken) {
			return refuse(http.StatusRequestEntityTooLarge, "the blob is too large")
		}
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// livelyBody gives the client a time for each part of its request.
type livelyBody struct {
	io.Reader
	control  *http.ResponseController
	patience time.Duration
}

func (b *livelyBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.patience))
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
