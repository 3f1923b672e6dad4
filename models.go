package mullama

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/store"
)

// StoredModel is a model of the model store.
type StoredModel struct {
	// Name is without host and namespace where they are the default ones, and always with the tag:
	// "smollm2:latest".
	Name         string
	Digest       string // of the manifest's file: 64 hexadecimal digits, whose first 12 are the ID
	Size         int64  // of all layers and the config
	Modified     time.Time
	Details      ModelDetails
	Capabilities []string // of "completion", "tools", "insert", "vision", "embedding", "thinking"

	Path       string   // of the GGUF file; empty for a model in another format or on another host
	Projectors []string // paths
	Adapters   []Adapter
	Draft      string // the path of a smaller model that drafts for this one, or ""

	Template   string // a Go template that the model brings; empty for the one in the GGUF file
	System     string
	Licenses   []string
	Parameters map[string]any // string, float64, bool or, for stop, []string
	Messages   []Message      // to begin each conversation with

	// Renderer and Parser are Ollama's names of how to prompt the model and read its answers. Here
	// the template in the file does that. Requires is the version of Ollama that it needs.
	Renderer, Parser, Requires string

	ThinkStart, ThinkEnd string            // around what it thinks; empty: <think> and </think>
	ToolFormat           map[string]string // what its maker says of calls in the text
	Author               string

	ownTemplate bool // the file has a chat template

	stated map[string]bool    // capabilities that the maker gives or takes
	scales map[string]float32 // of adapters, by the digests of their blobs

	Pinned bool // reserved
}

// ModelDetails describe a model as Ollama's API does.
type ModelDetails struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"`
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
	ContextLength     int      `json:"context_length,omitempty"`
	EmbeddingLength   int      `json:"embedding_length,omitempty"`
}

// List returns the models of the store, newest first. One whose manifest or blobs are damaged is
// left out and logged.
func (r *Runtime) List() ([]StoredModel, error) {
	s, ok := r.catalog.store()
	if !ok {
		return nil, nil
	}
	entries, problems := s.List()
	found, wrong := r.describeAll(s, entries)
	var models []StoredModel
	for i, m := range found {
		if wrong[i] != nil {
			problems = append(problems, fmt.Errorf("%s: %w", entries[i].Name.Short(), wrong[i]))
			continue
		}
		models = append(models, *m)
	}
	for _, err := range problems {
		r.log.Warn("a model of the store is left out", "error", err)
	}
	return models, nil
}

// describeAll reads what belongs to manifests, on all cores: those that are not known yet have
// their files' headers read.
func (r *Runtime) describeAll(s *store.Store, entries []store.Entry) ([]*StoredModel, []error) {
	models, wrong := make([]*StoredModel, len(entries)), make([]error, len(entries))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(len(entries), runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(entries); i = next.Add(1) - 1 {
				models[i], wrong[i] = r.catalog.describe(s, &entries[i])
			}
		})
	}
	wg.Wait()
	return models, wrong
}

// LinkBlob makes a file a blob of the store in a folder without copying it, for a daemon on this
// machine that has the folder. The caller has computed the digest, and says what the file was
// before that. It fails where the file is on another disk.
func LinkBlob(folder, path, digest string, before fs.FileInfo) error {
	return wrap("link "+path, store.New(folder).Link(path, digest, before))
}

// StoredNames returns the names of the models in the folder of a store, in alphabetic order. It
// reads no model and needs no engine; what cannot be read is left out.
func StoredNames(folder string) []string {
	found, _ := store.New(folder).Names()
	names := make([]string, len(found))
	for i, n := range found {
		names[i] = n.Short()
	}
	slices.Sort(names)
	return names
}

// Find returns a model of the store by its name, in any case. The host, the namespace and the tag
// may be left out.
func (r *Runtime) Find(name string) (*StoredModel, error) {
	s, entry, err := r.entry(name)
	if err != nil {
		return nil, err
	}
	m, err := r.catalog.describe(s, entry)
	return m, wrap("read model "+entry.Name.Short(), err)
}

// entry finds the manifest of a name.
func (r *Runtime) entry(name string) (*store.Store, *store.Entry, error) {
	n, err := store.ParseName(name)
	if err != nil {
		return nil, nil, wrap("", err)
	}
	s, ok := r.catalog.store()
	if !ok {
		return nil, nil, notFound(name, store.ErrNotFound)
	}
	entry, err := r.catalog.get(s, n)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, notFound(name, err)
	}
	return s, entry, wrap("read model "+n.Short(), err)
}

