package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// The media types of manifests, configs and the layers that Ollama knows.
const (
	TypeManifest  = "application/vnd.docker.distribution.manifest.v2+json"
	TypeConfig    = "application/vnd.docker.container.image.v1+json"
	TypeModel     = "application/vnd.ollama.image.model"
	TypeProjector = "application/vnd.ollama.image.projector"
	TypeAdapter   = "application/vnd.ollama.image.adapter"
	TypeDraft     = "application/vnd.ollama.image.draft"
	TypeTemplate  = "application/vnd.ollama.image.template"
	TypePrompt    = "application/vnd.ollama.image.prompt" // a template, in old models
	TypeSystem    = "application/vnd.ollama.image.system"
	TypeParams    = "application/vnd.ollama.image.params"
	TypeMessages  = "application/vnd.ollama.image.messages"
	TypeLicense   = "application/vnd.ollama.image.license"
	TypeExtras    = "application/vnd.mullama.image.extras" // JSON that Ollama ignores
)

// maxManifest bounds what is read of a manifest; one of hundreds of layers has some 100 kB.
const maxManifest = 16 << 20

// Layer names a blob and says what it is for. Field order is that of the file.
type Layer struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	From      string `json:"from,omitempty"` // the model that it was taken from
	Name      string `json:"name,omitempty"` // of a tensor or a further file
}

// Manifest lists what a model consists of. Field order is that of the file.
type Manifest struct {
	SchemaVersion int     `json:"schemaVersion"`
	MediaType     string  `json:"mediaType"`
	Config        Layer   `json:"config"`
	Layers        []Layer `json:"layers"`
}

// Config is the blob that describes a model. Field order is that of the file.
type Config struct {
	ModelFormat   string   `json:"model_format"`
	ModelFamily   string   `json:"model_family"`
	ModelFamilies []string `json:"model_families"`
	ModelType     string   `json:"model_type"` // number of parameters, as text
	FileType      string   `json:"file_type"`  // quantisation
	Renderer      string   `json:"renderer,omitempty"`
	Parser        string   `json:"parser,omitempty"`
	Requires      string   `json:"requires,omitempty"`

	RemoteHost  string `json:"remote_host,omitempty"`
	RemoteModel string `json:"remote_model,omitempty"`

	Capabilities    []string     `json:"capabilities,omitempty"`
	ContextLength   int          `json:"context_length,omitempty"`
	EmbeddingLength int          `json:"embedding_length,omitempty"`
	BaseName        string       `json:"base_name,omitempty"`
	Draft           *DraftConfig `json:"draft,omitempty"`

	Architecture string `json:"architecture"` // of the container image: always "amd64"
	OS           string `json:"os"`           // always "linux"
}

// DraftConfig describes a draft model inside a model.
type DraftConfig struct {
	ModelFormat  string `json:"model_format,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	TensorPrefix string `json:"tensor_prefix,omitempty"`
	Config       string `json:"config,omitempty"`
}

// ParseManifest reads a manifest and checks that it can be used: every digest is one, sizes are
// not negative, and there is something in it. Like Ollama it ignores what follows the JSON object.
func ParseManifest(b []byte) (*Manifest, error) {
	var m Manifest
	if err := decodeFirst(b, &m); err != nil {
		return nil, corrupt("manifest", err)
	}
	if m.Config.Digest == "" && len(m.Layers) == 0 {
		return nil, corrupt("manifest", errors.New("it has neither a config nor layers"))
	}
	var size int64
	for i, l := range m.all() {
		_, err := blobName(l.Digest)
		switch {
		case err != nil:
			return nil, corrupt(fmt.Sprintf("manifest, layer %d", i), err)
		case l.Size < 0 || l.Size > math.MaxInt64-size:
			return nil, corrupt("manifest",
				fmt.Errorf("layer %d has the size %d", i, l.Size))
		}
		size += l.Size
	}
	return &m, nil
}

// all returns the layers and the config, if there is one.
func (m *Manifest) all() []Layer {
	all := append([]Layer(nil), m.Layers...)
	if m.Config.Digest != "" {
		all = append(all, m.Config)
	}
	return all
}

// Size is that of all layers and the config.
func (m *Manifest) Size() int64 {
	var n int64
	for _, l := range m.all() {
		n += l.Size
	}
	return n
}

// Encode writes a manifest, config or other JSON blob as Ollama does: on one line, with a line feed
// at the end.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

// decodeFirst decodes the first JSON value of b, which is to be an object.
func decodeFirst(b []byte, v any) error {
	if start := bytes.TrimLeft(b, " \t\r\n"); len(start) == 0 || start[0] != '{' {
		return errors.New("it is not a JSON object")
	}
	err := json.NewDecoder(bytes.NewReader(b)).Decode(v)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("it is cut off")
	}
	return err
}

func corrupt(what string, err error) error {
	return &storeError{ErrCorrupt, "corrupt " + what, err}
}

// blobName is the file name of a digest: sha256, a colon or hyphen, 64 hexadecimal digits.
func blobName(digest string) (string, error) {
	const prefix, digits = "sha256", 64
	hex := strings.TrimPrefix(digest, prefix)
	if len(digest) != len(prefix)+1+digits || len(hex) != 1+digits ||
		(hex[0] != ':' && hex[0] != '-') {
		return "", fmt.Errorf("digest %.100q is not sha256 and %d hexadecimal digits", digest,
			digits)
	}
	for _, c := range []byte(hex[1:]) {
		if !isHex(c) {
			return "", fmt.Errorf("digest %q has a %q", digest, c)
		}
	}
	return prefix + "-" + hex[1:], nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
