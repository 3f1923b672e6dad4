package mullama

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mullama/mullama/api"
	"github.com/mullama/mullama/internal/store"
)

// ClientOptions configure a Client. The zero value is ready to use.
type ClientOptions struct {
	// Key is an API key, if the daemon wants one.
	Key string
	// HTTP makes the requests, for example with a proxy or certificates of your own. Nil: a client
	// without a time limit, as answers may take long.
	HTTP *http.Client
}

// Client has a daemon do what a [Runtime] does in this process, with the same methods:
// [Client.Load] gives a [Model], whose answers are [Stream]s. A program that takes what both have
// works with either:
//
//	type engine interface {
//		Load(ctx context.Context, name string, o *mullama.LoadOptions) (*mullama.Model, error)
//		io.Closer
//	}
//
// The daemon is Mullama's or Ollama's. What differs from a Runtime:
//
//   - Models are named as in the daemon's store. A file's path is refused.
//   - Of [LoadOptions] a daemon takes ContextSize, BatchSize, Threads, GPULayers and MainGPU.
//     Those that would change what a model computes (RoPE, Overrides) are ErrUnsupported, the
//     others are its own business; [Model.Warnings] names the ones that were left out.
//   - Sampling nil means what the daemon has for the model, whose own parameters, system text and
//     messages count as well.
//   - Generate and Chat return when the answer begins, and tell then what is wrong with it.
//   - [Stats] have no Queue, Steps and StepOverhead, and TopLogprobs is at most 20.
//   - Detokenize replaces what is not UTF-8, and refuses ids outside the vocabulary.
//   - FillInMiddle is ErrUnsupported. There are no Devices, Import and Acquire: a daemon does the
//     last for each request.
//   - Ollama tells no tokens: there is no Tokenize, Detokenize and GenerateTokens, and chunks are
//     without Tokens. It ignores Grammar and templates, and takes tool calls out of the text.
//
// Errors are of the same kinds. A daemon that cannot be reached, breaks off or answers nonsense
// is ErrInternal, with a hint; the cause tells more.
//
// A Client may be used from any goroutine. It keeps connections; Close lets go of those that are
// idle.
type Client struct {
	api  *api.Client
	idle func() // closes connections that are not used

	ctx  context.Context // done when the client is closed
	stop context.CancelFunc
}

// NewClient returns a Client for the daemon at an address: http://host:port, https://host:port or
// unix:///path/to/socket. It does not look whether a daemon is there. Errors: ErrInvalidOption.
func NewClient(address string, opts ClientOptions) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || !isAddress(base) {
		return nil, invalid("", fmt.Sprintf("%q is no address of a daemon; write it like "+
			"http://%s", address, api.DefaultAddress))
	}
	hc := opts.HTTP
	if hc == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = transport.MaxIdleConns // there is but one host
		hc = &http.Client{Transport: transport}
	}
	c := &Client{api: api.NewClient(base, hc), idle: hc.CloseIdleConnections}
	if opts.Key != "" {
		c.api = c.api.WithKey(opts.Key)
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c, nil
}

func isAddress(u *url.URL) bool {
	switch u.Scheme {
	case "http", "https":
		return u.Host != ""
	case "unix":
		return u.Path != ""
	}
	return false
}

// API returns the client of the wire protocol, for requests that package mullama has no methods
// for. [DaemonError] gives its errors their kinds.
func (c *Client) API() *api.Client { return c.api }

// Close ends the Client: what it waits for ends, and later calls fail with ErrClosed. Models that
// are still open stay usable until they are closed themselves. It returns nil.
func (c *Client) Close() error {
	c.stop()
	c.idle()
	return nil
}

// call runs a request that ends with ctx and with the client.
func (c *Client) call(ctx context.Context, op string, fn func(ctx context.Context) error) error {
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	err := c.ctx.Err()
	if err == nil {
		err = fn(own)
	}
	switch {
	case err == nil:
		return nil
	case c.ctx.Err() != nil:
		return &Error{Kind: ErrClosed, Op: op, Err: errors.New("the client is closed")}
	case ctx.Err() != nil:
		return &Error{Kind: ErrCancelled, Op: op, Err: context.Cause(ctx)}
	}
	return DaemonError(op, err)
}

// Engine says which daemon it is. Nothing is known of one that does not answer within a second.
func (c *Client) Engine() EngineInfo {
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	version, err := c.api.Version(ctx)
	if err != nil {
		return EngineInfo{}
	}
	return EngineInfo{Version: "daemon " + version}
}

// Load has the daemon load a model of its store; see [Runtime.Load]. The daemon unloads it when it
// was not used for a time, and loads it again for the next request; closing the Model ends what it
// answers, and no more. Errors: ErrNotFound, ErrUnsupported, ErrInvalidOption, ErrClosed,
// ErrCancelled, and those of the daemon.
func (c *Client) Load(ctx context.Context, name string, opts *LoadOptions) (*Model, error) {
	op := "load " + name
	if opts == nil {
		opts = &LoadOptions{}
	}
	if err := opts.check(op); err != nil {
		return nil, err
	}
	options, warn, err := opts.forDaemon(op)
	if err != nil {
		return nil, err
	}
	m := newModel(&loaded{warn: warn}, func() {})
	m.remote = &remote{api: c.api, name: name, options: options, vocabOnly: opts.VocabOnly}
	err = c.call(ctx, op, func(ctx context.Context) error {
		shown, err := c.api.Show(ctx, &api.ShowRequest{Model: name})
		if err != nil {
			return err
		}
		m.shared.info = DaemonInfo(shown)
		if opts.VocabOnly {
			return nil
		}
		return c.load(ctx, m)
	})
	if err != nil {
		return nil, err
	}
	if opts.Progress != nil {
		opts.Progress(1)
	}
	if ctx.Err() != nil { // Progress may have ended it
		_ = m.Close()
		return nil, wrap(op, context.Cause(ctx))
	}
	return m, nil
}

