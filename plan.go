package mullama

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/mullama/mullama/api"
	"github.com/mullama/mullama/internal/llama"
)

// Plan says where a model is, or would be, and what it takes there.
type Plan = api.Plan

// PlanDevice is the share of one device in a Plan.
type PlanDevice = api.PlanDevice

// Plan returns what Load would choose for a file now, without loading it. GPUs that are full of
// other models are so for this one, too.
func (r *Runtime) Plan(path string, opts *LoadOptions) (*Plan, error) {
	if opts == nil {
		opts = &LoadOptions{}
	}
	l := &loading{r: r, o: opts, op: "plan " + path, done: func() {}}
	if err := opts.check(l.op); err != nil {
		return nil, err
	}
	info, _, err := inspect(path)
	if err != nil {
		return nil, err
	}
	l.info = info
	if opts.VocabOnly {
		return nil, invalid(l.op, "a vocabulary alone is not on any device")
	}
	if l.o, err = r.withDraft(l.op, opts); err != nil {
		return nil, err
	}
	draft, err := l.draftLoading()
	if err != nil {
		return nil, err
	}
	var ofDraft *Plan
	if draft != nil {
		ofDraft, err = draft.dryRun(nil)
		defer func() { draft.done() }() // until then its memory is not free
	}
	if err != nil {
		return nil, err
	}
	plan, err := l.dryRun(ofDraft)
	defer func() { l.done() }()
	addDraft(plan, ofDraft)
	return plan, err
}

// dryRun chooses where a model goes beside that which drafts for it, and keeps the memory reserved
// until l.done.
func (l *loading) dryRun(draft *Plan) (*Plan, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if err := l.checkMemory(draft); err != nil {
		return nil, err
	}
	if err := l.choose(); err != nil {
		return nil, err
	}
	var err error
	p, memory := &l.place.placement, l.place.memory
	cp := l.shape(p)
	if !p.gpu {
		p.cache = p.mostSplit()
		cp = l.shape(p)
	}
	if memory == nil {
		mp := p.model(l.mp, l.info.Layers)
		if memory, err = l.r.memoryPlan(l.info.Path, mp, cp); err != nil {
			return nil, wrap(l.op, err)
		}
	}
	return l.plan(p, memory, cp), nil
}

// plan describes a placement.
func (l *loading) plan(p *placement, memory []llama.Memory, cp llama.ContextParams) *Plan {
	layers := l.info.Layers + 1
	plan := &Plan{
		Layers: layers, ContextSize: l.o.contextSize(l.info.ContextLength), Slots: l.o.slots(),
		CacheTokens: cp.Ctx, UBatchSize: cp.UBatch,
		FlashAttn: firstText(l.o.FlashAttention, "auto"),
		KVTypeK:   firstText(cp.TypeK, "f16"), KVTypeV: firstText(cp.TypeV, "f16"),
		SplitMode: firstText(l.o.SplitMode, "layer"), Notes: slices.Clone(l.notes),
	}
	if l.retry != "" {
		plan.Notes = append(plan.Notes, l.retry)
	}
	for i, m := range memory {
		plan.Devices = append(plan.Devices, PlanDevice{
			Name: m.Device, GPU: i < len(memory)-1, Total: m.Total, Free: m.Free,
			Weights: m.Weights, Cache: m.Cache, Compute: m.Compute,
		})
	}
	if n := l.onGPUs(p); n < 0 || n > layers {
		plan.GPULayers = layers
	} else {
		plan.GPULayers = n
	}
	if p.gpu {
		plan.CPUExperts = p.experts
		if l.o.GPULayers == nil && !p.fewer && (plan.GPULayers < layers || p.experts > 0) {
			plan.Notes = append(plan.Notes, partNote(plan))
		}
	}
	if p.off && !p.fewer && len(l.gpus) > 0 {
		plan.Notes = append(plan.Notes, "no GPU has enough free memory for a layer of it")
	}
	if len(memory) <= 2 && l.o.SplitMode == "" {
		plan.SplitMode = "none"
	}
	return plan
}

// onGPUs is how many layers a placement has on GPUs or on other machines; -1: all.
func (l *loading) onGPUs(p *placement) int {
	switch {
	case p.gpu:
		return p.layers
	case len(l.o.RPC) > 0: // nothing was chosen
		return l.mp.GPULayers
	}
	return 0
}

// partNote says why not all of a model is on GPUs.
func partNote(plan *Plan) string {
	if plan.CPUExperts > 0 {
		return fmt.Sprintf("the GPU memory that is free has no room for the experts of %d layers",
			plan.CPUExperts)
	}
	return fmt.Sprintf("the GPU memory that is free has room for %d of %d layers; the others are "+
		"on the CPU", plan.GPULayers, plan.Layers)
}

