package mullama

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/gotemplate"
	"github.com/mullama/mullama/internal/modelfile"
	"github.com/mullama/mullama/internal/store"
)

// CreateOptions say what a model is made of: another one, or files, with what is put on top. What
// is empty leaves that of the other model as it is.
type CreateOptions struct {
	TransferOptions

	From string // a model; one that is not in the store is pulled
	// Files are GGUF files by name, or those of a model in safetensors with its config.json, as
	// digests of blobs that [Runtime.AddBlob] has put into the store; Adapters are further ones.
	Files, Adapters map[string]string
	AdapterScales   map[string]float32 // how strong Adapters are, by their names; 1 if not said
	Drafts          map[string]string  // at most one: a smaller model that drafts for this one

	Template   string
	System     string
	Licenses   []string
	Parameters map[string]any // numbers, truth values, texts, and lists of texts
	Messages   []Message      // each conversation begins with them

	Renderer, Parser, Requires string
	// Quantize is the type that the model is quantised to, one of [Runtime.QuantizeTypes]. It must
	// be in F32, F16 or BF16.
	Quantize string
	// Imatrix is the digest of a blob, an importance matrix to quantise by.
	Imatrix string
	// QuantizeDraft is the type that the draft model is quantised to, which Drafts name.
	QuantizeDraft string

	ThinkStart, ThinkEnd string            // around what the model thinks
	ToolFormat           map[string]string // of calls in the text; for clients to read
	Capabilities         map[string]bool   // that the model has or has not, whatever its file says
	Author               string
}

// Create makes a model under a name; a model that has it is replaced. A create that is cut off
// leaves nothing. Errors: ErrNotFound, ErrNotGGUF, ErrUnsupported, ErrTemplate, ErrInvalidOption,
// ErrStore, and those of Pull.
func (r *Runtime) Create(ctx context.Context, name string, o *CreateOptions) (*StoredModel, error) {
	op := "create " + name
	n, err := store.ParseName(name)
	if err != nil {
		return nil, wrap("", err)
	}
	s, err := r.needStore(op)
	if err != nil {
		return nil, err
	}
	if err := o.check(op); err != nil {
		return nil, err
	}
	b := &builder{r: r, s: s, o: o, op: op, draft: s.Draft()}
	defer b.draft.Discard()
	if err := b.build(ctx); err != nil {
		return nil, wrap(op, err)
	}
	entry, err := b.commit(ctx, n)
	if err != nil {
		return nil, wrap(op, err)
	}
	m, err := r.catalog.describe(s, entry)
	if err != nil {
		return nil, wrap(op, err)
	}
	o.tell(Progress{Status: "success"})
	return m, nil
}

// check refuses what no model can be made of.
func (o *CreateOptions) check(op string) error {
	switch {
	case o.From == "" && len(o.Files) == 0:
		return invalid(op, "neither from nor files was specified")
	case o.Imatrix != "" && o.Quantize == "":
		return invalid(op, "there is an importance matrix, but no type to quantise to")
	case o.QuantizeDraft != "" && len(o.Drafts) == 0:
		return invalid(op, "there is a type to quantise a draft model to, but no draft model; "+
			"name one with DRAFT in the Modelfile")
	}
	if why := tooNew(o.Requires); why != "" {
		return unsupported(op, why)
	}
	if err := checkTemplate(op, o.Template); err != nil {
		return err
	}
	for _, m := range o.Messages {
		if m.Role != "system" && m.Role != "user" && m.Role != "assistant" {
			return invalid(op, fmt.Sprintf("a message has the role %.40q; it must be system, user "+
				"or assistant", m.Role))
		}
	}
	return nil
}

// checkTemplate parses a template of Go. One in Jinja is checked when the model is loaded.
func checkTemplate(op, text string) error {
	if text == "" || isJinja(text) {
		return nil
	}
	if _, err := gotemplate.Parse(text); err != nil {
		return &Error{Kind: ErrTemplate, Op: op, Err: err}
	}
	return nil
}

// builder makes one model.
type builder struct {
	r     *Runtime
	s     *store.Store
	o     *CreateOptions
	op    string
	draft *store.Draft

	config store.Config
	layers []store.Layer
	fresh  map[string]bool // digests that are not from another model

	converted bool // the model was made from files in safetensors
}

