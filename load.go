package mullama

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/llama"
)

// DefaultContextSize is the context of a model that is loaded without a ContextSize, or the model's
// own length if that is shorter.
const DefaultContextSize = 4096

// DefaultSlots is how many calls a Model serves at once unless Slots says otherwise.
const DefaultSlots = 4

// LoadOptions say how a model is loaded. The zero value is ready to use. In JSON they have the
// names of the commands' flags.
type LoadOptions struct {
	// ContextSize is the most tokens of one call, prompt and answer together. 0:
	// DefaultContextSize.
	ContextSize int `json:"ctx_size,omitempty"`
	// Slots is how many calls are computed at once; more wait. 0: DefaultSlots.
	Slots int `json:"slots,omitempty"`
	// KVLayout says how the slots share the KV cache: "unified", all take cells from one pool, or
	// "split", each has ContextSize cells of its own, which is faster with many calls at once and
	// keeps more prefixes. "auto" (or ""): split for 4 slots or more where it fits in an eighth of
	// the free memory, but not for models with a sliding window or a recurrent state.
	KVLayout string `json:"kv_layout,omitempty"`
	// CacheTokens is the size of the pool of a unified KV cache. 0: ContextSize. Calls that do not
	// fit together take turns.
	CacheTokens int `json:"cache_tokens,omitempty"`

	// BatchSize is the most tokens of a step, and UBatchSize those computed at once. 0: 2048, and
	// 512 or, with layers on a GPU that has room for it, 2048.
	BatchSize  int `json:"batch_size,omitempty"`
	UBatchSize int `json:"ubatch_size,omitempty"`
	// Threads compute answers and BatchThreads prompts. 0: one per physical core.
	Threads      int `json:"threads,omitempty"`
	BatchThreads int `json:"threads_batch,omitempty"`

	// GPULayers is how many layers are on GPUs, -1 all; nil: as many as fit in their free memory
	// but for FitMargin bytes of each (0: 1 GiB, or an eighth of the GPU). SplitMode says how
	// several GPUs share them: "none", "layer", "row", "tensor"; "" is one GPU if all fits there,
	// else "layer". TensorSplit is the share of each, nil: by free memory. See Plan for the result.
	GPULayers   *int      `json:"gpu_layers,omitempty"`
	FitMargin   uint64    `json:"fit_margin,omitempty"`
	MainGPU     int       `json:"main_gpu,omitempty"`
	SplitMode   string    `json:"split_mode,omitempty"`
	TensorSplit []float32 `json:"tensor_split,omitempty"`
	// Devices are the names of those to use; nil: all. TensorBuffers, "regex=buffer type", are
	// tensors to keep elsewhere.
	Devices       []string `json:"device,omitempty"`
	TensorBuffers []string `json:"override_tensor,omitempty"`

	// RPC are other machines, as host:port, on which `mullama rpc-server` runs: their devices come
	// before those of this one, unless GPULayers is 0. What is sent to them is not encrypted.
	RPC []string `json:"rpc,omitempty"`

	// LoadMode says how the file comes into memory: "auto" (or ""), "mmap", "read", "mlock" (read
	// and keep in RAM), "mmap+mlock", "direct" (past the page cache).
	LoadMode string `json:"load_mode,omitempty"`
	// NoRepack leaves the weights as they are in the file. Otherwise a CPU with instructions for
	// whole matrices has them packed anew, which is faster and rounds otherwise.
	NoRepack bool `json:"no_repack,omitempty"`
	// CheckTensors looks for invalid numbers in the weights.
	CheckTensors bool `json:"check_tensors,omitempty"`
	// VocabOnly loads only the vocabulary: the model tokenizes and renders chats, no more.
	VocabOnly bool `json:"vocab_only,omitempty"`

	// KVTypeK and KVTypeV are the types of the KV cache: "f16" (or ""), "bf16", "f32", "q8_0",
	// "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl".
	KVTypeK string `json:"cache_type_k,omitempty"`
	KVTypeV string `json:"cache_type_v,omitempty"`

	FlashAttention string `json:"flash_attn,omitempty"` // "auto" (or ""), "on", "off"

	// RoPEFreqBase and RoPEFreqScale are the model's where they are 0.
	RoPEFreqBase  float32 `json:"rope_freq_base,omitempty"`
	RoPEFreqScale float32 `json:"rope_freq_scale,omitempty"`
	// Overrides replace metadata: "key=type:value" with type int, float, bool or str.
	Overrides []string `json:"override_kv,omitempty"`

	// Adapters are LoRA adapters, and ControlVectors are added to the outputs of the layers from
	// ControlLayers[0] to ControlLayers[1]; 0, 0: all layers.
	Adapters       []Adapter       `json:"lora,omitempty"`
	ControlVectors []ControlVector `json:"control_vector,omitempty"`
	ControlLayers  [2]int          `json:"control_vector_layers,omitzero"`

	// Draft is a smaller model with the same vocabulary, a file or a name of the store. It guesses
	// up to DraftTokens tokens (0: 3, NoDraft: none) for each call, which this model then computes
	// in one step: the text is its own, and comes sooner where the guesses are right. Guesses end
	// at a token less likely than DraftProbability, and fewer than DraftLeast are dropped.
	Draft            string  `json:"model_draft,omitempty"`
	DraftTokens      int     `json:"spec_draft_n_max,omitempty"`
	DraftLeast       int     `json:"spec_draft_n_min,omitempty"`
	DraftProbability float32 `json:"spec_draft_p_min,omitempty"`
	// DraftType is "draft-simple" (or ""), the Draft, if there is one, or "ngram-simple": without a
	// model, up to DraftTokens tokens (0: 6) are guessed to be those that followed when the last
	// ones came before in the same text.
	DraftType string `json:"spec_type,omitempty"`

	// Progress is told the loaded fraction, from 0 to 1; just 1 if there is nothing to load because
	// the weights are shared. A load whose context it ends gives no model.
	Progress func(fraction float32) `json:"-"`

	whole       bool // fails, if what should be on GPUs does not fit there
	draftStored bool // the draft model came with the model and need not be usable
	draftAlways bool // also where it was found not to pay, for tests
	forDrafts   bool // the model is one that drafts: it needs no engine
}

