package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// StatusError is an error that the daemon answered with.
type StatusError struct {
	StatusCode int    // 0 when the error came within an answer that had begun
	Status     string // "404 Not Found"
	Message    string
	Kind       string // "context_full" and so on, if the daemon is Mullama and there is more to say
	RetryAfter string // of a busy daemon: seconds, or a date
}

func (e *StatusError) Error() string {
	switch {
	case e.Message != "":
		return e.Message
	case e.Status != "":
		return "the daemon answered " + e.Status
	}
	return "the daemon answered with an error and did not say which"
}

// statusError reads the body of an answer that is not a success.
func statusError(resp *http.Response, body []byte) *StatusError {
	return &StatusError{
		StatusCode: resp.StatusCode,
		Status:     resp.Status,
		Message:    errorMessage(body),
		Kind:       errorKind(body),
		RetryAfter: resp.Header.Get("Retry-After"),
	}
}

// errorMessage understands {"error": "…"} and {"error": {"message": "…"}}; other text it returns,
// if there is little of it.
func errorMessage(body []byte) string {
	var envelope struct {
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil || envelope.Error == nil {
		const enough = 400
		text := strings.TrimSpace(string(body))
		if len(text) > enough {
			return ""
		}
		return text
	}
	var object struct {
		Message string `json:"message"`
	}
	var text string
	if json.Unmarshal(envelope.Error, &text) == nil {
		return text
	}
	if json.Unmarshal(envelope.Error, &object) == nil && object.Message != "" {
		return object.Message
	}
	return fmt.Sprintf("the daemon answered with the error %s", envelope.Error)
}

// errorKind is the kind that Mullama tells beside the message.
func errorKind(body []byte) string {
	var envelope struct {
		Kind string `json:"kind"`
	}
	_ = json.Unmarshal(body, &envelope) // what is no JSON tells no kind
	return envelope.Kind
}