func (b *builder) build(ctx context.Context) error {
	b.fresh = map[string]bool{}
	if b.o.From != "" {
		if err := b.fromModel(ctx); err != nil {
			return err
		}
	}
	if err := b.fromFiles(ctx); err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(b.o.Adapters)) {
		if err := b.file(file, b.o.Adapters[file], true); err != nil {
			return err
		}
	}
	if err := b.fitAdapters(); err != nil {
		return err
	}
	if b.o.Quantize != "" {
		if err := b.quantize(ctx); err != nil {
			return err
		}
	}
	if err := b.drafts(); err != nil {
		return err
	}
	if b.o.QuantizeDraft != "" {
		o := &QuantizeOptions{Type: b.o.QuantizeDraft}
		if _, err := b.quantizeLayer(ctx, b.layerOf(store.TypeDraft), o); err != nil {
			return err
		}
	}
	return b.top(ctx)
}

func (b *builder) modelLayer() int { return b.layerOf(store.TypeModel) }

func (b *builder) layerOf(mediaType string) int {
	return slices.IndexFunc(b.layers, func(l store.Layer) bool { return l.MediaType == mediaType })
}

// fitAdapters refuses adapters that were not made for the model.
func (b *builder) fitAdapters() error {
	if len(b.o.Adapters) == 0 {
		return nil
	}
	path, err := b.draft.Path(b.layers[b.modelLayer()].Digest)
	if err != nil {
		return err
	}
	base, err := readBase(path)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(b.o.Adapters)) {
		if path, err = b.s.BlobPath(b.o.Adapters[name]); err != nil {
			return err
		}
		if err := base.check(b.op, name, path); err != nil {
			return err
		}
	}
	return nil
}

// scales are those of the adapters by their digests.
func (b *builder) scales() (map[string]float32, error) {
	var scales map[string]float32
	for name, scale := range b.o.AdapterScales {
		digest, ok := b.o.Adapters[name]
		if !ok || !isScale(scale) {
			return nil, invalid(b.op, fmt.Sprintf("there is no adapter %s with the scale %g", name,
				scale))
		}
		if scales == nil {
			scales = map[string]float32{}
		}
		scales[strings.Replace(digest, "-", ":", 1)] = scale
	}
	return scales, nil
}

// fromModel takes the layers of another model.
func (b *builder) fromModel(ctx context.Context) error {
	n, err := store.ParseName(b.o.From)
	if err != nil {
		return err
	}
	entry, err := b.s.Get(n)
	if errors.Is(err, store.ErrNotFound) {
		transfer := b.o.TransferOptions
		transfer.Progress = func(p Progress) {
			if p.Status != "success" { // there is more to do
				b.o.tell(p)
			}
		}
		if _, err = b.r.Pull(ctx, b.o.From, &transfer); err == nil {
			entry, err = b.s.Get(n)
		}
	}
	if err != nil {
		return err
	}
	config, err := b.s.ReadConfig(entry.Manifest)
	if err != nil {
		return err
	}
	b.config = *config
	for _, l := range entry.Manifest.Layers {
		from := l.From
		if l.MediaType == store.TypeModel {
			from = entry.Name.Short()
		}
		if l, err = b.draft.AddLayer(l, from); err != nil {
			return err
		}
		b.layers = append(b.layers, l)
	}
	return nil
}

// fromFiles takes GGUF files: one model, unless it is another one's, and projectors.
func (b *builder) fromFiles(ctx context.Context) error {
	if isPublished(b.o.Files) {
		if err := b.convert(ctx); err != nil {
			return err
		}
	} else if err := b.fromGGUF(); err != nil {
		return err
	}
	models := 0
	for _, l := range b.layers {
		if l.MediaType == store.TypeModel {
			models++
		}
	}
	if models != 1 {
		return invalid(b.op, fmt.Sprintf("it is made of %d models; give one model or file", models))
	}
	return nil
}

func (b *builder) fromGGUF() error {
	for _, file := range slices.Sorted(maps.Keys(b.o.Files)) {
		if err := b.file(file, b.o.Files[file], false); err != nil {
			return err
		}
	}
	return nil
}

