package soak

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// broken are requests that must be refused, with a status and a sentence. MODEL stands for a model
// that there is.
var broken = []struct {
	method, path, body string
	status             int
}{
	{"POST", "/api/chat", "", 400},
	{"POST", "/api/chat", "{\n \"model\": tiny}", 400},
	{"POST", "/api/chat", `{"model":"MODEL","messages":[{"role":"us`, 400},
	{"POST", "/api/chat", `[]`, 400},
	{"POST", "/api/chat", `{"model":5}`, 400},
	{"POST", "/api/chat", `{"model":"MODEL","messages":"hello"}`, 400},
	{"POST", "/api/chat", `{"model":"MODEL","messages":[{"role":"boss","content":"a"}]}`, 400},
	{"POST", "/api/chat", `{"model":"no-such-model","messages":[{"role":"user"}]}`, 404},
	{"POST", "/api/generate", `{"model":"MODEL","prompt":"a","options":{"num_ctx":-5}}`, 400},
	{"POST", "/api/generate", `{"model":"MODEL","prompt":"a","options":{"top_p":7}}`, 400},
	{"POST", "/api/generate", `{"model":"MODEL","prompt":"a","options":{"top_k":1e308}}`, 400},
	{"POST", "/api/generate", `{"model":"/etc/passwd","prompt":"a"}`, 400},
	{"POST", "/v1/chat/completions", `{"model":"MODEL","messages":[]}`, 400},
	{"POST", "/v1/chat/completions", `{"model":"MODEL","stream":true}`, 400},
	{"POST", "/v1/chat/completions", `{"model":"MODEL","messages":[{"role":"user","content":5}]}`,
		400},
	{"POST", "/v1/completions", `{"model":"MODEL","prompt":"a","n":-1}`, 400},
	{"POST", "/v1/completions", `{"model":"MODEL","prompt":"a","temperature":1e999}`, 400},
	{"POST", "/v1/completions", `{"model":"MODEL","prompt":"a","temperature":NaN}`, 400},
	{"POST", "/completion", `{"model":"MODEL"}`, 400},
	{"POST", "/completion", `{"model":"MODEL","prompt":"a","grammar":"root ::= ("}`, 400},
	{"POST", "/tokenize", `{"model":"MODEL","content":5}`, 400},
	{"POST", "/detokenize", `{"model":"MODEL","tokens":["a"]}`, 400},
	{"GET", "/v1/none", "", 404},
	{"GET", "/api/chat", "", 405},
	{"POST", "/api/pull", `{"model":"x"}`, 501},
}

func sendBroken(t *trial) error {
	b := broken[t.random.IntN(len(broken))]
	body := bytes.ReplaceAll([]byte(b.body), []byte("MODEL"), []byte(t.model))
	resp, err := t.send(b.method, b.path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", b.path, b.body, err)
	}
	text, err := sentenceOf(resp)
	if err == nil && resp.StatusCode != b.status {
		err = fmt.Errorf("status %d, want %d: %s", resp.StatusCode, b.status, text)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", b.path, b.body, err)
	}
	return nil
}

// sendTooLarge sends one byte more than the limit, so that the daemon reads all of it: where it
// ends the connection before, a client may not get to see why.
func sendTooLarge(t *trial) error {
	const limit = 20 << 20
	resp, err := t.send(http.MethodPost, "/api/chat", bytes.Repeat([]byte(" "), limit+1))
	if err != nil {
		return err
	}
	text, err := sentenceOf(resp)
	if err == nil && resp.StatusCode != http.StatusRequestEntityTooLarge {
		err = fmt.Errorf("status %d, want 413: %s", resp.StatusCode, text)
	}
	return err
}

// raw is a request as bytes.
func (t *trial) raw(s streamed) ([]byte, error) {
	body, err := json.Marshal(s.body)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n", s.path, t.host, len(body))
	if t.Key != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", t.Key)
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes(), nil
}

// connect opens a connection that ends at the latest with the trial.
func (t *trial) connect() (*net.TCPConn, error) {
	conn, err := new(net.Dialer).DialContext(t.ctx, "tcp", t.host)
	if err != nil {
		return nil, err
	}
	end, _ := t.ctx.Deadline()
	_ = conn.SetDeadline(end)
	return conn.(*net.TCPConn), nil
}

// about opens a connection to send a request on, which comes as bytes.
func (t *trial) about(s streamed) (conn *net.TCPConn, request []byte, err error) {
	if request, err = t.raw(s); err != nil {
		return nil, nil, err
	}
	conn, err = t.connect()
	return conn, request, err
}

// vanish sends a part of a request, or all of it, and goes away without reading anything. Nothing
// can be expected but that the daemon forgets it.
func vanish(t *trial) error {
	s := t.anyStream()
	if s.body["prompt"] != nil {
		s.body["prompt"] = t.text(500)
	}
	conn, all, err := t.about(s)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if t.chance(2) {
		all = all[:t.random.IntN(len(all))]
	}
	if t.chance(3) {
		_ = conn.SetLinger(0) // with a reset instead of an end
	}
	if _, err := conn.Write(all); err != nil {
		return err
	}
	time.Sleep(time.Duration(t.random.IntN(200)) * time.Millisecond)
	return nil
}

// slowSender sends a request in small pieces and must get a whole answer.
func slowSender(t *trial) error {
	s := t.anyStream()
	conn, all, err := t.about(s)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	const pieces = 20
	for size := len(all)/pieces + 1; len(all) > 0; all = all[min(size, len(all)):] {
		if _, err := conn.Write(all[:min(size, len(all))]); err != nil {
			return err
		}
		time.Sleep(time.Duration(t.random.IntN(60)) * time.Millisecond)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return t.waitAsTold(resp)
	}
	s.form.t = t
	_, err = s.form.read(resp)
	t.parts = nil // counted from a beginning that the client chose
	return err
}
