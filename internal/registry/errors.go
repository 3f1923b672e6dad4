package registry

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// The kinds of error, for [errors.Is]. Errors of the store are those of package store.
var (
	// ErrNotFound means that the registry has no such model.
	ErrNotFound = errors.New("not found in the registry")
	// ErrDenied means that the registry does not let this user.
	ErrDenied = errors.New("denied by the registry")
	// ErrUnreachable means that the registry does not answer, fails, or sends what is wrong.
	ErrUnreachable = errors.New("registry not usable")
	// ErrInsecure means that it would take plain HTTP, which was not allowed.
	ErrInsecure = errors.New("plain http is not allowed")
	// ErrInvalid means that a name or an address cannot be used.
	ErrInvalid = errors.New("invalid")
	// ErrSpace means that the disk has too little room.
	ErrSpace = errors.New("too little disk space")
)

// failure is an error of a kind.
type failure struct {
	kind      error
	message   string
	cause     error
	transient bool          // it may work the next time
	few       bool          // but not more often
	after     time.Duration // at the earliest
}

func (f *failure) Error() string {
	if f.cause != nil {
		return f.message + ": " + f.cause.Error()
	}
	return f.message
}

func (f *failure) Unwrap() []error {
	if f.cause == nil {
		return []error{f.kind}
	}
	return []error{f.kind, f.cause}
}

func fail(kind error, format string, args ...any) *failure {
	return &failure{kind: kind, message: fmt.Sprintf(format, args...)}
}

// lost is a failure of the connection, which may work the next time unless there is no such host,
// or another than it should be.
func lost(host string, err error) *failure {
	f := &failure{kind: ErrUnreachable, message: "the connection to " + host + " failed",
		cause: err, transient: true}
	name, certificate := (*net.DNSError)(nil), (*tls.CertificateVerificationError)(nil)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		f.kind, f.transient, f.cause = ErrInsecure, false, nil
		f.message = host + " speaks http alone, without encryption"
	case errors.As(err, &name):
		f.transient = !name.IsNotFound
	case errors.As(err, &certificate):
		f.transient = false
	case errors.Is(err, syscall.ECONNREFUSED):
		f.few = true
	}
	return f
}

// statusFailure says what an answer that is no success means.
func statusFailure(resp *http.Response) *failure {
	const enough = 4096
	body, _ := io.ReadAll(io.LimitReader(resp.Body, enough))
	host := resp.Request.URL.Host
	f := fail(ErrUnreachable, "%s answered %s", host, resp.Status)
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound:
		f.kind = ErrNotFound
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		f.kind = ErrDenied
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		f.transient, f.after = true, retryAfter(resp)
	}
	if text := serverMessage(body); text != "" {
		f.message += " (" + text + ")"
	}
	return f
}

// retryAfter reads when the server wants the next request: in seconds, or at a time.
func retryAfter(resp *http.Response) time.Duration {
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(max(0, min(seconds, 1<<20))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// serverMessage is what the body of an error says, in a few words.
func serverMessage(body []byte) string {
	var envelope struct {
		Error  string `json:"error"`
		Errors []struct {
			Code, Message string
		} `json:"errors"`
	}
	if json.Unmarshal(body, &envelope) != nil {
		return ""
	}
	text := envelope.Error
	if len(envelope.Errors) > 0 {
		text = envelope.Errors[0].Message
		if text == "" {
			text = envelope.Errors[0].Code
		}
	}
	const most = 200
	text = strings.ToValidUTF8(text[:min(len(text), most)], "")
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) // a terminal would obey some
	}), " ")
}
