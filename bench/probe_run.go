package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// probes is a run of a group that measures in fresh processes, one after the other.
type probes struct {
	o        options
	ours     program // starts a probe
	baseline program // "" where the group has none
	result   *Result
	say      func(format string, args ...any)
	round    int
	timeUp   func() bool // the time limit has passed
}

// newProbes begins a run.
func newProbes(cmd *cobra.Command, group string, o options) (*probes, error) {
	model, err := describeModel(o.model)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's own file: %w", err)
	}
	p := &probes{o: o, timeUp: func() bool { return timeIsUp(cmd.Context()) },
		say: func(format string, args ...any) {
			fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
		}}
	p.ours = append(program{self}, strings.Fields(cmd.Parent().CommandPath())[1:]...)
	p.ours = append(p.ours, "probe")
	if o.library != "" {
		p.ours = append(p.ours, "--library", o.library)
	}
	p.result = newResult(group, commandLine(cmd, model.File), model, o.Config)
	if p.result.Machine.GPUs, err = readGPUs(o.library); err != nil {
		return nil, err
	}
	return p, nil
}

// compared has the group measure llama.cpp alone as well.
func (p *probes) compared() (err error) {
	p.baseline, err = oracleProgram(p.o.oracle, p.o.library)
	return err
}

// rounds measures all cases in each round. When the time is up it leaves it at what there is.
func (p *probes) rounds(measure func() error) error {
	for p.round = 1; p.round <= p.o.Rounds; p.round++ {
		err := measure()
		if p.timeUp() && len(p.result.Points) > 0 {
			p.warn(cutShort)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add books a point of this round.
func (p *probes) add(name string, values, baseline map[string]float64) {
	p.say("round %d, %s: %s", p.round, name, valuesText(p.result.Group, values, baseline))
	p.result.Points = append(p.result.Points,
		Point{Round: p.round, Case: name, Values: values, Baseline: baseline})
}

// warn adds a warning to the result, once.
func (p *probes) warn(text string) {
	if !slices.Contains(p.result.Warnings, text) {
		p.result.Warnings = append(p.result.Warnings, text)
		p.say("warning: %s", text)
	}
}

func valuesText(group string, values, baseline map[string]float64) string {
	var parts []string
	for _, c := range pointColumns[group] {
		v, ok := values[c.key]
		if !ok {
			continue
		}
		text := c.key + " " + number(v)
		if b, ok := baseline[c.key]; ok {
			text += " (" + baselineOf(group) + " " + number(b) + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// finish writes the result.
func (p *probes) finish(out io.Writer) error {
	p.result.Finished = time.Now().UTC()
	p.result.Rows = pointRows(p.result.Group, p.result.Points)
	return p.o.write(out, p.result)
}

// loadOptions are what every probe of a run has in common.
func (p *probes) loadOptions() mullama.LoadOptions {
	return mullama.LoadOptions{
		ContextSize: p.o.Context, Slots: p.o.Slots, Threads: p.o.Threads,
		BatchThreads: p.o.Threads,
	}
}

// work is a probe's, with the lengths that the flags give.
func (p *probes) work(load mullama.LoadOptions) probeWork {
	return probeWork{Load: load, Prompt: p.o.PromptTokens, Generate: p.o.GenerateTokens,
		Reps: p.o.Reps}
}

// probe runs our side in a process of its own.
func (p *probes) probe(ctx context.Context, w probeWork) (*probed, error) {
	cmd, stderr, err := p.command(ctx, w)
	if err != nil {
		return nil, err
	}
	out, err := cmd.Output()
	if err != nil {
		return nil, stageError(p.ours, "probe", err, stderr.String())
	}
	got := &probed{}
	if err := json.Unmarshal(out, got); err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	return got, nil
}

func (p *probes) command(ctx context.Context, w probeWork) (*exec.Cmd, *bytes.Buffer, error) {
	work, err := json.Marshal(w)
	if err != nil {
		return nil, nil, err
	}
	args := append(slices.Clone(p.ours[1:]), p.o.model, string(work))
	cmd := exec.CommandContext(ctx, p.ours[0], args...)
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	return cmd, stderr, nil
}

// alone has llama.cpp alone do the same, and returns its speeds.
func (p *probes) alone(ctx context.Context, options ...string) (map[string]float64, error) {
	args := append(slices.Clone(p.baseline[1:]), "batched", p.o.model, "x", "streams=1", "slots=1",
		fmt.Sprintf("prompt=%d", p.o.PromptTokens), fmt.Sprintf("generate=%d", p.o.GenerateTokens),
		fmt.Sprintf("reps=%d", p.o.Reps), fmt.Sprintf("threads=%d", p.o.Threads),
		fmt.Sprintf("ctx=%d", p.o.Context))
	cmd := exec.CommandContext(ctx, p.baseline[0], append(args, options...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, stageError(p.baseline, "batched", err, stderr.String())
	}
	lines := json.NewDecoder(bytes.NewReader(out))
	var header Header
	if err := lines.Decode(&header); err != nil {
		return nil, fmt.Errorf("first line of %s: %w", p.baseline[0], err)
	}
	p.result.Versions.Baseline = header.Engine
	var reps []Repetition
	for lines.More() {
		var r Repetition
		if err := lines.Decode(&r); err != nil {
			return nil, fmt.Errorf("repetition of %s: %w", p.baseline[0], err)
		}
		r.Generated-- // its first token belongs to the prompt
		reps = append(reps, r)
	}
	return paces(reps), nil
}

// paces are the speeds of repetitions, their medians.
func paces(reps []Repetition) map[string]float64 {
	var pp, tg []float64
	for _, r := range reps {
		pp = append(pp, float64(r.PromptTokens)/r.PromptSeconds)
		if r.Generated > 0 && r.Seconds > 0 {
			tg = append(tg, float64(r.Generated)/r.Seconds)
		}
	}
	values := map[string]float64{}
	if len(pp) > 0 {
		values["pp"] = median(pp)
	}
	if len(tg) > 0 {
		values["tg"] = median(tg)
	}
	return values
}

// memory adds the memory of a probe to its values. GPU memory is there where there are GPUs.
func (g *probed) memory(values map[string]float64) {
	kb := func(n int64) float64 { return float64(n) * 1024 / 1e6 }
	values["peak_rss_mb"], values["rss_mb"] = kb(g.Memory.Peak), kb(g.Memory.RSS)
	values["rss_file_mb"] = kb(g.Memory.File)
	if len(g.GPUs) > 0 {
		values["device_mb"] = float64(g.Device) / 1e6
	}
	if g.SMI > 0 {
		values["smi_mb"] = float64(g.SMI) / 1e6
	}
	if g.Plan == nil {
		return
	}
	var gpu uint64
	for _, d := range g.Plan.Devices {
		values["plan_weights_mb"] += float64(d.Weights) / 1e6
		values["plan_cache_mb"] += float64(d.Cache) / 1e6
		values["plan_compute_mb"] += float64(d.Compute) / 1e6
		if d.GPU {
			gpu += d.Size()
		}
	}
	if len(g.GPUs) > 0 {
		values["plan_device_mb"] = float64(gpu) / 1e6
	}
}