var (
	loadModes = map[string]llama.LoadMode{
		"": llama.LoadAuto, "auto": llama.LoadAuto, "mmap": llama.LoadMmap, "read": llama.LoadRead,
		"mlock": llama.LoadLock, "mmap+mlock": llama.LoadMmapLock, "direct": llama.LoadDirectIO,
	}
	splitModes = map[string]llama.SplitMode{
		"": llama.SplitLayer, "layer": llama.SplitLayer, "none": llama.SplitNone,
		"row": llama.SplitRow, "tensor": llama.SplitTensor,
	}
	flashModes = map[string]int{"": -1, "auto": -1, "on": 1, "off": 0}
)

// choice looks up an option that names one of a few things.
func choice[T any](op, option, value string, choices map[string]T) (T, error) {
	if v, ok := choices[value]; ok {
		return v, nil
	}
	var names []string
	for name := range choices {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var none T
	return none, invalid(op, fmt.Sprintf("%s is %q; use one of %s", option, value,
		strings.Join(names, ", ")))
}

// check refuses what no model can be loaded with.
func (o *LoadOptions) check(op string) error {
	for _, n := range []struct {
		name  string
		value int
		max   int
	}{
		{"context size", o.ContextSize, math.MaxInt32}, {"slots", o.Slots, 256},
		{"cache tokens", o.CacheTokens, math.MaxInt32}, {"batch size", o.BatchSize, 1 << 20},
		{"ubatch size", o.UBatchSize, 1 << 20}, {"threads", o.Threads, 512},
		{"batch threads", o.BatchThreads, 512}, {"main GPU", o.MainGPU, 255},
	} {
		if n.value < 0 || n.value > n.max {
			return invalid(op, fmt.Sprintf("%s is %d; it must be from 0 (the default) to %d",
				n.name, n.value, n.max))
		}
	}
	if err := o.checkNumbers(op); err != nil {
		return err
	}
	if err := CheckRPC(o.RPC); err != nil {
		return err
	}
	if err := o.checkAdapters(op); err != nil {
		return err
	}
	if err := o.checkDraft(op); err != nil {
		return err
	}
	if o.UBatchSize > 0 && o.BatchSize > 0 && o.UBatchSize > o.BatchSize {
		return invalid(op, fmt.Sprintf("ubatch size %d is larger than batch size %d",
			o.UBatchSize, o.BatchSize))
	}
	if o.CacheTokens > 0 && o.CacheTokens < o.ContextSize {
		return invalid(op, fmt.Sprintf("cache tokens %d are fewer than the context size %d",
			o.CacheTokens, o.ContextSize))
	}
	if o.CacheTokens > 0 && o.KVLayout == layoutSplit {
		return invalid(op, fmt.Sprintf("cache tokens are %d, but a split cache has the context "+
			"size for each slot; give one or the other", o.CacheTokens))
	}
	_, err := choice(op, "KV layout", o.KVLayout, kvLayouts)
	return err
}

// checkNumbers looks at the options that count from elsewhere than 0 or are not whole.
func (o *LoadOptions) checkNumbers(op string) error {
	if n := o.GPULayers; n != nil && (*n < -1 || *n > math.MaxInt32) {
		return invalid(op, fmt.Sprintf("GPU layers are %d; use 0 or more, or -1 for all", *n))
	}
	for _, c := range []struct{ what, kind string }{{"K", o.KVTypeK}, {"V", o.KVTypeV}} {
		if _, ok := kvTypes[c.kind]; !ok {
			return invalid(op, fmt.Sprintf("%s cache type %q is unknown; use f16, bf16, f32, "+
				"q8_0, q5_1, q5_0, q4_1, q4_0 or iq4_nl", c.what, c.kind))
		}
	}
	for _, n := range append([]float32{o.RoPEFreqBase, o.RoPEFreqScale}, o.TensorSplit...) {
		if !(n >= 0 && n <= math.MaxFloat32) { // also refuses NaN
			return invalid(op, fmt.Sprintf(
				"a RoPE frequency or tensor split share is %g; it must be 0 or more", n))
		}
	}
	return nil
}

func (o *LoadOptions) modelParams(op string, lib *llama.Library) (p llama.ModelParams, err error) {
	p = lib.DefaultModelParams()
	if p.LoadMode, err = choice(op, "load mode", o.LoadMode, loadModes); err != nil {
		return p, err
	}
	if p.SplitMode, err = choice(op, "split mode", o.SplitMode, splitModes); err != nil {
		return p, err
	}
	p.GPULayers = -1
	if o.GPULayers != nil {
		p.GPULayers = *o.GPULayers
	}
	if p.GPULayers != 0 && !o.VocabOnly {
		if p.RPC, err = rpcAddresses(o.RPC); err != nil {
			return p, wrap(op, err)
		}
	}
	p.MainGPU = o.MainGPU
	p.TensorSplit = o.TensorSplit
	p.Devices = o.Devices
	p.TensorBuffers = o.TensorBuffers
	p.CheckTensors = o.CheckTensors
	p.RepackWeights = p.RepackWeights && !o.NoRepack
	p.VocabOnly = o.VocabOnly
	p.Overrides = o.Overrides
	if !o.VocabOnly {
		p.Adapters = o.adapterPaths()
	}
	p.Progress = o.Progress
	return p, nil
}

// contextParams are all but those that [LoadOptions.layout] decides.
func (o *LoadOptions) contextParams(
	op string, lib *llama.Library,
) (p llama.ContextParams, err error) {
	p = lib.DefaultContextParams()
	p.FlashAttention, err = choice(op, "flash attention", o.FlashAttention, flashModes)
	if err != nil {
		return p, err
	}
	if o.UBatchSize > 0 {
		p.UBatch = o.UBatchSize
	}
	p.Batch = max(p.Batch, p.UBatch)
	if o.BatchSize > 0 {
		p.Batch = o.BatchSize
		p.UBatch = min(p.UBatch, p.Batch)
	}
	p.Threads, p.BatchThreads = o.Threads, o.BatchThreads
	if p.BatchThreads == 0 {
		p.BatchThreads = p.Threads
	}
	p.TypeK, p.TypeV = o.KVTypeK, o.KVTypeV
	p.RoPEFreqBase, p.RoPEFreqScale = o.RoPEFreqBase, o.RoPEFreqScale
	if o.drafts() || o.looksUp() {
		p.DeviceLogits = 0 // of a sequence a device keeps those of one token only
	}
	return p, nil
}

func (o *LoadOptions) slots() int {
	if o.Slots == 0 {
		return DefaultSlots
	}
	return o.Slots
}

func (o *LoadOptions) contextSize(trained int) int {
	if o.ContextSize > 0 {
		return o.ContextSize
	}
	if trained > 0 {
		return min(DefaultContextSize, trained)
	}
	return DefaultContextSize
}

// loaded is a model that serves requests; callers of the same file and options share it.
type loaded struct {
	lib     *llama.Library
	weights *llama.Model
	context *llama.Context
	engine  *engine.Engine // nil for a model that does not generate text
	info    *Info
	plan    *Plan
	size    int // ContextSize
	warn    []string
	free    func() // gives the weights back
	words   lazyWords

	embedders *embedders // nil for a vocabulary alone, and for a model that drafts
	draft     *loaded    // nil: none
	adapters  *adapterScales
}

// Load makes the model in a GGUF file ready for use. Loading the same file with the same options
// again gives another handle to the same model; with other context options, the weights are still
// shared. The caller closes what it gets.
func (r *Runtime) Load(ctx context.Context, path string, opts *LoadOptions) (*Model, error) {
	op := "load " + path
	if opts == nil {
		opts = &LoadOptions{}
	}
	if r.isClosed() {
		return nil, &Error{Kind: ErrClosed, Op: op, Err: errors.New("the runtime is closed")}
	}
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, context.Cause(ctx))
	}
	if err := opts.check(op); err != nil {
		return nil, err
	}
	info, _, err := inspect(path)
	if err != nil {
		return nil, err
	}
	if opts, err = r.withDraft(op, opts); err != nil {
		return nil, err
	}
	key, err := opts.key(path)
	if err != nil {
		return nil, wrap(op, err)
	}
	opts, tellRest := opts.withWholeProgress()
	shared, free, err := r.models.get(ctx, key, func(ctx context.Context) (*loaded, error) {
		return r.load(ctx, info, opts)
	}, (*loaded).usable, (*loaded).close)
	if err != nil {
		return nil, wrap(op, err)
	}
	if tellRest() && ctx.Err() != nil {
		free()
		return nil, wrap(op, context.Cause(ctx))
	}
	return newModel(shared, free), nil
}

