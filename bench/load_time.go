package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama/bench/load"
)

func loadTimeCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "load-time",
		Short: "Measure loading with and without mapping the file, from disk and from memory",
		Long: `Measure how long a fresh process takes to load the model and to its first token, and
what memory it has then: with the file mapped and read, and with the file in the page cache and not.
For the latter the system is told to forget the file's pages, which no other process may map then.
A daemon that has loaded nothing answers a request as well. At the end two processes map the file at
once, to show what they share.`,
		Example: "  mullama bench load-time --model smollm2.gguf",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return loadTime(cmd, o) },
	}
	o.Rounds, o.PromptTokens, o.GenerateTokens = 3, 16, 2
	o.probeFlags(cmd)
	return cmd
}

// loadTime runs the group and writes its result.
func loadTime(cmd *cobra.Command, o options) error {
	if err := o.checkProbe(); err != nil {
		return err
	}
	p, err := newProbes(cmd, "load-time", o)
	if err != nil {
		return err
	}
	if err := forget(o.model); err != nil {
		return err
	}
	err = p.rounds(func() error {
		for _, mode := range []string{"mmap", "read"} {
			for _, cold := range []bool{true, false} {
				if err := p.loaded(cmd, mode, cold); err != nil {
					return err
				}
			}
		}
		for _, cold := range []bool{true, false} {
			if err := p.served(cmd, cold); err != nil {
				return err
			}
		}
		return p.shared(cmd)
	})
	if err != nil {
		return err
	}
	return p.finish(cmd.OutOrStdout())
}

// loaded measures one load.
func (p *probes) loaded(cmd *cobra.Command, mode string, cold bool) error {
	name := mode + " warm"
	if cold {
		name = mode + " cold"
		if err := forget(p.o.model); err != nil {
			return err
		}
	}
	got, err := p.probe(cmd.Context(), p.loadWork(mode))
	if err != nil {
		return err
	}
	if least := p.result.Model.SizeBytes * 9 / 10; cold && got.Disk < least {
		p.warn("the page cache kept a part of the file, which another process may map, so cold " +
			"loads are not wholly from disk")
	}
	p.add(name, got.loading(), nil)
	return nil
}

// served measures the first request to a daemon, which loads the model for it.
func (p *probes) served(cmd *cobra.Command, cold bool) (err error) {
	s := streamOptions{options: p.o}
	work, err := s.serving()
	if err != nil {
		return err
	}
	d, start, err := prepareDaemon(cmd.Context(), work, false)
	if err != nil {
		return err
	}
	name, files := "daemon warm", []string(nil)
	if cold {
		name = "daemon cold"
		files, err = filepath.Glob(filepath.Join(d.store(), "blobs", "*"))
	}
	for _, file := range files {
		err = errors.Join(err, forget(file))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(d.dir))
	}
	if err := d.start(cmd.Context(), start); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	run, err := answered(cmd.Context(), load.Work{URL: d.url, Model: servedName, Requests: 1,
		Streams: 1, PromptTokens: p.o.PromptTokens, Tokens: p.o.GenerateTokens, Seed: 1})
	if err != nil {
		return err
	}
	a := run.Answers[0]
	p.add(name, map[string]float64{"first_token_s": a.Times[0] - a.Start}, nil)
	return nil
}

// loadWork is a load and its first token.
func (p *probes) loadWork(mode string) probeWork {
	load := p.loadOptions()
	load.LoadMode = mode
	w := p.work(load)
	w.Reps = 0
	return w
}

// loading are the values of a probe that are about its load.
func (g *probed) loading() map[string]float64 {
	values := map[string]float64{"load_s": g.Load, "first_token_s": g.First,
		"disk_mb": float64(g.Disk) / 1e6, "rss_mb": float64(g.Memory.RSS) * 1024 / 1e6,
		"rss_file_mb": float64(g.Memory.File) * 1024 / 1e6}
	if g.PSS > 0 {
		values["pss_mb"] = float64(g.PSS) * 1024 / 1e6
	}
	return values
}

// shared has two processes map the file at once. What is measured is the first, when both have it.
func (p *probes) shared(cmd *cobra.Command) error {
	first, err := p.hold(cmd)
	if err != nil {
		return err
	}
	second, err := p.hold(cmd)
	if err != nil {
		_, ended := first.release()
		return errors.Join(err, ended)
	}
	got, err := first.release()
	_, ended := second.release()
	if err := errors.Join(err, ended); err != nil {
		return err
	}
	values := got.loading()
	for _, timed := range []string{"load_s", "first_token_s", "disk_mb"} {
		delete(values, timed)
	}
	p.add("mmap by two processes", values, nil)
	return nil
}

// held is a probe that stays until it is released.
type held struct {
	program program
	cmd     *exec.Cmd
	stdin   io.Closer
	lines   *json.Decoder
	stderr  *bytes.Buffer
}

// hold starts a probe and returns when it has the model loaded.
func (p *probes) hold(cmd *cobra.Command) (*held, error) {
	w := p.loadWork("mmap")
	w.Hold = true
	h := &held{program: p.ours}
	var err error
	if h.cmd, h.stderr, err = p.command(cmd.Context(), w); err != nil {
		return nil, err
	}
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a probe: %w", err)
	}
	h.lines = json.NewDecoder(out)
	if err := h.lines.Decode(&probed{}); err != nil {
		_, ended := h.release()
		return nil, errors.Join(ended, err)
	}
	return h, nil
}

// release returns what the probe says of its memory now, and ends it.
func (h *held) release() (got probed, err error) {
	err = errors.Join(h.stdin.Close(), h.lines.Decode(&got))
	if ended := h.cmd.Wait(); ended != nil {
		return got, stageError(h.program, "probe", ended, h.stderr.String())
	}
	return got, err
}