// load has the daemon load a model, and learns with which context. Ollama does not tell it at once.
func (c *Client) load(ctx context.Context, m *Model) error {
	if m.shared.info.can("embedding") && !m.shared.info.can("completion") {
		return c.loadEmbedding(ctx, m)
	}
	request := &api.GenerateRequest{Model: m.remote.name, Options: m.remote.options}
	for answer, err := range c.api.Generate(ctx, request) {
		if err != nil {
			return err
		}
		m.shared.size, m.remote.slots = answer.ContextLength, answer.Slots
	}
	return c.learnSize(ctx, m)
}

// loadEmbedding is load for a model that only makes embeddings.
func (c *Client) loadEmbedding(ctx context.Context, m *Model) error {
	_, err := c.api.Embed(ctx, &api.EmbedRequest{Model: m.remote.name, Options: m.remote.options})
	if err != nil {
		return err
	}
	return c.learnSize(ctx, m)
}

// learnSize asks with which context a model is loaded, unless that is known.
func (c *Client) learnSize(ctx context.Context, m *Model) error {
	if m.shared.size > 0 {
		return nil
	}
	running, err := c.api.Running(ctx)
	if err != nil {
		return ctx.Err() // answers work without the size
	}
	for _, r := range running.Models {
		if !sameName(r.Name, m.remote.name) {
			continue
		}
		m.shared.size = r.ContextLength
		if r.ContextLength == m.remote.options["num_ctx"] {
			break // it may be loaded with others, too
		}
	}
	return nil
}

// sameName reports whether two names are of the same model.
func sameName(a, b string) bool {
	x, errX := store.ParseName(a)
	y, errY := store.ParseName(b)
	return errX == nil && errY == nil && strings.EqualFold(x.Short(), y.Short())
}

// List returns the models of the daemon's store, newest first; see [Client.Find] for what is known
// of one.
func (c *Client) List() ([]StoredModel, error) {
	var models []StoredModel
	err := c.call(c.ctx, "list models", func(ctx context.Context) error {
		list, err := c.api.List(ctx)
		if err != nil {
			return err
		}
		for i := range list.Models {
			models = append(models, listed(&list.Models[i]))
		}
		return nil
	})
	return models, err
}

func listed(m *api.ListedModel) StoredModel {
	return StoredModel{Name: m.Name, Digest: m.Digest, Size: m.Size, Modified: m.ModifiedAt,
		Details: ModelDetails(m.Details), Capabilities: m.Capabilities}
}

// Find returns a model of the daemon's store by its name. Where its files are, and its parameters,
// a daemon does not tell.
func (c *Client) Find(name string) (*StoredModel, error) {
	found := &StoredModel{Name: name}
	err := c.call(c.ctx, "find "+name, func(ctx context.Context) error {
		shown, err := c.api.Show(ctx, &api.ShowRequest{Model: name})
		if err != nil {
			return err
		}
		list, err := c.api.List(ctx)
		if err != nil {
			return err
		}
		for i := range list.Models {
			if sameName(list.Models[i].Name, name) {
				*found = listed(&list.Models[i])
			}
		}
		found.Details, found.Capabilities = ModelDetails(shown.Details), shown.Capabilities
		found.Template, found.System = shown.Template, shown.System
		if shown.License != "" {
			found.Licenses = []string{shown.License}
		}
		for _, message := range shown.Messages {
			found.Messages = append(found.Messages,
				Message{Role: message.Role, Content: message.Content})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Running lists the models that the daemon has loaded or is loading. It is empty, too, when the
// daemon does not answer.
func (c *Client) Running() []RunningModel {
	var all []RunningModel
	_ = c.call(c.ctx, "list running models", func(ctx context.Context) error {
		running, err := c.api.Running(ctx)
		if err != nil {
			return err
		}
		for _, m := range running.Models {
			all = append(all, RunningModel{
				Stored: StoredModel{Name: m.Name, Digest: m.Digest,
					Details: ModelDetails(m.Details)},
				Size: m.Size, SizeVRAM: m.SizeVRAM, ContextSize: m.ContextLength,
				Expires: m.ExpiresAt, Busy: m.Busy, Waiting: m.Waiting, Slots: m.Slots,
				Loading: m.Loading,
				Engine:  EngineStats{Slots: m.Slots, Active: m.Busy},
			})
		}
		return nil
	})
	return all
}

// Copy gives a model of the store a second name; a model that has that name is replaced.
func (c *Client) Copy(src, dst string) error {
	return c.call(c.ctx, "copy "+src, func(ctx context.Context) error {
		return c.api.Copy(ctx, &api.CopyRequest{Source: src, Destination: dst})
	})
}

// Delete removes a model from the store.
func (c *Client) Delete(name string) error {
	return c.call(c.ctx, "delete "+name, func(ctx context.Context) error {
		return c.api.Delete(ctx, &api.DeleteRequest{Model: name})
	})
}

// Unload lets a model go when its requests have ended.
func (c *Client) Unload(name string) error {
	return c.call(c.ctx, "unload "+name, func(ctx context.Context) error {
		return c.api.Unload(ctx, name)
	})
}
