package registry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mullama/mullama/internal/store"
)

// Options say how a Client works. Only KeyDir has no default.
type Options struct {
	KeyDir    string // folder of the key of this user, as id_ed25519; made when a registry asks
	UserAgent string
	// Insecure allows plain HTTP, and uses it where a name has no scheme.
	Insecure bool
	// Parallel is how many requests fetch a blob at once. 0: DefaultParallel.
	Parallel int
	// BytesPerSecond limits fetching and sending; 0: not.
	BytesPerSecond int64
	// Progress is told how far it is; from one goroutine at a time.
	Progress func(Progress)
	// HubURL is where "hf:" names are fetched from, and HubToken is shown there. Empty: the public
	// hub.
	HubURL, HubToken string
	Log              *slog.Logger

	timing timing
}

// DefaultParallel is how many requests fetch a blob at once.
const DefaultParallel = 8

// timing is what tests make short.
type timing struct {
	pause time.Duration // before the first retry; each next one is twice as long
	stall time.Duration // how long nothing may come
	tries int           // in a row that bring nothing
	piece int64         // bytes of a piece
	wait  time.Duration // the longest that a server may ask for
}

// Progress is how far a pull or push is.
type Progress struct {
	Status           string // as Ollama words it: "pulling manifest"
	Digest           string // of the blob that is on its way, or ""
	Total, Completed int64  // bytes of it
}

// Client fetches models into one store, and sends models of it.
type Client struct {
	store *store.Store
	o     Options
	http  *http.Client
	limit *rate.Limiter // nil: none

	mu     sync.Mutex
	tokens map[string]string // by scheme, host and repository
	told   sync.Mutex        // held while Progress runs
}

// New returns a client for a store.
func New(s *store.Store, o Options) *Client {
	if o.Parallel <= 0 {
		o.Parallel = DefaultParallel
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	def := timing{time.Second, 30 * time.Second, 6, 8 << 20, 5 * time.Minute}
	if o.timing == (timing{}) {
		o.timing = def
	}
	c := &Client{store: s, o: o, tokens: map[string]string{}}
	transport := http.DefaultTransport.(*http.Transport).Clone() // with proxies of the environment
	transport.DisableCompression = true
	transport.DialContext = (&net.Dialer{Timeout: o.timing.stall}).DialContext
	transport.ResponseHeaderTimeout = 2 * o.timing.stall
	transport.MaxIdleConnsPerHost = o.Parallel
	c.http = &http.Client{Transport: transport, CheckRedirect: c.redirect}
	if o.BytesPerSecond > 0 {
		burst := max(readSize, int(o.BytesPerSecond))
		c.limit = rate.NewLimiter(rate.Limit(o.BytesPerSecond), burst)
	}
	return c
}

// Close lets go of connections that are kept.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// redirect keeps the token from other hosts, and HTTPS from turning into HTTP.
func (c *Client) redirect(req *http.Request, via []*http.Request) error {
	const most = 10
	if len(via) >= most {
		return fail(ErrUnreachable, "%s redirects without end", via[0].URL.Host)
	}
	if err := c.allowed(req.URL); err != nil {
		return err
	}
	if req.URL.Host != via[0].URL.Host {
		req.Header.Del("Authorization")
	}
	return nil
}

// allowed refuses addresses without encryption.
func (c *Client) allowed(u *url.URL) error {
	switch {
	case u.Scheme == "https" || u.Scheme == "http" && c.o.Insecure:
		return nil
	case u.Scheme == "http":
		return fail(ErrInsecure, "%s would be asked over http, without encryption", u.Host)
	}
	return fail(ErrInvalid, "%q is no way to ask a registry; use https", u.Scheme)
}

// base is the address of a model's repository.
func (c *Client) base(n store.Name) (*url.URL, error) {
	u := &url.URL{Scheme: n.Scheme, Host: n.Host}
	if u.Scheme == "" {
		u.Scheme = "https"
		if c.o.Insecure {
			u.Scheme = "http"
		}
	}
	return u.JoinPath("v2", n.Namespace, n.Model), c.allowed(u)
}

// request is one request to a registry.
type request struct {
	method string
	url    *url.URL
	header http.Header
	body   func() io.Reader // anew for each try; nil: none
	length int64            // of the body
	token  string           // key of Client.tokens; "": none is used
	manual bool             // redirects are the caller's business
}

// once sends a request once, and once more with a token if that is asked for. An answer from 400
// on is an error.
func (c *Client) once(ctx context.Context, r *request) (*http.Response, error) {
	for signed := false; ; signed = true {
		resp, err := c.do(ctx, r)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < http.StatusBadRequest {
			return resp, nil
		}
		if resp.StatusCode != http.StatusUnauthorized || signed || r.token == "" ||
			resp.Request.URL.Host != r.url.Host {
			defer resp.Body.Close()
			return nil, statusFailure(resp)
		}
		token, err := c.authorize(ctx, resp)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.tokens[r.token] = token
		c.mu.Unlock()
	}
}

func (c *Client) do(ctx context.Context, r *request) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		body = r.body()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), body)
	if err != nil {
		return nil, fail(ErrInvalid, "%s", err)
	}
	for key, values := range r.header {
		req.Header[key] = values
	}
	if r.body != nil {
		req.ContentLength = r.length
	}
	req.Header.Set("User-Agent", c.o.UserAgent)
	c.mu.Lock()
	if token := c.tokens[r.token]; token != "" && r.token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	c.mu.Unlock()
	client := c.http
	if r.manual {
		own := *c.http
		own.CheckRedirect = func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}
		client = &own
	}
	resp, err := client.Do(req)
	if err == nil {
		return resp, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if own := (*failure)(nil); errors.As(err, &own) {
		return nil, own
	}
	return nil, lost(r.url.Host, withoutURL(err))
}

// withoutURL takes away what net/http puts before an error: addresses may have secrets in them.
func withoutURL(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// send sends a request, again where that may help.
func (c *Client) send(ctx context.Context, r *request) (*http.Response, error) {
	for failures := 0; ; {
		resp, err := c.once(ctx, r)
		if err == nil {
			return resp, nil
		}
		failures++
		if err := c.pause(ctx, err, failures); err != nil {
			return nil, err
		}
	}
}

// pause waits before the next try, after some failures in a row. It returns an error where there is
// to be none.
func (c *Client) pause(ctx context.Context, err error, failures int) error {
	const few = 3
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f := (*failure)(nil)
	if !errors.As(err, &f) || !f.transient || failures >= c.o.timing.tries ||
		f.few && failures >= few {
		return err
	}
	wait := c.o.timing.pause << (failures - 1)
	wait += rand.N(wait/4 + 1)
	if f.after > c.o.timing.wait {
		f.message += "; it wants to be asked again in " + f.after.Round(time.Second).String()
		return f
	}
	wait = max(wait, f.after)
	c.o.Log.Debug("a request is tried again", "in", wait, "error", err)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// tell reports progress.
func (c *Client) tell(p Progress) {
	if c.o.Progress == nil {
		return
	}
	c.told.Lock()
	defer c.told.Unlock()
	c.o.Progress(p)
}