// withWholeProgress returns options whose Progress is told all that llama.cpp tells. tellRest,
// which is called after a load, tells it 1 if that was not told, and reports whether it did.
func (o *LoadOptions) withWholeProgress() (with *LoadOptions, tellRest func() bool) {
	progress := o.Progress
	if progress == nil {
		return o, func() bool { return false }
	}
	whole := false
	copied := *o
	copied.Progress = func(fraction float32) {
		whole = whole || fraction >= 1
		progress(fraction)
	}
	return &copied, func() bool {
		if !whole {
			progress(1)
			return true
		}
		return false
	}
}

// key is equal for loads that can share a model.
func (o *LoadOptions) key(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	options, err := json.Marshal(o)
	return abs + "\n" + string(options), err
}

// weightsKey is equal for loads that can share weights: all options but those of the context.
func (o LoadOptions) weightsKey(path string) (string, error) {
	o.ContextSize, o.Slots, o.CacheTokens, o.KVLayout = 0, 0, 0, ""
	o.BatchSize, o.UBatchSize, o.Threads, o.BatchThreads = 0, 0, 0, 0
	o.KVTypeK, o.KVTypeV, o.FlashAttention = "", "", ""
	o.RoPEFreqBase, o.RoPEFreqScale = 0, 0
	o.ControlVectors, o.ControlLayers = nil, [2]int{}
	o.Draft, o.DraftTokens, o.DraftLeast, o.DraftProbability, o.DraftType = "", 0, 0, 0, ""
	o.Adapters = slices.Clone(o.Adapters)
	for i := range o.Adapters {
		o.Adapters[i].Scale = nil
	}
	return o.key(path)
}

// usable reports whether the machines that the model is on are still there.
func (l *loaded) usable() bool {
	return l.weights.Check() == nil && (l.draft == nil || l.draft.usable())
}

func (l *loaded) close() {
	if l.embedders != nil {
		l.embedders.close()
	}
	if l.engine != nil {
		l.engine.Close()
	}
	if l.context != nil {
		l.context.Close()
	}
	l.free()
	if l.draft != nil {
		l.draft.close()
	}
}
