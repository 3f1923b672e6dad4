package mullama

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/template/parse"
	"time"

	"github.com/mullama/mullama/internal/gotemplate"
	"github.com/mullama/mullama/internal/modelfile"
	"github.com/mullama/mullama/internal/store"
)

// catalog describes the models of a store. It remembers what it has read, because a vocabulary
// takes long to look through: by the digest of the manifest, for as long as the model's file is the
// same.
type catalog struct {
	dir     string // empty: no store
	headers headers

	mu    sync.Mutex
	known map[string]described
	found map[store.Name]*store.Entry // manifests that were read
}

// get returns the manifest of a name. Every request asks for one, so it is read again only when its
// file has changed.
func (c *catalog) get(s *store.Store, n store.Name) (*store.Entry, error) {
	c.mu.Lock()
	e := c.found[n]
	c.mu.Unlock()
	if e != nil {
		if file, err := os.Stat(e.File); err == nil && file.ModTime().Equal(e.Modified) {
			return e, nil
		}
	}
	e, err := s.Get(n)
	if err != nil {
		return nil, err
	}
	const most = 1000 // names that are spelled in many ways
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found == nil || len(c.found) >= most {
		c.found = map[store.Name]*store.Entry{}
	}
	c.found[n] = e
	return e, nil
}

// described is a model but for its name and time.
type described struct {
	model StoredModel
	size  int64 // of the file at model.Path
	when  time.Time
}

func (c *catalog) store() (*store.Store, bool) {
	if c.dir == "" {
		return nil, false
	}
	return store.New(c.dir), true
}

// describe reads what belongs to a manifest.
func (c *catalog) describe(s *store.Store, e *store.Entry) (*StoredModel, error) {
	if m, ok := c.recall(e); ok {
		return m, nil
	}
	config, err := s.ReadConfig(e.Manifest)
	if err != nil {
		return nil, err
	}
	m := &StoredModel{
		Digest: e.Digest,
		Size:   e.Manifest.Size(),
		Details: ModelDetails{
			Format:            config.ModelFormat,
			Family:            config.ModelFamily,
			Families:          config.ModelFamilies,
			ParameterSize:     config.ModelType,
			QuantizationLevel: config.FileType,
			ContextLength:     config.ContextLength,
			EmbeddingLength:   config.EmbeddingLength,
		},
		Renderer: config.Renderer, Parser: config.Parser, Requires: config.Requires,
	}
	for _, l := range e.Manifest.Layers {
		if err := m.addLayer(s, l); err != nil {
			return nil, err
		}
	}
	m.scaleAdapters()
	if format := m.Details.Format; format != "" && format != "gguf" {
		m.Path = "" // a format that the engine does not read
	}
	d, found := described{}, (*header)(nil)
	if m.Path != "" {
		file, err := os.Stat(m.Path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: blob %s is missing", store.ErrCorrupt,
				filepath.Base(m.Path))
		}
		if err != nil {
			return nil, err
		}
		d.size, d.when = file.Size(), file.ModTime()
		if found, err = c.headers.of(c.dir, m.Path, file); err != nil {
			return nil, fmt.Errorf("%w: %s", store.ErrCorrupt, err.Error()) // no wrong argument
		}
	}
	m.addHeader(found, config.Capabilities)
	d.model = *m
	c.mu.Lock()
	if c.known == nil {
		c.known = map[string]described{}
	}
	c.known[e.Digest] = d
	c.mu.Unlock()
	return d.of(e), nil
}

// recall returns a model that was read before.
func (c *catalog) recall(e *store.Entry) (*StoredModel, bool) {
	c.mu.Lock()
	d, ok := c.known[e.Digest]
	c.mu.Unlock()
	if !ok {
		return nil, false
	}
	if d.model.Path != "" {
		file, err := os.Stat(d.model.Path)
		if err != nil || file.Size() != d.size || !file.ModTime().Equal(d.when) {
			return nil, false
		}
	}
	return d.of(e), true
}

