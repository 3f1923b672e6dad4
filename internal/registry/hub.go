package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/store"
)

// HubPrefix begins the names of files on a hub of repositories.
const HubPrefix = "hf:"

// defaultHub is the public hub.
const defaultHub = "https://huggingface.co"

// HubName names GGUF files of a repository: "hf:user/repository[:file][@revision]".
type HubName struct {
	User, Repository string
	File             string // or a quantisation; "": the hub's usual choice
	Revision         string // "main" unless it is given
}

var hubPart = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// ParseHubName reads such a name.
func ParseHubName(text string) (HubName, error) {
	h := HubName{Revision: "main"}
	rest, ok := strings.CutPrefix(text, HubPrefix)
	if !ok {
		return h, fail(ErrInvalid, "%.100q does not begin with hf:", text)
	}
	if before, revision, ok := strings.Cut(rest, "@"); ok {
		rest, h.Revision = before, revision
	}
	rest, h.File, _ = strings.Cut(rest, ":")
	h.User, h.Repository, _ = strings.Cut(rest, "/")
	if !hubPart.MatchString(h.User) || !hubPart.MatchString(h.Repository) || h.Revision == "" ||
		h.Revision == "." || strings.Contains(h.Revision+" "+h.File, "..") {
		return h, fail(ErrInvalid, "%.100q is not hf:user/repository[:file][@revision]", text)
	}
	return h, nil
}

// Name is what the model is called in the store.
func (h HubName) Name(file string) (store.Name, error) {
	tag := strings.TrimSuffix(path.Base(file), ".gguf")
	if m := quantization.FindStringSubmatch(tag); m != nil {
		tag = m[1]
	}
	tag = regexp.MustCompile(`[^A-Za-z0-9_.-]+`).ReplaceAllString(tag, "-")
	if h.Revision != "main" {
		tag += "-" + regexp.MustCompile(`[^A-Za-z0-9_.-]+`).ReplaceAllString(h.Revision, "-")
	}
	const longest = 80
	return store.ParseName("hf.co/" + h.User + "/" + h.Repository + ":" +
		tag[:min(len(tag), longest)])
}

var quantization = regexp.MustCompile(
	`(?i)[-._]((?:UD-)?(?:I?Q[1-8](?:_[0-9A-Z]+)*|BF16|F16|F32|MXFP4|TQ[12]_0))` +
		`(?:-\d{5}-of-\d{5})?$`)

var part = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// hubFile is a file of a repository.
type hubFile struct {
	Name string `json:"rfilename"`
	Size int64  `json:"size"`
	LFS  *struct {
		SHA256 string `json:"sha256"`
		OID    string `json:"oid"`
		Size   int64  `json:"size"`
	} `json:"lfs"`
}

// HubPart is a fetched file.
type HubPart struct {
	Name  string
	Layer store.Layer
}

// FetchHub fetches the GGUF files that a name means, all parts of one model, as blobs of the store.
func (c *Client) FetchHub(ctx context.Context, h HubName) ([]HubPart, error) {
	base, err := url.Parse(c.o.HubURL)
	if c.o.HubURL == "" {
		base, err = url.Parse(defaultHub)
	}
	if err != nil {
		return nil, fail(ErrInvalid, "the hub's address: %s", err)
	}
	if err := c.allowed(base); err != nil {
		return nil, err
	}
	c.tell(Progress{Status: "pulling manifest"})
	files, err := c.hubFiles(ctx, base, h)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(files, h)
	if err != nil {
		return nil, err
	}
	var parts []HubPart
	var layers []store.Layer
	for _, f := range chosen {
		digest := ""
		if f.LFS != nil {
			digest = f.LFS.SHA256
			if digest == "" {
				digest = f.LFS.OID
			}
			f.Size = max(f.Size, f.LFS.Size)
		}
		l := store.Layer{MediaType: store.TypeModel, Size: f.Size, Digest: "sha256:" + digest}
		if _, err := c.store.BlobPath(l.Digest); err != nil || f.Size <= 0 {
			return nil, fail(ErrUnreachable, "%s does not tell the digest of %s", base.Host, f.Name)
		}
		parts, layers = append(parts, HubPart{f.Name, l}), append(layers, l)
	}
	if err := c.checkSpace(layers); err != nil {
		return nil, err
	}
	for _, p := range parts {
		from := source{header: c.hubHeader(), url: base.JoinPath(h.User, h.Repository, "resolve",
			url.PathEscape(h.Revision), p.Name)}
		if err := c.fetch(ctx, p.Layer, from, "pulling "+short(p.Layer.Digest)); err != nil {
			return nil, err
		}
	}
	c.tell(Progress{Status: "verifying sha256 digest"})
	return parts, nil
}