// notFound says that there is no model of a name, as the user gave it.
func notFound(name string, err error) error {
	return wrap("", &pathless{fmt.Sprintf("model %q not found", name), err})
}

// Copy gives a model of the store a second name; a model that has that name is replaced.
func (r *Runtime) Copy(src, dst string) error {
	to, err := store.ParseName(dst)
	if err != nil {
		return wrap("", err)
	}
	s, entry, err := r.entry(src)
	if err != nil {
		return err
	}
	_, err = s.Copy(entry.Name, to)
	return wrap(fmt.Sprintf("copy model %s to %s", entry.Name.Short(), to.Short()), err)
}

// Delete removes a model from the store, with the layers that no other model uses.
func (r *Runtime) Delete(name string) error {
	n, err := store.ParseName(name)
	if err != nil {
		return wrap("", err)
	}
	s, ok := r.catalog.store()
	if !ok {
		return notFound(name, store.ErrNotFound)
	}
	err = s.Delete(n)
	if errors.Is(err, store.ErrNotFound) {
		return notFound(name, err)
	}
	return wrap("delete model "+n.Short(), err)
}

// Import puts a GGUF file into the store under a name. The file's content is shared, where the disk
// can do that, else it is a hard link, so that writing to the file damages the model, else a copy.
// Import reads the whole file to compute its digest. A model that has the name is replaced.
func (r *Runtime) Import(ctx context.Context, name, ggufPath string) (*StoredModel, error) {
	n, err := store.ParseName(name)
	if err != nil {
		return nil, wrap("", err)
	}
	s, ok := r.catalog.store()
	if !ok {
		return nil, &Error{Kind: ErrStore, Op: "import " + ggufPath,
			Hint: "set Options.ModelsDir", Err: errors.New("there is no model store")}
	}
	info, f, err := inspect(ggufPath)
	if err != nil {
		return nil, err
	}
	op := "import " + ggufPath
	if reason := notImportable(f); reason != "" {
		return nil, &Error{Kind: ErrUnsupported, Op: op, Err: errors.New(reason)}
	}
	entry, err := writeImport(ctx, s, n, info)
	if err != nil {
		return nil, wrap(op, err)
	}
	m, err := r.catalog.describe(s, entry)
	return m, wrap(op, err)
}

// notImportable says why a GGUF file cannot be a model of the store by itself, or "".
func notImportable(f *gguf.File) string {
	if split, ok := f.Split(); ok {
		return fmt.Sprintf("it is one of %d parts of a model; merge them into one file first, "+
			"with llama-gguf-split --merge", split.Count)
	}
	return notModel(f.String("general.type"), f.Architecture())
}

// notModel says what a file is that is no model but a part of one, or "".
func notModel(kind, architecture string) string {
	switch {
	case kind == "adapter":
		return "it is an adapter, not a model"
	case kind == "mmproj", kind == "projector", architecture == "clip":
		return "it is a projector, not a model"
	}
	return ""
}

// writeImport writes what Ollama's create writes for one GGUF file.
func writeImport(
	ctx context.Context, s *store.Store, n store.Name, info *Info,
) (*store.Entry, error) {
	d := s.Draft()
	defer d.Discard()
	layer, err := d.AddFile(ctx, info.Path, store.TypeModel)
	if err != nil {
		return nil, err
	}
	config, err := d.AddJSON(ctx, configOf(info), store.TypeConfig)
	if err != nil {
		return nil, err
	}
	return d.Commit(n, config, []store.Layer{layer})
}

// parameterSize is a number of parameters as Ollama prints it: "8.0B", "134.52M".
func parameterSize(n int64) string {
	units := []struct {
		size     int64
		decimals int
		letter   string
	}{{1e9, 1, "B"}, {1e6, 2, "M"}, {1e3, 0, "K"}}
	i := slices.IndexFunc(units, func(u struct {
		size     int64
		decimals int
		letter   string
	}) bool {
		return n >= u.size
	})
	if i < 0 {
		return fmt.Sprint(n)
	}
	u := units[i]
	if n%u.size == 0 {
		u.decimals = 0
	}
	return fmt.Sprintf("%.*f%s", u.decimals, float64(n)/float64(u.size), u.letter)
}
