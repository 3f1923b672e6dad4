package mullama

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/llama"
)

// NoDraft as DraftTokens leaves a draft model out.
const NoDraft = -1

// draftTokensMost is the largest DraftTokens: a step samples 64 tokens at most.
const draftTokensMost = 63

// checkDraft refuses what no model can draft with.
func (o *LoadOptions) checkDraft(op string) error {
	for _, n := range []struct {
		name         string
		value, least int
	}{{"draft tokens", o.DraftTokens, NoDraft}, {"least draft tokens", o.DraftLeast, 0}} {
		if n.value < n.least || n.value > draftTokensMost {
			return invalid(op, fmt.Sprintf("%s are %d; use %d to %d", n.name, n.value, n.least,
				draftTokensMost))
		}
	}
	if p := float64(o.DraftProbability); math.IsNaN(p) || p < 0 || p > 1 {
		return invalid(op, fmt.Sprintf("the probability of draft tokens is %g; use 0 to 1", p))
	}
	_, err := choice(op, "draft type", o.DraftType, draftTypes)
	return err
}

// draftTypes tells those that need a draft model.
var draftTypes = map[string]bool{"": true, "draft-simple": true, "ngram-simple": false}

// Complete adds to the options of a load what belongs to the model: its adapters, and the model
// that drafts for it if the options name none.
func (m *StoredModel) Complete(o *LoadOptions) {
	o.Adapters = append(slices.Clone(m.Adapters), o.Adapters...)
	if o.Draft == "" {
		o.Draft, o.draftStored = m.Draft, true
	}
}

// drafts reports whether a smaller model is to draft.
func (o *LoadOptions) drafts() bool {
	return o.Draft != "" && o.DraftTokens != NoDraft && !o.VocabOnly && draftTypes[o.DraftType]
}

// looksUp reports whether what came before in a text is guessed to follow again.
func (o *LoadOptions) looksUp() bool {
	return !draftTypes[o.DraftType] && o.DraftTokens != NoDraft && !o.VocabOnly
}

// withDraft returns options whose draft model is named by its file.
func (r *Runtime) withDraft(op string, o *LoadOptions) (*LoadOptions, error) {
	if !o.drafts() || isPath(o.Draft) || filepath.Ext(o.Draft) == ".gguf" {
		return o, nil
	}
	stored, err := r.Find(o.Draft)
	if err != nil {
		return nil, fmt.Errorf("%s: find the draft model: %w", op, err)
	}
	if stored.Path == "" {
		return nil, unsupported(op, "the weights of the draft model "+o.Draft+
			" are not in a GGUF file")
	}
	copied := *o
	copied.Draft = stored.Path
	return &copied, nil
}

// draftOptions are those of the draft model's own load. It has a sequence for each slot.
func (l *loading) draftOptions(info *Info) *LoadOptions {
	o := l.o
	size := o.contextSize(l.info.ContextLength)
	if n := info.ContextLength; n > 0 {
		size = min(size, n) // where it ends, nobody drafts any more
	}
	d := &LoadOptions{
		ContextSize: size, Slots: o.slots(), KVLayout: o.KVLayout,
		BatchSize: o.BatchSize, UBatchSize: o.UBatchSize,
		Threads: o.Threads, BatchThreads: o.BatchThreads,
		FitMargin: o.FitMargin, MainGPU: o.MainGPU, Devices: o.Devices,
		LoadMode: o.LoadMode, NoRepack: o.NoRepack, CheckTensors: o.CheckTensors,
		FlashAttention: o.FlashAttention, whole: o.whole, forDrafts: true,
	}
	if o.GPULayers != nil && *o.GPULayers == 0 {
		d.GPULayers = o.GPULayers
	}
	return d
}

