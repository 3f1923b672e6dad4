package mullama

import (
	"fmt"
	"os"

	"github.com/shirou/gopsutil/v4/mem"

	"github.com/mullama/mullama/internal/llama"
)

// checkMemory refuses a load whose context would not fit in the memory of this machine, of which
// something else is about to take so many bytes. Without it,
// a context that is far too large is granted by the system and then ends the whole process.
//
// The dry run that knows the size exactly costs as much as opening the file again, so it is made
// only when a bound that is easy to compute comes near the free memory.
func (r *Runtime) checkMemory(
	info *Info, mp llama.ModelParams, cp llama.ContextParams, beside uint64,
) error {
	free, err := mem.VirtualMemory()
	if err != nil {
		return nil //nolint:nilerr // not known on this system: the load itself will tell
	}
	free.Available -= min(beside, free.Available)
	if uint64(cp.Ctx)*info.cacheBytesPerToken() < free.Available/4 {
		return nil
	}
	// The dry run itself keeps a record of every cell. Where those alone take a 32nd of the free
	// memory, a cell would have to be smaller than 2 kB to fit, and hardly any model's are.
	const recordBytes, share = 64, 32
	if uint64(cp.Ctx)*recordBytes >= free.Available/share {
		return outOfMemory(info.Path, fmt.Errorf("a context of %d tokens takes more than the %s "+
			"of memory that are free", cp.Ctx, gigabytes(free.Available)))
	}
	need, err := r.hostMemory(info.Path, mp, cp)
	if err != nil {
		return nil //nolint:nilerr // the load itself will say why
	}
	if need <= free.Available {
		return nil
	}
	return outOfMemory(info.Path, fmt.Errorf("a context of %d tokens takes %s of memory and %s "+
		"are free", cp.Ctx, gigabytes(need), gigabytes(free.Available)))
}

// checkPlan refuses a placement of which this machine's own part does not fit there.
func checkPlan(path string, plan []llama.Memory, mp llama.ModelParams) error {
	free, err := mem.VirtualMemory()
	if err != nil || len(plan) == 0 || hostNeed(plan, mp) <= free.Available {
		return nil //nolint:nilerr // not known on this system: the load itself will tell
	}
	return outOfMemory(path, fmt.Errorf("what does not fit on the GPU takes %s of memory and %s "+
		"are free", gigabytes(hostNeed(plan, mp)), gigabytes(free.Available)))
}

func outOfMemory(path string, err error) error {
	return &Error{
		Kind: ErrOutOfMemory,
		Op:   "load " + path,
		Hint: "use a smaller context or a smaller KV cache type, such as q8_0",
		Err:  err,
	}
}

// hostMemory is what a load would take of this machine's memory, by llama.cpp's dry run.
func (r *Runtime) hostMemory(
	path string, mp llama.ModelParams, cp llama.ContextParams,
) (uint64, error) {
	plan, err := r.memoryPlan(path, mp, cp)
	if err != nil {
		return 0, err
	}
	return hostNeed(plan, mp), nil
}

// memoryPlan is llama.cpp's dry run, with the adapters, which that leaves out.
func (r *Runtime) memoryPlan(
	path string, mp llama.ModelParams, cp llama.ContextParams,
) ([]llama.Memory, error) {
	plan, err := r.lib.MemoryPlan(path, mp, cp)
	addAdapters(plan, adapterBytes(mp.Adapters))
	return plan, err
}

// adapterBytes is what adapters take: they are read as they are in their files.
func adapterBytes(paths []string) (n uint64) {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			n += uint64(info.Size())
		}
	}
	return n
}

// addAdapters counts the bytes of adapters among the weights, where the parts of the model are that
// they change.
func addAdapters(plan []llama.Memory, bytes uint64) {
	var all, given uint64
	for _, m := range plan {
		all += m.Weights
	}
	if all == 0 || bytes == 0 {
		return
	}
	for i := range plan[:len(plan)-1] {
		part := uint64(float64(bytes) * float64(plan[i].Weights) / float64(all))
		plan[i].Weights += part
		given += part
	}
	plan[len(plan)-1].Weights += bytes - min(bytes, given)
}

func hostNeed(plan []llama.Memory, mp llama.ModelParams) uint64 {
	host := plan[len(plan)-1]
	need := host.Cache + host.Compute
	if mp.LoadMode != llama.LoadAuto && mp.LoadMode != llama.LoadMmap {
		return need + host.Weights // mapped weights can be dropped again, these cannot
	}
	if len(plan) == 1 {
		need += adapterBytes(mp.Adapters) // are never mapped
	}
	return need
}

func gigabytes(n uint64) string { return fmt.Sprintf("%.1f GB", float64(n)/1e9) }

// cacheBytesPerToken is an upper bound of what one token takes in an f32 KV cache. A file that does
// not say gets a bound that leads to the dry run.
func (i *Info) cacheBytesPerToken() uint64 {
	if i.Layers == 0 || i.EmbeddingLength == 0 {
		return 1 << 30
	}
	perLayer := uint64(i.EmbeddingLength)
	if i.Heads > 0 && i.KVHeads > 0 {
		perLayer = uint64(i.KVHeads) * max(i.headLength, uint64(i.EmbeddingLength/i.Heads))
	}
	const kAndV, f32 = 2, 4
	return uint64(i.Layers) * perLayer * kAndV * f32
}
