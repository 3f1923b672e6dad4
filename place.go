package mullama

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/llama"
)

// placedWeights are loaded weights with where they are, shared by contexts.
type placedWeights struct {
	*llama.Model
	placement
}

func (w *placedWeights) close() { w.Model.Close() }

// loading is one load on its way.
type loading struct {
	r    *Runtime
	info *Info
	o    *LoadOptions
	op   string
	gpus []llama.Device
	mp   llama.ModelParams
	cp   llama.ContextParams // but for its layout

	steering llama.Steering

	draft *loaded // the model that drafts; nil: none
	place *fitted // nil: the weights are loaded already, or nothing is chosen yet
	notes []string
	retry string // why and how it was tried again; "": it was not
	done  func() // gives back what was reserved
}

func (r *Runtime) load(ctx context.Context, info *Info, o *LoadOptions) (*loaded, error) {
	l := &loading{r: r, info: info, o: o, op: "load " + info.Path, done: func() {}}
	if err := l.check(); err != nil {
		return nil, err
	}
	key, err := o.weightsKey(info.Path)
	if err != nil {
		return nil, err
	}
	if err := l.loadDraft(ctx); err != nil {
		return nil, err
	}
	m, err := l.attempts(ctx, key)
	if err != nil {
		if l.draft != nil {
			l.draft.close()
		}
		return nil, err
	}
	m.draft = l.draft
	l.log(m)
	return m, nil
}

// attempts loads the model, smaller each time, until memory suffices.
func (l *loading) attempts(ctx context.Context, key string) (*loaded, error) {
	if err := l.checkMemory(l.draft.planned()); err != nil {
		return nil, err
	}
	for {
		m, err := l.attempt(ctx, key)
		if err == nil {
			return m, nil
		}
		if !l.shrink(err) {
			return nil, l.explain(err)
		}
	}
}

// check refuses what cannot be loaded, before anything is.
func (l *loading) check() (err error) {
	kind, _ := l.info.Metadata["general.type"].(string)
	if reason := notModel(kind, l.info.Architecture); reason != "" {
		return unsupported(l.op, reason)
	}
	if l.mp, err = l.o.modelParams(l.op, l.r.lib); err != nil {
		return err
	}
	if l.cp, err = l.o.contextParams(l.op, l.r.lib); err != nil {
		return err
	}
	if l.o.VocabOnly {
		return nil
	}
	if err := l.o.fitAdapters(l.op, l.info.Path); err != nil {
		return err
	}
	if l.steering, err = l.o.steering(l.op, l.info); err != nil {
		return err
	}
	if err := l.o.checkCache(l.op, l.info); err != nil {
		return err
	}
	if len(l.o.RPC) == 0 {
		return l.checkDevices()
	}
	// llama.cpp spreads the layers over the machines: only they know their devices.
	return l.o.checkNames(l.op, slices.DeleteFunc(l.r.lib.Devices(), isRemote))
}

// checkMemory refuses what has no room beside the draft model, whose plan may be nil.
func (l *loading) checkMemory(draft *Plan) error {
	if l.o.VocabOnly {
		return nil
	}
	beside := uint64(0)
	if draft != nil {
		host := draft.Devices[len(draft.Devices)-1]
		beside = host.Cache + host.Compute
	}
	return l.r.checkMemory(l.info, l.mp, l.shape(&placement{}), beside)
}

// checkDevices refuses what this machine's devices cannot do, and finds the GPUs to choose from.
func (l *loading) checkDevices() error {
	devices := l.r.lib.Devices()
	if err := l.o.checkDevices(l.op, devices); err != nil {
		return err
	}
	l.gpus = usableGPUs(l.o, devices)
	if len(l.gpus) == 0 && len(l.o.Devices) == 0 && (l.o.GPULayers == nil || *l.o.GPULayers != 0) {
		l.notes = append(l.r.gpuProblems(), l.o.missingGPU()...)
	}
	return nil
}

// shape returns the parameters of the context that goes with a placement.
func (l *loading) shape(p *placement) llama.ContextParams {
	cp := p.context(l.o, l.cp)
	l.o.layout(&cp, l.info.traits(), l.info, p.cache)
	return cp
}

// attempt loads the weights, unless they are there, and makes a context for them.
func (l *loading) attempt(ctx context.Context, key string) (*loaded, error) {
	load := func(ctx context.Context) (*placedWeights, error) { return l.loadWeights(ctx) }
	usable := func(w *placedWeights) bool { return w.Check() == nil }
	weights, free, err := l.r.weights.get(ctx, key, load, usable, (*placedWeights).close)
	defer func() { l.done() }()
	if err != nil {
		return nil, err
	}
	m, err := l.start(weights)
	if err != nil {
		free()
		return nil, err
	}
	m.free = free
	return m, nil
}

func (l *loading) loadWeights(ctx context.Context) (*placedWeights, error) {
	if l.place == nil {
		if err := l.choose(); err != nil {
			return nil, err
		}
	}
	mp := l.place.model(l.mp, l.info.Layers)
	model, err := l.r.lib.LoadModel(ctx, l.info.Path, mp)
	if err != nil {
		return nil, err
	}
	return &placedWeights{model, l.place.placement}, nil
}