// draftLoading prepares the load of the draft model, nil if there is none or if it cannot be used.
func (l *loading) draftLoading() (*loading, error) {
	if !l.o.drafts() {
		return nil, nil
	}
	info, _, err := inspect(l.o.Draft)
	if err != nil {
		return nil, err
	}
	why, err := l.unfit(info)
	switch {
	case err != nil:
		return nil, err
	case why != "" && l.o.draftStored:
		l.notes = append(l.notes, "its draft model is not used: "+why)
		return nil, nil
	case why != "":
		return nil, l.cannotDraft(why)
	}
	d := l.draftOptions(info)
	return &loading{r: l.r, info: info, o: d, op: "load the draft model " + l.o.Draft,
		done: func() {}}, nil
}

func (l *loading) cannotDraft(why string) error {
	return unsupported(l.op, fmt.Sprintf("%s cannot draft for it: %s", l.o.Draft, why))
}

// unfit says why one model cannot draft for another, as far as their files tell.
func (l *loading) unfit(draft *Info) (why string, err error) {
	const state = "%s keeps a state, of which what was guessed wrong cannot be cut off"
	switch {
	case l.info.recurrent:
		return fmt.Sprintf(state, "the model"), nil
	case draft.recurrent:
		return fmt.Sprintf(state, "the draft model"), nil
	}
	return notDraft(l.info.Path, draft.Path)
}

// loadDraft loads the draft model. It comes first, so that the other one gets what is left of the
// GPUs.
func (l *loading) loadDraft(ctx context.Context) error {
	d, err := l.draftLoading()
	if d == nil {
		return err
	}
	l.draft, err = l.r.load(ctx, d.info, d.o)
	if err != nil {
		return fmt.Errorf("draft model: %w", err)
	}
	return nil
}

// draftConfig has the draft model guess for the one of weights.
func (l *loading) draftConfig(weights llama.ModelInfo) (engine.DraftConfig, error) {
	if l.o.looksUp() {
		return engine.DraftConfig{Lookup: true, Most: l.o.DraftTokens, Least: l.o.DraftLeast,
			Always: l.o.draftAlways}, nil
	}
	if l.draft == nil {
		return engine.DraftConfig{}, nil
	}
	if why := differ(weights, l.draft.weights.Info()); why != "" {
		return engine.DraftConfig{}, l.cannotDraft(why)
	}
	likeliest := DefaultSampling()
	likeliest.Temperature = 0
	sampling, err := likeliest.toEngine("")
	return engine.DraftConfig{
		Model:    engine.NewNative(l.draft.weights, l.draft.context),
		Sampling: sampling, Most: l.o.DraftTokens, Least: l.o.DraftLeast,
		Probability: l.o.DraftProbability, Always: l.o.draftAlways,
	}, err
}

// differ says why models cannot draft for each other, as far as only loaded ones tell.
func differ(model, draft llama.ModelInfo) string {
	switch {
	case !draft.Generates:
		return "it does not generate text"
	case model.Recurrent || model.Hybrid || draft.Recurrent || draft.Hybrid:
		return "one of them keeps a state, of which what was guessed wrong cannot be cut off"
	case model.AddBOS != draft.AddBOS || model.AddBOS && model.BOS != draft.BOS:
		return "their texts begin with different tokens"
	case model.AddEOS != draft.AddEOS || model.AddEOS && model.EOS != draft.EOS:
		return "their texts end with different tokens"
	}
	return ""
}

// planned is where a model is, nil for none.
func (l *loaded) planned() *Plan {
	if l == nil {
		return nil
	}
	return l.plan
}

// addDraft counts what the draft model takes.
func addDraft(plan, draft *Plan) {
	if plan == nil || draft == nil {
		return
	}
	plan.Draft, _ = draft.Size()
	for _, d := range draft.Devices {
		found := false
		for i := range plan.Devices {
			if to := &plan.Devices[i]; to.Name == d.Name {
				to.Weights += d.Weights
				to.Cache += d.Cache
				to.Compute += d.Compute
				found = true
			}
		}
		if !found {
			plan.Devices = append([]PlanDevice{d}, plan.Devices...)
		}
	}
	plan.Notes = append(plan.Notes, draft.Notes...)
}