// of returns the model under a name, sharing nothing that a caller could change.
func (d *described) of(e *store.Entry) *StoredModel {
	m := d.model
	m.Name, m.Modified = e.Name.Short(), e.Modified
	m.Details.Families = slices.Clone(m.Details.Families)
	m.Capabilities = slices.Clone(m.Capabilities)
	m.Projectors, m.Adapters = slices.Clone(m.Projectors), slices.Clone(m.Adapters)
	m.Licenses = slices.Clone(m.Licenses)
	m.Parameters = maps.Clone(m.Parameters)
	m.Messages = slices.Clone(m.Messages)
	m.ToolFormat, m.stated = maps.Clone(m.ToolFormat), maps.Clone(m.stated)
	return &m
}

// addLayer takes in what one layer holds. Types that are not known say nothing that we use.
func (m *StoredModel) addLayer(s *store.Store, l store.Layer) error {
	path, err := s.BlobPath(l.Digest)
	if err != nil {
		return err
	}
	switch l.MediaType {
	case store.TypeModel:
		m.Path, m.Details.ParentModel = path, l.From
		return nil
	case store.TypeProjector:
		m.Projectors = append(m.Projectors, path)
		return nil
	case store.TypeAdapter:
		m.Adapters = append(m.Adapters, Adapter{Path: path})
		return nil
	case store.TypeDraft:
		m.Draft = path
		return nil
	case store.TypeTemplate, store.TypePrompt, store.TypeSystem, store.TypeLicense,
		store.TypeParams, store.TypeMessages, store.TypeExtras:
	default:
		return nil
	}
	b, err := s.ReadBlob(l)
	if err != nil {
		return err
	}
	switch l.MediaType {
	case store.TypeTemplate, store.TypePrompt:
		m.Template = string(b)
	case store.TypeSystem:
		m.System = string(b)
	case store.TypeLicense:
		m.Licenses = append(m.Licenses, string(b))
	case store.TypeParams:
		m.Parameters, err = parseParameters(b)
	case store.TypeMessages:
		m.Messages, err = parseMessages(b)
	case store.TypeExtras:
		err = m.addExtras(b)
	}
	if err != nil {
		return fmt.Errorf("%w: layer %s: %w", store.ErrCorrupt, l.Digest, err)
	}
	return nil
}

// addExtras takes in what Ollama's models have no place for. Capabilities are put in order when the
// file is known.
func (m *StoredModel) addExtras(b []byte) error {
	var extras modelfile.Extras
	if err := json.Unmarshal(b, &extras); err != nil {
		return err
	}
	m.ThinkStart, m.ThinkEnd, m.Author = extras.ThinkStart, extras.ThinkEnd, extras.Author
	m.ToolFormat, m.stated = extras.ToolFormat, extras.Capabilities
	m.scales = extras.AdapterScales
	return nil
}

// scaleAdapters gives adapters the scales that the extras have for their blobs.
func (m *StoredModel) scaleAdapters() {
	for i := range m.Adapters {
		a := &m.Adapters[i]
		digest := strings.Replace(filepath.Base(a.Path), "-", ":", 1)
		if scale, ok := m.scales[digest]; ok && isScale(scale) {
			a.Scale = &scale
		}
	}
}

// addHeader takes in what the GGUF file says, if there is one, and derives the capabilities. Those
// of the config are of a model on another host, or stated by whoever made the model.
func (m *StoredModel) addHeader(h *header, stated []string) {
	add := func(capabilities ...string) {
		for _, c := range capabilities {
			if c != "" && !slices.Contains(m.Capabilities, c) {
				m.Capabilities = append(m.Capabilities, c)
			}
		}
	}
	add(stated...)
	if h != nil {
		add(h.Capabilities...)
		m.Details.fill(h)
		m.ownTemplate = h.Template
	}
	add(templateCapabilities(m.Template)...)
	add(families[m.Parser].capabilities()...)
	if len(m.Projectors) > 0 {
		add("vision")
	}
	for _, c := range slices.Sorted(maps.Keys(m.stated)) {
		if m.stated[c] {
			add(c)
			continue
		}
		m.Capabilities = slices.DeleteFunc(m.Capabilities, func(has string) bool {
			return has == c
		})
	}
}