// file adds a GGUF file that is a blob.
func (b *builder) file(name, digest string, adapter bool) error {
	path, err := b.s.BlobPath(digest)
	if err != nil {
		return invalid(b.op, err.Error())
	}
	if lower := strings.ToLower(name); strings.HasSuffix(lower, ".safetensors") {
		return unsupported(b.op, name+" is in safetensors; adapters have to be converted to "+
			"GGUF first")
	}
	b.o.tell(Progress{Status: "parsing GGUF"})
	info, f, err := inspect(path)
	if err != nil {
		return b.withoutPath(name, path, err)
	}
	l := store.Layer{MediaType: store.TypeModel, Digest: strings.Replace(digest, "-", ":", 1),
		Size: info.SizeBytes}
	switch kind := f.String("general.type"); {
	case kind == "adapter" != adapter:
		return invalid(b.op, fmt.Sprintf("%s is %s", name, map[bool]string{
			true: "no adapter", false: "an adapter; add it as one to a model"}[adapter]))
	case adapter:
		l.MediaType = store.TypeAdapter
		if slices.ContainsFunc(b.layers, func(has store.Layer) bool {
			return has.MediaType == l.MediaType && has.Digest == l.Digest
		}) {
			return nil // the other model has it
		}
	case kind == "mmproj" || kind == "projector" || f.Architecture() == "clip":
		l.MediaType = store.TypeProjector
	default:
		if reason := notImportable(f); reason != "" {
			return unsupported(b.op, name+": "+reason)
		}
		b.config = configOf(info)
	}
	return b.addFile(l.Digest, l.MediaType, l.Size)
}

// addFile adds a blob that is there as a layer.
func (b *builder) addFile(digest, mediaType string, size int64) error {
	l, err := b.draft.AddLayer(store.Layer{MediaType: mediaType, Size: size,
		Digest: strings.Replace(digest, "-", ":", 1)}, "")
	if err != nil {
		return err
	}
	b.fresh[l.Digest] = true
	b.layers = append(b.layers, l)
	return nil
}

// withoutPath calls a file by its name, not by where the store has it.
func (b *builder) withoutPath(name, path string, err error) error {
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		return err
	}
	return &Error{Kind: e.Kind, Op: b.op, Hint: e.Hint,
		Err: &pathless{name + ": " + plainCause(e, path), e.Err}}
}

// plainCause is what is wrong with a file, without where the store has it.
func plainCause(e *Error, path string) string {
	return strings.ReplaceAll(strings.ReplaceAll(e.Err.Error(), path+": ", ""), path, "the file")
}

// configOf describes a model as Ollama does.
func configOf(info *Info) store.Config {
	quantization := info.Quantization
	if quantization == "" {
		quantization = "unknown"
	}
	return store.Config{
		ModelFormat:   "gguf",
		ModelFamily:   info.Architecture,
		ModelFamilies: []string{info.Architecture},
		ModelType:     parameterSize(info.Parameters),
		FileType:      quantization,
		Architecture:  "amd64",
		OS:            "linux",
	}
}

// top puts on what the options say beside the files.
func (b *builder) top(ctx context.Context) error {
	for _, text := range []struct{ mediaType, text string }{
		{store.TypeTemplate, b.o.Template}, {store.TypeSystem, b.o.System},
	} {
		if text.text == "" {
			continue
		}
		b.remove(text.mediaType)
		if text.mediaType == store.TypeTemplate {
			b.remove(store.TypePrompt)
		}
		if err := b.add(ctx, text.text, text.mediaType); err != nil {
			return err
		}
	}
	for _, license := range b.o.Licenses {
		if err := b.add(ctx, license, store.TypeLicense); err != nil {
			return err
		}
	}
	if err := b.parameters(ctx); err != nil {
		return err
	}
	if len(b.o.Messages) > 0 {
		var messages []modelfile.Message
		for _, m := range b.o.Messages {
			messages = append(messages, modelfile.Message{Role: m.Role, Content: m.Content})
		}
		b.remove(store.TypeMessages)
		if err := b.addJSON(ctx, messages, store.TypeMessages); err != nil {
			return err
		}
	}
	for _, text := range []struct {
		into *string
		text string
	}{{&b.config.Renderer, b.o.Renderer}, {&b.config.Parser, b.o.Parser},
		{&b.config.Requires, b.o.Requires}} {
		if text.text != "" {
			*text.into = text.text
		}
	}
	return b.extras(ctx)
}

