package mullama

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/gguf"
)

// Adapter is a LoRA adapter to load with a model.
type Adapter struct {
	Path string `json:"path"` // of a GGUF file
	// Scale is how strong it is for calls that do not say it. Nil: 1; 0: it is not applied.
	Scale *float32 `json:"scale,omitempty"`
}

// AdapterScale says how strong an adapter of a model is.
type AdapterScale struct {
	ID    int     `json:"id"` // its place in LoadOptions.Adapters, from 0
	Scale float32 `json:"scale"`
}

// LoadedAdapter is an adapter of a model.
type LoadedAdapter struct {
	ID    int
	Name  string // what its file says, or the name of the file
	Path  string
	Scale float32 // for calls that do not say it
}

const maxAdapters = 64

func (a *Adapter) scale() float32 {
	if a.Scale == nil {
		return 1
	}
	return *a.Scale
}

// adapterScales are the scales of a model's adapters for calls that do not give any.
type adapterScales struct {
	loaded []LoadedAdapter

	mu     sync.Mutex // guards scales
	scales []float32
}

func newAdapterScales(adapters []Adapter) *adapterScales {
	s := &adapterScales{}
	for i, a := range adapters {
		s.loaded = append(s.loaded, LoadedAdapter{ID: i, Name: adapterName(a.Path), Path: a.Path})
		s.scales = append(s.scales, a.scale())
	}
	return s
}

func (s *adapterScales) current() []float32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.scales)
}

// with are the scales that a list gives; those of adapters that are not in it are 0.
func (s *adapterScales) with(op string, list []AdapterScale) ([]float32, error) {
	scales := make([]float32, len(s.loaded))
	for _, a := range list {
		if a.ID < 0 || a.ID >= len(scales) {
			return nil, invalid(op, fmt.Sprintf("there is no adapter %d; the model has %s",
				a.ID, countAdapters(len(scales))))
		}
		if !isScale(a.Scale) {
			return nil, invalid(op, fmt.Sprintf("the scale of adapter %d is %g; it must be a "+
				"finite number", a.ID, a.Scale))
		}
		scales[a.ID] = a.Scale
	}
	return scales, nil
}

func countAdapters(n int) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return "one, number 0"
	}
	return fmt.Sprintf("those from 0 to %d", n-1)
}

func isScale(scale float32) bool { return !math.IsNaN(float64(scale)) && scale-scale == 0 }

// Adapters lists the LoRA adapters that the model was loaded with. That of a daemon's model are
// not known here.
func (m *Model) Adapters() []LoadedAdapter {
	s := m.shared.adapters
	if s == nil {
		return nil
	}
	all := slices.Clone(s.loaded)
	for i, scale := range s.current() {
		all[i].Scale = scale
	}
	return all
}

// SetAdapters changes the scales for calls that do not give any, which is for all who use the
// model; adapters that are not in the list are not applied. Embeddings keep the scales of the load.
func (m *Model) SetAdapters(list []AdapterScale) error {
	const op = "set adapters"
	if m.remote != nil {
		return unsupported(op, "the adapters of a daemon's model are set there")
	}
	if err := m.enter(op); err != nil {
		return err
	}
	defer m.calls.Done()
	s := m.shared.adapters
	scales, err := s.with(op, list)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scales = scales
	return nil
}

// adaptersFor are those of a call.
func (m *Model) adaptersFor(op string, list []AdapterScale) (engine.Adapters, error) {
	s := m.shared.adapters
	if len(list) == 0 {
		return engine.NewAdapters(s.current()), nil
	}
	scales, err := s.with(op, list)
	return engine.NewAdapters(scales), err
}

// checkAdapters refuses adapters that no model can have.
func (o *LoadOptions) checkAdapters(op string) error {
	if len(o.Adapters) > maxAdapters {
		return invalid(op, fmt.Sprintf("there are %d adapters; a model takes %d", len(o.Adapters),
			maxAdapters))
	}
	for _, a := range o.Adapters {
		if !isScale(a.scale()) {
			return invalid(op, fmt.Sprintf("the scale of adapter %s is %g; it must be a finite "+
				"number", a.Path, a.scale()))
		}
	}
	return o.checkControl(op)
}

// adapterPaths are the files of the adapters.
func (o *LoadOptions) adapterPaths() (paths []string) {
	for _, a := range o.Adapters {
		paths = append(paths, a.Path)
	}
	return paths
}

// fitAdapters reads the adapters' headers and refuses those that were not made for the model.
func (o *LoadOptions) fitAdapters(op, model string) error {
	if len(o.Adapters) == 0 {
		return nil
	}
	base, err := readBase(model)
	if err != nil {
		return err
	}
	for _, a := range o.Adapters {
		if err := base.check(op, a.Path, a.Path); err != nil {
			return err
		}
	}
	return nil
}

// check is fits for a file, which the error calls by a name.
func (b *baseModel) check(op, name, path string) error {
	f, err := gguf.Open(path)
	if err != nil {
		return wrap(op, fmt.Errorf("adapter %s: %w", name, withoutPath(err, path)))
	}
	if err := b.fits(f); err != nil {
		return invalid(op, fmt.Sprintf("adapter %s: %s", name, err))
	}
	return nil
}

// adapterName is what an adapter's file says, or the name of the file.
func adapterName(path string) string {
	if info, _, err := inspect(path); err == nil {
		return info.Name
	}
	return path
}

// baseModel is what an adapter must fit.
type baseModel struct {
	path, arch, name string
	tensors          map[string]*gguf.Tensor
}