func (c *Client) hubHeader() http.Header {
	header := http.Header{}
	if c.o.HubToken != "" {
		header.Set("Authorization", "Bearer "+c.o.HubToken)
	}
	return header
}

// hubFiles lists the GGUF files of a repository.
func (c *Client) hubFiles(ctx context.Context, base *url.URL, h HubName) ([]hubFile, error) {
	at := base.JoinPath("api", "models", h.User, h.Repository, "revision",
		url.PathEscape(h.Revision))
	at.RawQuery = "blobs=true"
	b, err := c.manifest(ctx, &request{method: http.MethodGet, url: at, header: c.hubHeader()})
	if err != nil {
		return nil, err
	}
	var listed struct{ Siblings []hubFile }
	if err := json.Unmarshal(b, &listed); err != nil {
		return nil, fail(ErrUnreachable, "%s sends something else than a list of files", base.Host)
	}
	return slices.DeleteFunc(listed.Siblings, func(f hubFile) bool {
		name := strings.ToLower(f.Name)
		return !strings.HasSuffix(name, ".gguf")
	}), nil
}

// usual are the quantisations that are taken where none is asked for, the best liked first.
var usual = []string{"Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0"}

// choose finds the file that a name means, or all parts of it.
func choose(files []hubFile, h HubName) ([]hubFile, error) {
	find := func(want string) (hubFile, bool) {
		for _, f := range files {
			stem := strings.TrimSuffix(path.Base(f.Name), ".gguf")
			m := quantization.FindStringSubmatch(stem)
			if f.Name == want || path.Base(f.Name) == want ||
				m != nil && strings.EqualFold(m[1], want) && !isProjector(f.Name) {
				return f, true
			}
		}
		return hubFile{}, false
	}
	wants := usual
	if h.File != "" {
		wants = []string{h.File}
	}
	for _, want := range wants {
		if f, ok := find(want); ok {
			return withParts(files, f)
		}
	}
	models := slices.DeleteFunc(slices.Clone(files), func(f hubFile) bool {
		m := part.FindStringSubmatch(f.Name)
		return isProjector(f.Name) || m != nil && m[2] != "00001"
	})
	if h.File == "" && len(models) == 1 {
		return withParts(files, models[0])
	}
	var names []string
	for _, f := range models {
		names = append(names, f.Name)
	}
	const most = 10
	list := strings.Join(names[:min(len(names), most)], ", ")
	switch {
	case len(models) == 0:
		return nil, fail(ErrNotFound, "%s/%s has no GGUF files", h.User, h.Repository)
	case h.File == "":
		return nil, fail(ErrInvalid, "%s/%s has several models; name one of %s", h.User,
			h.Repository, list)
	}
	return nil, fail(ErrNotFound, "%s/%s has no %s; it has %s", h.User, h.Repository, h.File, list)
}

func isProjector(file string) bool { return strings.Contains(strings.ToLower(file), "mmproj") }

// withParts returns all parts of a model of which a file is one.
func withParts(files []hubFile, f hubFile) ([]hubFile, error) {
	m := part.FindStringSubmatch(f.Name)
	if m == nil {
		return []hubFile{f}, nil
	}
	var count int
	_, _ = fmt.Sscanf(m[3], "%d", &count)
	var parts []hubFile
	for i := 1; i <= count; i++ {
		want := fmt.Sprintf("%s-%05d-of-%s.gguf", m[1], i, m[3])
		at := slices.IndexFunc(files, func(f hubFile) bool { return f.Name == want })
		if at < 0 {
			return nil, fail(ErrNotFound, "part %s is missing", want)
		}
		parts = append(parts, files[at])
	}
	return parts, nil
}
