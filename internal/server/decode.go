package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"
)

// maxBody is the largest request: a prompt for the longest contexts, or a few pictures.
const maxBody = 20 << 20

// bodyTimeout is how long a client may take to send a request.
const bodyTimeout = 5 * time.Minute

// limitBody keeps a client from sending too much, or for too long.
func (s *Server) limitBody(w http.ResponseWriter, r *http.Request) io.ReadCloser {
	if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, blobPath) {
		return r.Body // addBlob bounds the time for each part
	}
	body := http.MaxBytesReader(w, r.Body, maxBody)
	if r.ContentLength == 0 {
		return body
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(s.bodyTimeout))
	return &timedBody{body, control}
}

// timedBody lifts the deadline at the end of the body: from there on net/http reads to see whether
// the client is still there.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// decode reads the JSON body of a request into a struct. What is wrong with it is said with the
// position or the field.
func decode(r *http.Request, into any) error {
	buf := getBuffer()
	defer buf.put()
	body := bytes.NewBuffer(buf.b)
	_, err := body.ReadFrom(r.Body)
	buf.b = body.Bytes()
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return refuse(http.StatusRequestEntityTooLarge,
			"the request is larger than %d MB; send less", tooLarge.Limit>>20)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(http.StatusRequestTimeout,
			"the request took too long to arrive; send it faster")
	}
	if err != nil {
		return badRequest("the request broke off: %v", err)
	}
	return unmarshal(buf.b, into)
}

// unmarshal parses a request. It keeps nothing of data.
func unmarshal(data []byte, into any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return badRequest("missing request body; send a JSON object")
	}
	err := json.Unmarshal(data, into)
	if err == nil {
		return nil
	}
	if f := (*failure)(nil); errors.As(err, &f) {
		return f
	}
	if e := (*json.SyntaxError)(nil); errors.As(err, &e) {
		line, column := position(data, e.Offset)
		return badRequest("the request is not valid JSON: %v (line %d, column %d)", e, line, column)
	}
	if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) {
		if e.Field == "" {
			return badRequest("the request is a JSON %s; send an object", e.Value)
		}
		return badField(e.Field, "%s is a %s; it must be %s", e.Field, e.Value, wanted(e.Type))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return badRequest("the request is not valid JSON: it ends too soon")
	}
	return badRequest("the request cannot be read: %v", err)
}

// position turns an offset into a line and a column, both from 1.
func position(data []byte, offset int64) (line, column int) {
	before := data[:min(int64(len(data)), max(0, offset))]
	line = bytes.Count(before, []byte("\n")) + 1
	return line, max(1, len(before)-(bytes.LastIndexByte(before, '\n')+1))
}

// wanted describes what JSON a Go type is read from.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a base64 string"
		}
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	if strings.Contains(t.String(), "int") {
		return "a whole number"
	}
	return fmt.Sprintf("a %s", t)
}