// fill adds what a config left out.
func (d *ModelDetails) fill(info *header) {
	if d.Format == "" {
		d.Format = "gguf"
	}
	if d.Family == "" {
		d.Family = info.Architecture
	}
	if len(d.Families) == 0 {
		d.Families = []string{d.Family}
	}
	if d.ParameterSize == "" {
		d.ParameterSize = parameterSize(info.Parameters)
	}
	if d.QuantizationLevel == "" || d.QuantizationLevel == "unknown" && info.Quantization != "" {
		d.QuantizationLevel = info.Quantization
	}
	if d.ContextLength == 0 {
		d.ContextLength = info.ContextLength
	}
	if d.EmbeddingLength == 0 {
		d.EmbeddingLength = info.EmbeddingLength
	}
}

// parseParameters reads a params layer. Values that no parameter has are left out.
func parseParameters(b []byte) (map[string]any, error) {
	var raw map[string]any
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, err
	}
	for key, value := range raw {
		switch v := value.(type) {
		case bool, float64:
		case string:
			if key == "stop" {
				raw[key] = []string{v}
			}
		case []any:
			var texts []string
			for _, x := range v {
				if text, ok := x.(string); ok {
					texts = append(texts, text)
				}
			}
			raw[key] = texts
		default:
			delete(raw, key)
		}
	}
	return raw, nil
}

// parseMessages reads a messages layer, which is in the form of Ollama's API.
func parseMessages(b []byte) ([]Message, error) {
	var raw []struct {
		Role, Content, Thinking string
		ToolName                string `json:"tool_name"`
		ToolCallID              string `json:"tool_call_id"`
		ToolCalls               []struct {
			ID       string
			Function struct {
				Name      string
				Arguments json.RawMessage
			}
		} `json:"tool_calls"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, err
	}
	var messages []Message
	for _, r := range raw {
		m := Message{Role: r.Role, Content: r.Content, Thinking: r.Thinking, Name: r.ToolName,
			ToolCallID: r.ToolCallID}
		for _, c := range r.ToolCalls {
			f := FunctionCall{Name: c.Function.Name, Arguments: string(c.Function.Arguments)}
			m.ToolCalls = append(m.ToolCalls, ToolCall{ID: c.ID, Type: "function", Function: f})
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// templateCapabilities tells by the variables that a Go template uses what it can render. One that
// does not parse can render nothing.
func templateCapabilities(text string) []string {
	if text == "" {
		return nil
	}
	tree := parse.New("template")
	tree.Mode = parse.SkipFuncCheck
	set := map[string]*parse.Tree{}
	if _, err := tree.Parse(text, "", "", set); err != nil {
		return nil
	}
	var fields []string
	for _, t := range set {
		collectFields(t.Root, &fields)
	}
	var caps []string
	for _, c := range []struct{ field, capability string }{
		{"tools", "tools"}, {"suffix", "insert"}, {"thinking", "thinking"},
	} {
		if slices.Contains(fields, c.field) {
			caps = append(caps, c.capability)
		}
	}
	return caps
}

// collectFields gathers the names of fields in a template, in lower case.
func collectFields(node parse.Node, fields *[]string) {
	add := func(names []string) {
		for _, n := range names {
			*fields = append(*fields, strings.ToLower(n))
		}
	}
	gotemplate.Walk(node, func(node parse.Node) {
		switch n := node.(type) {
		case *parse.FieldNode:
			add(n.Ident)
		case *parse.VariableNode:
			add(n.Ident[1:])
		case *parse.ChainNode:
			add(n.Field)
		}
	})
}