func readBase(path string) (*baseModel, error) {
	b := &baseModel{path: path, tensors: map[string]*gguf.Tensor{}}
	parts := gguf.SplitPaths(path)
	if len(parts) == 0 {
		parts = []string{path}
	}
	for i, part := range parts {
		f, err := gguf.Open(part)
		if err != nil {
			return nil, wrap("read "+part, withoutPath(err, part))
		}
		if i == 0 {
			b.arch, b.name = f.Architecture(), f.String("general.name")
		}
		for t := range f.Tensors {
			b.tensors[f.Tensors[t].Name] = &f.Tensors[t]
		}
	}
	return b, nil
}

// fits reports why an adapter cannot be applied to the model. llama.cpp looks at some of this, and
// ends the process over the rest.
func (b *baseModel) fits(f *gguf.File) error {
	if kind := f.String("general.type"); kind != "adapter" {
		return errors.New("it is no adapter; its general.type is not \"adapter\"")
	}
	if kind := f.String("adapter.type"); kind != "lora" {
		return fmt.Errorf("it is an adapter of type %q; only lora is known", kind)
	}
	if v, ok := f.Value("adapter.lora.alpha"); ok {
		if alpha, _ := v.Float(); v.Type != gguf.TypeFloat32 || !isScale(float32(alpha)) {
			return fmt.Errorf("malformed: its adapter.lora.alpha is the %s %v; it must be a "+
				"finite float32", v.Type, alpha)
		}
	}
	if _, ok := f.Value("adapter.alora.invocation_tokens"); ok {
		return errors.New("it is an activated LoRA (aLoRA), which is not supported")
	}
	if arch := f.Architecture(); arch != b.arch {
		return b.wrongModel(f, "of architecture "+arch, "of architecture "+b.arch)
	}
	pairs, err := adapterPairs(f)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		if err := b.fitsPair(f, name, pairs[name]); err != nil {
			return err
		}
	}
	return nil
}

// wrongModel names both the model that an adapter is for and the one that it is to be used with.
func (b *baseModel) wrongModel(f *gguf.File, theirs, ours string) error {
	made := cmp.Or(f.String("general.base_model.0.name"), "another model")
	name := cmp.Or(b.name, b.path)
	if made == name {
		made = "another " + made
	}
	return fmt.Errorf("it was made for %s, %s, and not for %s, %s", made, theirs, name, ours)
}

// adapterPair are the two matrices for one of the model.
type adapterPair struct{ a, b *gguf.Tensor }

func adapterPairs(f *gguf.File) (map[string]adapterPair, error) {
	pairs := map[string]adapterPair{}
	for i := range f.Tensors {
		t := &f.Tensors[i]
		name, isA := strings.CutSuffix(t.Name, ".lora_a")
		switch {
		case isA:
			pairs[name] = adapterPair{t, pairs[name].b}
		case strings.HasSuffix(t.Name, ".lora_b"):
			name = strings.TrimSuffix(t.Name, ".lora_b")
			pairs[name] = adapterPair{pairs[name].a, t}
		case strings.HasSuffix(t.Name, "_norm.weight"): // llama.cpp passes over them
		default:
			return nil, fmt.Errorf("malformed: its tensor %q is no part of an adapter", t.Name)
		}
		if e, _ := t.Type.Block(); e == 1 && !slices.Contains(plainFloats, t.Type) {
			return nil, fmt.Errorf("malformed: its tensor %q is of type %s", t.Name, t.Type)
		}
	}
	if len(pairs) == 0 {
		return nil, errors.New("it has no tensors")
	}
	return pairs, nil
}

var plainFloats = []gguf.TensorType{gguf.F32, gguf.F16, gguf.BF16}

func (b *baseModel) fitsPair(f *gguf.File, name string, p adapterPair) error {
	if p.a == nil || p.b == nil {
		return fmt.Errorf("malformed: it has but one of the two matrices for %q", name)
	}
	if strings.Contains(name, ".lora_") {
		return fmt.Errorf("malformed: its tensor %q is no part of an adapter", p.a.Name)
	}
	t := b.tensors[name]
	if t == nil {
		return b.wrongModel(f, fmt.Sprintf("with a tensor %q", name), "without it")
	}
	if t.Type == gguf.NVFP4 {
		return fmt.Errorf("the model's %s is of type NVFP4, which takes no adapter", name)
	}
	dims := func(t *gguf.Tensor) [4]uint64 {
		d := [4]uint64{1, 1, 1, 1}
		copy(d[:], t.Dims)
		return d
	}
	base, a, bb := dims(t), dims(p.a), dims(p.b)
	fits := base[0] == a[0] && base[1] == bb[1] && a[1] == bb[0]
	table := strings.HasSuffix(name, "token_embd.weight")
	if table { // A and B are the other way round
		fits = base[0] == bb[1] && base[1] == a[1] && a[0] == bb[0]
	}
	if fits && base[2] == a[2] && base[2] == bb[2] && base[3] == a[3] && base[3] == bb[3] {
		if table && b.tensors["output.weight"] == nil { // it would be used there, too: an abort
			return errors.New("it changes the table of tokens, which llama.cpp cannot do for a " +
				"model whose output has the same table")
		}
		return nil
	}
	return b.wrongModel(f, fmt.Sprintf("with %v times %v in %s", p.a.Dims, p.b.Dims, name),
		fmt.Sprintf("with %v there", t.Dims))
}

// onWire are adapters as a request has them.
func adaptersOnWire(list []AdapterScale) json.RawMessage {
	text, err := json.Marshal(list)
	if err != nil {
		return json.RawMessage("null") // a scale that check refuses
	}
	return text
}
