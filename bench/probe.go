package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// probeWork is what a probe does: load a model in a process of its own, read a prompt and continue
// it, and say what that took.
type probeWork struct {
	Load     mullama.LoadOptions `json:"load"`
	Prompt   int                 `json:"prompt"`   // tokens, pseudo-random ones
	Generate int                 `json:"generate"` // tokens, the first one the prompt's
	Reps     int                 `json:"reps"`     // after one that warms up; 0: that one counts
	Hold     bool                `json:"hold"`     // stay until standard input ends
	// Second has a small context use the weights before, so that what the process takes more is of
	// the context alone.
	Second bool `json:"second"`
}

// probed is what a probe tells.
type probed struct {
	Load    float64       `json:"load_s"`
	First   float64       `json:"first_token_s"` // from the beginning of the load
	Reps    []Repetition  `json:"reps"`
	Memory  Memory        `json:"memory"`
	PSS     int64         `json:"pss_kb"`     // shared pages count in parts; 0: not known
	Disk    int64         `json:"disk_bytes"` // read from storage
	Device  int64         `json:"device_bytes"`
	Context int64         `json:"context_bytes"` // of a second context
	SMI     int64         `json:"smi_bytes"`     // by nvidia-smi; 0: none
	Plan    *mullama.Plan `json:"plan"`
	Engine  string        `json:"engine"`
	GPUs    []GPU         `json:"gpus"`
	Version string        `json:"version"`
}

// probeCommand is the hidden command that groups start to measure in a fresh process.
func probeCommand() *cobra.Command {
	var library string
	cmd := &cobra.Command{
		Use:    "probe MODEL WORK",
		Short:  "Load a model as JSON says, generate, and print what that took",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var w probeWork
			if err := json.Unmarshal([]byte(args[1]), &w); err != nil {
				return fmt.Errorf("the work of a probe: %w", err)
			}
			p, model, err := probe(cmd.Context(), library, args[0], w)
			if err != nil {
				return err
			}
			defer func() { _ = model.Close() }() // the process ends
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(p); err != nil || !w.Hold {
				return err
			}
			_, err = io.Copy(io.Discard, cmd.InOrStdin())
			p.settle()
			return errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(p))
		},
	}
	cmd.Flags().StringVar(&library, "library", "", "folder of the native library")
	return cmd
}

// probe does the work. The model stays loaded.
func probe(
	ctx context.Context, library, path string, w probeWork,
) (*probed, *mullama.Model, error) {
	smi := smiUsed(ctx)
	runtime, err := mullama.Open(mullama.Options{LibraryDir: library})
	if err != nil {
		return nil, nil, err
	}
	devices := runtime.Devices()
	p := &probed{Engine: runtime.Engine().Version, GPUs: gpusOf(devices), Version: version()}
	free := gpuFree(devices)
	if w.Second {
		first, err := firstContext(ctx, runtime, path, w)
		if err != nil {
			return nil, nil, err
		}
		defer func() { _ = first.Close() }() // the weights stay for the second
	}
	used := contextMemory(runtime)
	start := time.Now()
	model, err := runtime.Load(ctx, path, &w.Load)
	if err != nil {
		return nil, nil, err
	}
	p.Load = time.Since(start).Seconds()
	for rep := range w.Reps + 1 {
		r, err := pace(ctx, model, w, uint64(rep))
		if err != nil {
			return nil, nil, errors.Join(err, model.Close())
		}
		if rep == 0 {
			p.First = p.Load + r.PromptSeconds
		}
		if rep > 0 || w.Reps == 0 {
			r.Rep = max(1, rep)
			p.Reps = append(p.Reps, r)
		}
	}
	p.Device = max(0, int64(free)-int64(gpuFree(runtime.Devices())))
	p.Context = contextMemory(runtime) - used
	if used := smiUsed(ctx); smi >= 0 && used >= 0 {
		p.SMI = used - smi
	}
	p.Plan = model.Plan()
	p.settle()
	return p, model, nil
}

// firstContext loads the weights with a small context, and uses it.
func firstContext(
	ctx context.Context, runtime *mullama.Runtime, path string, w probeWork,
) (*mullama.Model, error) {
	small := w.Load
	small.ContextSize = 256
	model, err := runtime.Load(ctx, path, &small)
	if err != nil {
		return nil, err
	}
	_, err = pace(ctx, model, probeWork{Prompt: 16, Generate: 4}, 99)
	return model, err
}

// contextMemory grows by what a context takes: of the GPUs if there are any, else of this process.
func contextMemory(runtime *mullama.Runtime) int64 {
	if free := gpuFree(runtime.Devices()); free > 0 {
		return -int64(free)
	}
	return ownMemory(os.DirFS("/")).Anonymous * 1024
}

// settle reads the process's memory as it is now.
func (g *probed) settle() {
	root := os.DirFS("/")
	g.Memory, g.PSS = ownMemory(root), fieldKB(read(root, "proc/self/smaps_rollup"), "Pss")
	g.Disk = diskBytes(root)
}

// diskBytes returns what this process had the system read from storage.
func diskBytes(root fs.FS) int64 {
	n, _ := strconv.ParseInt(field(read(root, "proc/self/io"), "read_bytes"), 10, 64)
	return n
}

// pace reads a prompt that no cache knows, and continues it greedily.
func pace(
	ctx context.Context, model *mullama.Model, w probeWork, seed uint64,
) (Repetition, error) {
	prompt := pseudoTokens(w.Prompt, model.Info().Vocab, 1000+seed)
	o := greedy(w.Generate)
	o.Sampling.IgnoreEOS = true
	stream, err := model.GenerateTokens(ctx, prompt, o)
	if err != nil {
		return Repetition{}, err
	}
	got, err := stream.Collect()
	if err != nil {
		return Repetition{}, err
	}
	if n := len(got.Tokens); n != w.Generate {
		return Repetition{}, fmt.Errorf("the model gave %d tokens, not %d", n, w.Generate)
	}
	return Repetition{
		PromptTokens: w.Prompt, PromptSeconds: got.Stats.FirstToken.Seconds(),
		TextTokens: w.Prompt, Generated: w.Generate - 1, Seconds: got.Stats.Decode.Seconds(),
		Sum: sumOf(got.Tokens), Steps: got.Stats.Steps, Overhead: got.Stats.StepOverhead.Seconds(),
	}, nil
}

// gpuFree is the free memory of all GPUs.
func gpuFree(devices []mullama.Device) (free uint64) {
	for _, d := range devices {
		if d.Kind != mullama.DeviceCPU {
			free += d.MemoryFree
		}
	}
	return free
}

// smiUsed is the memory in use of all NVIDIA GPUs by nvidia-smi, -1 where it does not tell.
func smiUsed(ctx context.Context) int64 {
	out, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=memory.used",
		"--format=csv,noheader,nounits").Output()
	if err != nil {
		return -1
	}
	used := int64(0)
	for _, line := range strings.Fields(string(out)) {
		mib, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			return -1
		}
		used += mib << 20
	}
	return used
}
