package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
)

// PullRequest asks for a model of a registry.
type PullRequest struct {
	Model    string `json:"model"`
	Name     string `json:"name,omitempty"`     // older than Model, the same
	Insecure bool   `json:"insecure,omitempty"` // also over http
	Stream   *bool  `json:"stream,omitempty"`   // nil: true

	// These are not Ollama's. 0: the usual number, and no limit.
	Parallel       int   `json:"parallel,omitempty"`         // requests at once
	BytesPerSecond int64 `json:"bytes_per_second,omitempty"` // of the network

	// Username and Password are Ollama's and have no effect.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

// PushRequest sends a model to its registry. Its fields are those of PullRequest.
type PushRequest PullRequest

// CreateRequest makes a model from another one or from files.
type CreateRequest struct {
	Model    string            `json:"model"`
	Name     string            `json:"name,omitempty"` // older than Model, the same
	From     string            `json:"from,omitempty"`
	Files    map[string]string `json:"files,omitempty"` // digests of blobs by file name
	Adapters map[string]string `json:"adapters,omitempty"`
	// DraftFiles are a smaller model that drafts for this one.
	DraftFiles map[string]string `json:"draft_files,omitempty"`
	// AdapterScales say how strong Adapters are, 1 if not said. Ollama does not know it.
	AdapterScales map[string]float32 `json:"adapter_scales,omitempty"`

	Template   string         `json:"template,omitempty"`
	System     string         `json:"system,omitempty"`
	License    Texts          `json:"license,omitempty"`
	Parameters map[string]any `json:"parameters,omitempty"`
	Messages   []Message      `json:"messages,omitempty"`

	Renderer string `json:"renderer,omitempty"`
	Parser   string `json:"parser,omitempty"`
	Requires string `json:"requires,omitempty"`
	Quantize string `json:"quantize,omitempty"`
	// Quantization is older than Quantize, the same.
	Quantization string `json:"quantization,omitempty"`
	// DraftQuantize is the type that the draft model is quantised to.
	DraftQuantize string `json:"draft_quantize,omitempty"`
	Stream        *bool  `json:"stream,omitempty"` // nil: true

	// The fields from here on are not Ollama's.

	Insecure     bool              `json:"insecure,omitempty"` // a From that is pulled
	Imatrix      string            `json:"imatrix,omitempty"`  // digest of a blob, for Quantize
	ThinkStart   string            `json:"think_start,omitempty"`
	ThinkEnd     string            `json:"think_end,omitempty"`
	ToolFormat   map[string]string `json:"tool_format,omitempty"`
	Capabilities map[string]bool   `json:"capabilities,omitempty"`
	Author       string            `json:"author,omitempty"`
}

// ProgressResponse is how far a pull, push or create is. The last one has the status "success".
type ProgressResponse struct {
	Status    string `json:"status"`
	Digest    string `json:"digest,omitempty"`
	Total     int64  `json:"total,omitempty"`
	Completed int64  `json:"completed,omitempty"`
}

// Texts is a list of texts, which in JSON may be one text.
type Texts []string

// UnmarshalJSON reads a text or a list.
func (t *Texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = nil
		if one != "" {
			*t = Texts{one}
		}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("it must be a string or a list of strings")
	}
	*t = list
	return nil
}

// Pull fetches a model into the daemon's store. An error ends the iteration; leaving it cancels.
func (c *Client) Pull(ctx context.Context, r *PullRequest) iter.Seq2[*ProgressResponse, error] {
	return c.progress(ctx, "/api/pull", r)
}

// Push sends a model to its registry, as Pull fetches one.
func (c *Client) Push(ctx context.Context, r *PushRequest) iter.Seq2[*ProgressResponse, error] {
	return c.progress(ctx, "/api/push", r)
}

// Create makes a model, as Pull fetches one.
func (c *Client) Create(
	ctx context.Context, r *CreateRequest,
) iter.Seq2[*ProgressResponse, error] {
	return c.progress(ctx, "/api/create", r)
}

func (c *Client) progress(
	ctx context.Context, path string, request any,
) iter.Seq2[*ProgressResponse, error] {
	return all(func() (*Answer[ProgressResponse], error) {
		return start(ctx, c, path, request,
			func(p *ProgressResponse) bool { return p.Status == "success" })
	})
}

// HasBlob reports whether the daemon has the blob of a digest, "sha256:…".
func (c *Client) HasBlob(ctx context.Context, digest string) (bool, error) {
	err := c.do(ctx, http.MethodHead, "/api/blobs/"+digest, nil, nil)
	if status := (*StatusError)(nil); errors.As(err, &status) &&
		status.StatusCode == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// AddBlob sends what a reader gives, of which the digest is known.
func (c *Client) AddBlob(ctx context.Context, digest string, body io.Reader) error {
	at := strings.TrimSuffix(c.base.String(), "/") + "/api/blobs/" + digest
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, io.NopCloser(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine))
		return statusError(resp, answer)
	}
	return nil
}
