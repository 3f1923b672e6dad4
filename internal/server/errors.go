package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mullama/mullama"
)

// face is an API that a route belongs to. It decides the form of errors.
type face int

const (
	ollama face = iota
	openAI
	native // llama-server's, which is OpenAI's but for some names
)

// faceOf is the face of a path, also of one that has no route.
func faceOf(r *http.Request) face {
	if strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/" {
		return ollama
	}
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		return openAI
	}
	return native
}

// statusCancelled is what nginx and Ollama call a request whose client went away. Nobody sees it
// but the log.
const statusCancelled = 499

// retryAfter is how many seconds a client should wait when the scheduler does not say.
const retryAfter = time.Second

// failure is an error with what HTTP says of it.
type failure struct {
	status  int
	message string
	param   string // the field that is wrong, if one is
	kind    string // the library's name for the error, if it has one
	code    string // OpenAI's name for the error, if it has one

	cause      error // an error of the library that it tells of; nil: it is an error of its own
	full       *mullama.ContextFullError
	retryAfter time.Duration // when it may work; 0: not known
}

func (f *failure) Error() string { return f.message }

func (f *failure) Unwrap() error { return f.cause }

// Is gives a request that is at fault the kind that the library has for it.
func (f *failure) Is(kind error) bool {
	return f.cause == nil && f.status == http.StatusBadRequest && kind == mullama.ErrInvalidOption
}

// refuse is a failure with a formatted message.
func refuse(status int, format string, args ...any) *failure {
	return &failure{status: status, message: fmt.Sprintf(format, args...)}
}

// badRequest is a failure with status 400.
func badRequest(format string, args ...any) *failure {
	return refuse(http.StatusBadRequest, format, args...)
}

// badField is a failure with status 400 that a field is to blame for.
func badField(field, format string, args ...any) *failure {
	f := badRequest(format, args...)
	f.param = field
	return f
}

// statuses says which status a kind of error has, and what OpenAI's clients know it as.
var statuses = []struct {
	kind   error
	status int
	code   string
}{
	{mullama.ErrNotFound, http.StatusNotFound, "model_not_found"},
	{mullama.ErrContextFull, http.StatusBadRequest, "context_length_exceeded"},
	{mullama.ErrInvalidOption, http.StatusBadRequest, ""},
	{mullama.ErrTemplate, http.StatusBadRequest, ""},
	{mullama.ErrGrammar, http.StatusBadRequest, ""},
	{mullama.ErrUnsupported, http.StatusBadRequest, ""},
	{mullama.ErrBusy, http.StatusServiceUnavailable, "busy"},
	{mullama.ErrClosed, http.StatusServiceUnavailable, "shutting_down"},
	{mullama.ErrCancelled, statusCancelled, ""},
	{context.Canceled, statusCancelled, ""},
	{context.DeadlineExceeded, statusCancelled, ""},
	{mullama.ErrUnreachable, http.StatusBadGateway, "unreachable"},
	{mullama.ErrOutOfMemory, http.StatusInternalServerError, "out_of_memory"},
}

// toFailure finds the status of an error.
func toFailure(err error) *failure {
	if f := (*failure)(nil); errors.As(err, &f) {
		return f
	}
	f := &failure{status: http.StatusInternalServerError, message: err.Error()}
	for _, s := range statuses {
		if errors.Is(err, s.kind) {
			f.status, f.code = s.status, s.code
			break
		}
	}
	if e := (*mullama.Error)(nil); errors.As(err, &e) {
		f.kind = mullama.ErrorName(e)
	}
	_ = errors.As(err, &f.full)
	if busy := (*mullama.BusyError)(nil); errors.As(err, &busy) {
		f.retryAfter = busy.RetryAfter
	}
	if e := (*mullama.Error)(nil); errors.As(err, &e) && e.Hint != "" {
		f.message += "; " + e.Hint
	}
	return f
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, form face, err error) {
	f := toFailure(err)
	note(r.Context(), func(n *notes) { n.err = f.message })
	if f.status == statusCancelled && r.Context().Err() == nil {
		f.status = http.StatusServiceUnavailable // not the client's doing
	}
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Del("X-Accel-Buffering")
	if f.status == http.StatusServiceUnavailable {
		seconds := max(f.retryAfter, retryAfter).Round(time.Second).Seconds()
		header.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(appendFailure(nil, form, f))
}

// appendFailure appends the body of an error.
func appendFailure(dst []byte, form face, f *failure) []byte {
	dst = append(dst, `{"error":`...)
	if form == ollama {
		dst = appendString(dst, f.message)
		if f.kind != "" {
			dst = appendString(append(dst, `,"kind":`...), f.kind)
		}
		return append(dst, '}')
	}
	dst = append(dst, `{"message":`...)
	dst = appendString(dst, f.message)
	dst = append(dst, `,"type":`...)
	dst = appendString(dst, failureType(form, f))
	dst = append(dst, `,"param":`...)
	dst = appendOptional(dst, f.param)
	dst = append(dst, `,"code":`...)
	dst = appendOptional(dst, f.code)
	if f.full != nil {
		dst = appendInt(append(dst, `,"n_prompt_tokens":`...), f.full.Prompt)
		dst = appendInt(append(dst, `,"n_ctx":`...), f.full.Context)
	}
	dst = append(dst, '}')
	if f.kind != "" {
		dst = appendString(append(dst, `,"kind":`...), f.kind) // for our own clients
	}
	return append(dst, '}')
}

// appendOptional appends a string, or null for none.
func appendOptional(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendString(dst, s)
}

// failureType is OpenAI's word for what a status says, or llama-server's where it has its own.
func failureType(form face, f *failure) string {
	status := f.status
	switch {
	case form == native && f.full != nil:
		return "exceed_context_size_error"
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusNotFound:
		return "not_found_error"
	case status == http.StatusServiceUnavailable:
		return "service_unavailable_error"
	case status >= http.StatusInternalServerError:
		return "server_error"
	}
	return "invalid_request_error"
}