// parameters merges those of the options into those that the other model has.
func (b *builder) parameters(ctx context.Context) error {
	if len(b.o.Parameters) == 0 {
		return nil
	}
	all := map[string]any{}
	if err := b.readJSON(store.TypeParams, &all); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(b.o.Parameters)) {
		value, err := checkParameter(name, b.o.Parameters[name])
		if err != nil {
			return invalid(b.op, err.Error())
		}
		all[name] = value
	}
	b.remove(store.TypeParams)
	return b.addJSON(ctx, all, store.TypeParams)
}

// checkParameter looks at a parameter as JSON has it.
func checkParameter(name string, value any) (any, error) {
	switch v := value.(type) {
	case []string:
		return modelfile.ParseParameter(name, v)
	case []any:
		var texts []string
		for _, item := range v {
			texts = append(texts, fmt.Sprint(item))
		}
		if len(texts) == 0 {
			return texts, nil
		}
		return modelfile.ParseParameter(name, texts)
	case map[string]any:
		return nil, fmt.Errorf("parameter %.40q is an object; give a value", name)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("parameter %.40q: %w", name, err)
	}
	if s, ok := value.(string); ok {
		text = []byte(s)
	}
	return modelfile.ParseParameter(name, []string{string(text)})
}

// extras merges what Ollama's models have no place for.
func (b *builder) extras(ctx context.Context) error {
	given := modelfile.Extras{ThinkStart: b.o.ThinkStart, ThinkEnd: b.o.ThinkEnd,
		ToolFormat: b.o.ToolFormat, Capabilities: b.o.Capabilities, Author: b.o.Author}
	var err error
	if given.AdapterScales, err = b.scales(); err != nil {
		return err
	}
	if given.IsEmpty() {
		return nil
	}
	var all modelfile.Extras
	if err := b.readJSON(store.TypeExtras, &all); err != nil {
		return err
	}
	text, err := json.Marshal(given)
	if err == nil {
		err = json.Unmarshal(text, &all) // what is given replaces what was there
	}
	if err != nil {
		return err
	}
	b.remove(store.TypeExtras)
	return b.addJSON(ctx, all, store.TypeExtras)
}

// readJSON reads the layer of a type, if there is one.
func (b *builder) readJSON(mediaType string, into any) error {
	for _, l := range b.layers {
		if l.MediaType != mediaType {
			continue
		}
		text, err := b.s.ReadBlob(l)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, into)
	}
	return nil
}

func (b *builder) remove(mediaType string) {
	b.layers = slices.DeleteFunc(b.layers, func(l store.Layer) bool {
		return l.MediaType == mediaType
	})
}

func (b *builder) add(ctx context.Context, text, mediaType string) error {
	l, err := b.draft.Add(ctx, strings.NewReader(text), mediaType)
	same := func(has store.Layer) bool {
		return has.MediaType == l.MediaType && has.Digest == l.Digest
	}
	if err == nil && !slices.ContainsFunc(b.layers, same) {
		b.fresh[l.Digest] = true
		b.layers = append(b.layers, l)
	}
	return err
}

func (b *builder) addJSON(ctx context.Context, value any, mediaType string) error {
	text, err := store.Encode(value)
	if err != nil {
		return err
	}
	return b.add(ctx, string(text), mediaType)
}

// commit writes the model.
func (b *builder) commit(ctx context.Context, n store.Name) (*store.Entry, error) {
	config, err := b.draft.AddJSON(ctx, b.config, store.TypeConfig)
	if err != nil {
		return nil, err
	}
	for _, l := range append(slices.Clone(b.layers), config) {
		status := "using existing layer "
		if b.fresh[l.Digest] || l.Digest == config.Digest {
			status = "creating new layer "
		}
		b.o.tell(Progress{Status: status + l.Digest})
	}
	b.o.tell(Progress{Status: "writing manifest"})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return b.draft.Commit(n, config, b.layers)
}
