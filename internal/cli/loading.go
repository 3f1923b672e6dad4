package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
)

// loadFlags is what the user chose about loading a model.
type loadFlags struct {
	options  mullama.LoadOptions
	loadMode string
	noMmap   bool
	mlock    bool
}

// define declares the flags of a command that loads a model to answer with.
func (f *loadFlags) define(set *pflag.FlagSet) {
	o := &f.options
	set.VarP(countFlag(&o.ContextSize), "ctx-size", "c",
		"tokens that prompt and answer share (default: the model's, at most 4096)")
	set.VarP(
		countFlag(&o.Threads),
		"threads",
		"t",
		"CPU threads for answering (default: the cores)",
	)
	set.Var(
		countFlag(&o.BatchThreads),
		"threads-batch",
		"CPU threads for prompts (default: --threads)",
	)
	set.VarP(countFlag(&o.BatchSize), "batch-size", "b", "prompt tokens per step")
	set.Var(countFlag(&o.UBatchSize), "ubatch-size", "prompt tokens computed at once")
	set.Var(
		layersFlag(&o.GPULayers),
		"gpu-layers",
		"layers on the GPU: a number, all, or auto: as many as fit (the default)",
	)
	set.Var(bytesFlag(&o.FitMargin), "fit-margin",
		"memory to leave free on each GPU, as 512MB or 2GiB (default: 1GiB, or an eighth of it)")
	set.Var(indexFlag(&o.MainGPU), "main-gpu", "GPU used when the model is not split")
	set.Var(oneOf(&o.SplitMode, "none", "layer", "row", "tensor"), "split-mode",
		"how several GPUs share the model: none, layer, row or tensor (default: one GPU if all "+
			"fits there, else layer)")
	set.Var(sharesFlag(&o.TensorSplit), "tensor-split", "share of each GPU, as in 3,1")
	set.Var(appendFlag(&o.TensorBuffers), "override-tensor",
		"keep the tensors whose names match elsewhere, as REGEX=BUFFER (repeatable)")
	set.Var(listFlag(&o.Devices), "device", "devices to use, by the names that doctor prints")
	set.Var(listFlag(&o.RPC), "rpc",
		"other machines to compute on, as HOST:PORT,…, where 'mullama rpc-server' runs")
	set.Var(
		oneOf(&f.loadMode, "auto", "mmap", "read", "mlock", "mmap+mlock", "direct"),
		"load-mode",
		"how the file gets into memory: auto, mmap, read, mlock, mmap+mlock or direct",
	)
	set.BoolVar(&f.noMmap, "no-mmap", false, "read the file instead of mapping it (load mode read)")
	set.BoolVar(&f.mlock, "mlock", false, "keep the model from being swapped out")
	set.BoolVar(&o.NoRepack, "no-repack", false, "leave the weights as they are in the file")
	set.BoolVar(&o.CheckTensors, "check-tensors", false, "look for invalid numbers in the weights")
	set.Var(
		oneOf(&o.KVTypeK, cacheTypes...),
		"cache-type-k",
		"type of the KV cache's keys, as f16, q8_0 or q4_0",
	)
	set.Var(oneOf(&o.KVTypeV, cacheTypes...), "cache-type-v", "type of the KV cache's values")
	set.Var(
		oneOf(&o.FlashAttention, "auto", "on", "off"),
		"flash-attn",
		"flash attention: auto, on or off",
	)
	set.Var(numberFlag(&o.RoPEFreqBase), "rope-freq-base",
		"RoPE base frequency (default: the model's)")
	set.Var(
		numberFlag(&o.RoPEFreqScale),
		"rope-freq-scale",
		"RoPE frequency scale (default: the model's)",
	)
	defineAdapters(set, o)
	set.Var(
		appendFlag(&o.Overrides),
		"override-kv",
		"replace a metadata value, as KEY=TYPE:VALUE; int, float, bool or str (repeatable)",
	)
}

// cacheTypes are the types of the KV cache.
var cacheTypes = []string{
	"f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl",
}

// resolve checks the flags against each other and completes the options.
func (f *loadFlags) resolve() error {
	f.options.Slots = 1 // one answer at a time
	if err := mullama.CheckRPC(f.options.RPC); err != nil {
		return usage("--rpc: %s", err)
	}
	if f.loadMode != "" && (f.noMmap || f.mlock) {
		return usage(
			"--load-mode already says what --no-mmap and --mlock say; give one or the other",
		)
	}
	switch {
	case f.loadMode != "":
		f.options.LoadMode = f.loadMode
	case f.noMmap && f.mlock:
		f.options.LoadMode = "mlock"
	case f.noMmap:
		f.options.LoadMode = "read"
	case f.mlock:
		f.options.LoadMode = "mmap+mlock"
	}
	return nil
}

// withModel loads a model, from a file into this program or by its name into the daemon, hands it
// to use, and gives everything back.
func (a *app) withModel(
	ctx context.Context, name string, opts mullama.LoadOptions,
	use func(model Model, loading time.Duration) error,
) error {
	engine, err := a.engineFor(ctx, name, opts.VocabOnly)
	if err != nil {
		return err
	}
	defer engine.Close()
	started := time.Now()
	model, err := a.load(ctx, engine, name, opts)
	if err != nil {
		return err
	}
	defer model.Close()
	return use(model, time.Since(started))
}

// engineFor opens what runs the model of this name. A vocabulary alone needs no daemon.
func (a *app) engineFor(ctx context.Context, name string, vocabOnly bool) (Engine, error) {
	if isFile(name) || vocabOnly {
		return a.openEngine()
	}
	if _, err := a.daemon(ctx); err != nil {
		return nil, err
	}
	return a.remote()
}

// load loads a model with a progress bar; Ctrl-C stops it.
func (a *app) load(
	ctx context.Context, engine Engine, path string, opts mullama.LoadOptions,
) (Model, error) {
	ctx, stop := a.interruptible(ctx)
	defer stop()
	bar := a.newProgressBar("loading the model")
	defer bar.finish()
	opts.Progress = bar.update
	model, err := engine.Load(ctx, path, &opts)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err()
	}
	return model, err
}