// choose decides where the weights go, and reserves the memory until the load is done. Without a
// GPU there is nothing to decide, and no dry run is made.
func (l *loading) choose() error {
	l.place = &fitted{whole: true}
	asked := l.o.GPULayers
	switch {
	case l.o.VocabOnly || asked != nil && *asked == 0:
		return nil
	case len(l.gpus) == 0:
		l.place.off = len(l.o.Devices) > 0 && len(l.o.RPC) == 0 // none of them a GPU
		return nil
	}
	l.r.reserved.fitting.Lock()
	defer l.r.reserved.fitting.Unlock()
	best, err := l.fitter().fit()
	if err != nil {
		// Whatever is wrong with the model, the load itself says it better.
		best = fitted{placement: placement{gpu: true, layers: l.mp.GPULayers}, whole: true}
	}
	if l.o.whole && !best.whole {
		return notWhole(l.info.Path, &best)
	}
	if err := checkPlan(l.info.Path, best.memory, l.mp); err != nil {
		return err
	}
	l.place = &best
	l.done = l.r.reserved.reserve(best.memory)
	return nil
}

func (l *loading) fitter() *fitter {
	return &fitter{
		o: l.o, gpus: l.gpus, layers: l.info.Layers, experts: l.info.experts,
		rows: l.info.rows,
		size: uint64(l.info.SizeBytes), outstanding: l.r.reserved.outstanding, shape: l.shape,
		measure: func(p *placement) ([]llama.Memory, error) {
			return l.r.memoryPlan(l.info.Path, p.model(l.mp, l.info.Layers), l.shape(p))
		},
	}
}

// shrink prepares the next attempt after one that failed for want of memory. It reports false when
// there is none, or when another model should go first.
func (l *loading) shrink(err error) bool {
	if l.place == nil || l.o.whole || !errors.Is(wrap(l.op, err), ErrOutOfMemory) {
		return false
	}
	next, ok := l.place.shrink(l.o, l.info.Layers)
	if !ok {
		return false
	}
	l.place = &fitted{placement: next}
	reason := err
	if e := (*llama.Error)(nil); errors.As(err, &e) {
		reason = e
	}
	l.retry = fmt.Sprintf("memory did not suffice (%s), so it was loaded with %s", reason,
		next.describe())
	return true
}

// explain adds what to do when GPUs cannot split rows, or when the layers that were asked for do
// not fit.
func (l *loading) explain(err error) error {
	if l.o.SplitMode == "row" && strings.Contains(err.Error(), "split buffers") {
		return &Error{Kind: ErrUnsupported, Op: l.op, Err: err,
			Hint: `use the split mode "layer" or "tensor"`}
	}
	if l.o.GPULayers == nil || len(l.gpus) == 0 || !errors.Is(wrap(l.op, err), ErrOutOfMemory) {
		return err
	}
	return &Error{Kind: ErrOutOfMemory, Op: l.op, Err: err,
		Hint: "use fewer layers on the GPU, or leave their number to be chosen"}
}

// start makes a context for the weights and an engine that runs it.
func (l *loading) start(weights *placedWeights) (*loaded, error) {
	o, info := l.o, l.info
	info.setInsert(weights.Info().FIMMiddle >= 0)
	m := &loaded{lib: l.r.lib, weights: weights.Model, info: info}
	m.adapters = &adapterScales{}
	m.words.make = func() *wordCache {
		if len(o.Overrides) > 0 {
			return nil // they may be for the vocabulary
		}
		return newWordCache(info.Path, weights.Model)
	}
	if o.VocabOnly {
		return m, nil
	}
	m.size = o.contextSize(info.ContextLength)
	m.adapters = newAdapterScales(o.Adapters)
	if o.forDrafts {
		return m, l.addContext(m, weights)
	}
	forEmbeddings := weights.context(o, l.cp)
	forEmbeddings.Tuning = &llama.Tuning{Adapters: m.adapters.current(), Steering: l.steering}
	m.embedders = newEmbedders(weights.Model, forEmbeddings, m.size, weights.gpu)
	if !weights.Info().Generates {
		return l.startEmbedding(m, weights)
	}
	draft, err := l.draftConfig(weights.Info())
	if err != nil {
		return nil, err
	}
	if err := l.addContext(m, weights); err != nil {
		return nil, err
	}
	addDraft(m.plan, l.draft.planned())
	if n := info.ContextLength; n > 0 && m.size > n {
		m.warn = append(m.warn, fmt.Sprintf("the context of %d tokens is longer than the %d that "+
			"the model was trained for; text beyond those may be poor", m.size, n))
	}
	m.engine = engine.New(engine.NewNative(weights.Model, m.context), engine.Config{
		Slots: o.slots(), SequenceTokens: m.size, Draft: draft,
	})
	return m, nil
}

// addContext makes the context of m for generating.
func (l *loading) addContext(m *loaded, weights *placedWeights) error {
	p := weights.context(l.o, l.cp)
	l.o.layout(&p, weights.Info(), l.info, weights.mostSplit())
	p.Tuning = &llama.Tuning{Steering: l.steering} // the engine applies adapters
	c, err := weights.NewContext(p)
	if err != nil {
		return fmt.Errorf("make a context of %d tokens: %w", p.Ctx, err)
	}
	m.context = c
	m.plan = l.planOf(weights, c, p)
	return nil
}

// startEmbedding is start for a model that does not generate text.
func (l *loading) startEmbedding(m *loaded, weights *placedWeights) (*loaded, error) {
	m.size = m.embedders.longest
	c, err := m.embedders.begin()
	if err != nil {
		return nil, err
	}
	m.plan = l.planOf(weights, c, m.embedders.params)
	return m, nil
}

// log says once what is not as one would expect.
func (l *loading) log(m *loaded) {
	if m.plan != nil {
		for _, note := range m.plan.Notes {
			l.r.warnOnce(note, l.info.Path)
		}
		l.r.log.Info("loaded", "model", l.info.Path, "plan", m.plan.String())
	}
	for _, w := range m.warn {
		l.r.log.Warn(w, "model", l.info.Path)
	}
}
