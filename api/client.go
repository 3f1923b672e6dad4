package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// DefaultAddress is where a daemon listens unless it is told otherwise.
const DefaultAddress = "127.0.0.1:11434"

// Client speaks to one daemon.
type Client struct {
	base *url.URL
	http *http.Client
	key  string
}

// NewClient returns a client for the daemon at base: http://host:port, https://host:port, or
// unix:///path/to/socket. A nil hc is a client of its own without a time limit, since answers may
// take long.
func NewClient(base *url.URL, hc *http.Client) *Client {
	if hc == nil {
		hc = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	}
	if base.Scheme == "unix" {
		return unixClient(base.Path, hc)
	}
	return &Client{base: base, http: hc}
}

// unixClient makes every connection to a socket; the host of the URLs is only for the Host header.
func unixClient(path string, hc *http.Client) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	c := *hc
	c.Transport = transport
	return &Client{base: &url.URL{Scheme: "http", Host: "localhost"}, http: &c}
}

// WithKey returns a client that shows an API key with each request.
func (c *Client) WithKey(key string) *Client {
	keyed := *c
	keyed.key = key
	return &keyed
}

// Ping reports whether a daemon answers.
func (c *Client) Ping(ctx context.Context) error {
	return c.do(ctx, http.MethodHead, "/", nil, nil)
}

// Version returns the daemon's version.
func (c *Client) Version(ctx context.Context) (string, error) {
	var v VersionResponse
	err := c.do(ctx, http.MethodGet, "/api/version", nil, &v)
	return v.Version, err
}

// List returns the models of the store.
func (c *Client) List(ctx context.Context) (*ListResponse, error) {
	return get[ListResponse](ctx, c, "/api/tags")
}

// Running returns the models that are loaded.
func (c *Client) Running(ctx context.Context) (*RunningResponse, error) {
	return get[RunningResponse](ctx, c, "/api/ps")
}

// Show describes a model.
func (c *Client) Show(ctx context.Context, req *ShowRequest) (*ShowResponse, error) {
	var resp ShowResponse
	if err := c.do(ctx, http.MethodPost, "/api/show", req, &resp); err != nil {
		return nil, err
	}
	return &resp, nil
}

// Copy gives a model another name.
func (c *Client) Copy(ctx context.Context, req *CopyRequest) error {
	return c.do(ctx, http.MethodPost, "/api/copy", req, nil)
}

// Delete removes a model from the store.
func (c *Client) Delete(ctx context.Context, req *DeleteRequest) error {
	return c.do(ctx, http.MethodDelete, "/api/delete", req, nil)
}

// Load loads a model and keeps it for keepAlive; nil is the daemon's own time.
func (c *Client) Load(ctx context.Context, model string, keepAlive *Duration) error {
	return c.empty(ctx, model, keepAlive)
}

// Unload unloads a model when its last request has ended.
func (c *Client) Unload(ctx context.Context, model string) error {
	return c.empty(ctx, model, &Duration{})
}

// empty sends a request without a prompt.
func (c *Client) empty(ctx context.Context, model string, keepAlive *Duration) error {
	no := false
	req := &GenerateRequest{Model: model, KeepAlive: keepAlive, Stream: &no}
	return c.do(ctx, http.MethodPost, "/api/generate", req, nil)
}

func get[T any](ctx context.Context, c *Client, path string) (*T, error) {
	resp := new(T)
	if err := c.do(ctx, http.MethodGet, path, nil, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

// do sends one request and reads its whole answer into out, which may be nil.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return statusError(resp, body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("the answer of %s is not what a daemon sends: %w", path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write the request for %s: %w", path, err)
		}
		body = bytes.NewReader(data)
	}
	at := strings.TrimSuffix(c.base.String(), "/") + path
	req, err := http.NewRequestWithContext(ctx, method, at, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, io.EOF) { // which means the end of an answer here
		return nil, fmt.Errorf("%s: %w", path, errHungUp)
	}
	return resp, err
}

// errHungUp is a daemon that closed the connection.
var errHungUp = errors.New("the daemon closed the connection without an answer")