// planOf describes where a loaded model is.
func (l *loading) planOf(w *placedWeights, c *llama.Context, cp llama.ContextParams) *Plan {
	memory, flash, err := c.Memory()
	if err != nil {
		return nil // closed meanwhile, which cannot be: nobody else has it yet
	}
	addAdapters(memory, adapterBytes(l.o.adapterPaths()))
	plan := l.plan(&w.placement, memory, cp)
	plan.CacheTokens, plan.UBatchSize = c.Limits().Ctx, c.Limits().UBatch
	plan.FlashAttn = "off"
	if flash {
		plan.FlashAttn = "on"
	}
	return plan
}

func firstText(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// describe says in words what is tried after memory did not suffice.
func (p *placement) describe() string {
	switch {
	case p.off:
		return "no GPU"
	case p.fewer:
		return fmt.Sprintf("%d layers on the GPU", p.layers)
	}
	return "fewer prompt tokens at once"
}

// Plugin is a backend in a file of its own beside the native library: its name, such as "cuda", the
// number of devices it offers, and why there are none.
type Plugin struct {
	Name    string `json:"name"`
	Devices int    `json:"devices"`
	Problem string `json:"problem,omitempty"`
}

// Plugins lists the backends that lie beside the native library.
func (r *Runtime) Plugins() []Plugin {
	found, err := r.lib.Plugins()
	if err != nil {
		return nil
	}
	var all []Plugin
	for _, p := range found {
		all = append(all, Plugin{p.Name, p.Devices, pluginProblem(p)})
	}
	return all
}

// gpuPlugins are the backends of GPUs, with their names in words and the library by which a
// missing driver shows.
var gpuPlugins = map[string]struct{ name, driver, missing string }{
	"cuda":   {"CUDA", "libcuda", "no NVIDIA driver answers"},
	"hip":    {"ROCm", "libamdhip", "ROCm is not installed"},
	"vulkan": {"Vulkan", "libvulkan", "there is no Vulkan loader"},
	"sycl":   {"SYCL", "libsycl", "oneAPI is not installed"},
	"opencl": {"OpenCL", "libOpenCL", "there is no OpenCL loader"},
	"metal":  {"Metal", "Metal.framework", "Metal is not available"},
	"musa":   {"MUSA", "libmusa", "no MUSA driver answers"},
}

// pluginProblem says in one sentence why a plug-in of a GPU offers no device.
func pluginProblem(p llama.Plugin) string {
	gpu, ok := gpuPlugins[p.Name]
	if !ok || p.Devices > 0 {
		return ""
	}
	reason := strings.TrimSpace(p.Reason)
	switch {
	case strings.Contains(reason, gpu.driver):
		return fmt.Sprintf("the %s plug-in was found but %s: %s", gpu.name, gpu.missing, reason)
	case strings.Contains(reason, "driver version is insufficient"): // CUDA's words, and ROCm's
		return fmt.Sprintf("the %s plug-in was found but the driver of the GPU is too old for it, "+
			"so update that, or build for an older %s: %s", gpu.name, gpu.name, reason)
	case reason == "":
		return fmt.Sprintf("the %s plug-in was found but sees no device", gpu.name)
	}
	return fmt.Sprintf("the %s plug-in was found but sees no device: %s", gpu.name, reason)
}

// gpuProblems says which plug-ins of GPUs cannot be used. What is true once stays so.
func (r *Runtime) gpuProblems() []string {
	r.plugins.Do(func() {
		for _, p := range r.Plugins() {
			if p.Problem != "" {
				r.problems = append(r.problems, p.Problem)
			}
		}
	})
	return slices.Clone(r.problems)
}

// missingGPU says that what was asked for needs a GPU where there is none. It is no error: clients
// of Ollama ask for all layers on the GPU wherever they are.
func (o *LoadOptions) missingGPU() []string {
	if o.GPULayers == nil {
		return nil
	}
	return []string{"layers on the GPU were asked for, but no GPU can be used; all is on the CPU"}
}

// warnings are those that were logged.
type warnings struct {
	mu   sync.Mutex
	seen map[string]bool
}

// warnOnce logs what is the same for every load of a file once.
func (r *Runtime) warnOnce(text, path string) {
	r.warned.mu.Lock()
	defer r.warned.mu.Unlock()
	if r.warned.seen[text+path] {
		return
	}
	if r.warned.seen == nil {
		r.warned.seen = map[string]bool{}
	}
	r.warned.seen[text+path] = true
	if slices.Contains(r.problems, text) && r.warned.seen[text] {
		return // of this machine, not of a file
	}
	r.warned.seen[text] = true
	r.log.Warn(text, "model", path)
}
