package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

const pullLong = `Fetch a model from a registry into the daemon's store.

A name without a host is Ollama's: llama3.2:1b. Others are HOST/NAMESPACE/MODEL:TAG, as in
hf.co/USER/REPOSITORY:Q4_K_M; hf:USER/REPOSITORY[:FILE][@REVISION] fetches GGUF files.

What is there already is not fetched again, and a pull that was interrupted goes on where it was.`

// transferFlags is what the flags of pull and push say.
type transferFlags struct {
	insecure bool
	parallel int
	rate     uint64
	json     bool
}

func (f *transferFlags) define(cmd *cobra.Command) {
	defineInsecure(cmd, &f.insecure)
	cmd.Flags().Var(indexFlag(&f.parallel), "parallel", "requests at once; 0: 8")
	cmd.Flags().Var(bytesFlag(&f.rate), "limit-rate",
		"most bytes in a second, as 5M or 500kB (default: no limit)")
	defineJSON(cmd, &f.json, "print one JSON object per step")
}

func (f *transferFlags) request(model string) *api.PullRequest {
	return &api.PullRequest{Model: model, Insecure: f.insecure, Parallel: f.parallel,
		BytesPerSecond: int64(min(f.rate, math.MaxInt64))}
}

// pullCommand builds `mullama pull`.
func (a *app) pullCommand() *cobra.Command {
	f := &transferFlags{}
	cmd := &cobra.Command{
		Use:     "pull MODEL",
		Short:   "Fetch a model from a registry",
		Long:    pullLong,
		Example: "  mullama pull llama3.2:1b\n  mullama pull hf.co/user/repository:Q4_K_M",
		Args:    exactly(1, "a model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.pull(cmd.Context(), args[0], f)
			return err
		},
	}
	f.define(cmd)
	return cmd
}

func defineInsecure(cmd *cobra.Command, insecure *bool) {
	cmd.Flags().BoolVar(insecure, "insecure", false, "allow a registry without encryption (http)")
}

func defineJSON(cmd *cobra.Command, asJSON *bool, usage string) {
	cmd.Flags().BoolVar(asJSON, "json", false, usage)
}

// pull fetches a model and returns the name that it has in the store.
func (a *app) pull(ctx context.Context, name string, f *transferFlags) (string, error) {
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		return nameOfFile(path), a.importFile(ctx, "", path, nameOfFile(path), f.json)
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return "", err
	}
	ctx, stop := a.interruptible(ctx)
	defer stop()
	stored, err := a.follow(ctx, client.Pull(ctx, f.request(name)), f.json)
	if stored == "" {
		stored = name
	}
	return stored, err
}

// pushCommand builds `mullama push`.
func (a *app) pushCommand() *cobra.Command {
	f := &transferFlags{}
	cmd := &cobra.Command{
		Use:   "push MODEL",
		Short: "Send a model to its registry",
		Long: "Send a model to the registry that its name says; 'mullama cp' gives it a name\n" +
			"there. The registry knows this user by the key ~/.ollama/id_ed25519.pub, which is\n" +
			"made when a registry asks for it.",
		Args: exactly(1, "a model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			ctx, stop := a.interruptible(cmd.Context())
			defer stop()
			request := api.PushRequest(*f.request(args[0]))
			_, err = a.follow(ctx, client.Push(ctx, &request), f.json)
			return err
		},
	}
	f.define(cmd)
	return cmd
}

// storedAs begins the step that tells the name of a model that was pulled under another.
const storedAs = "stored as "

// follow shows how far the daemon is, and returns the name under which it stored the model, if it
// tells one.
func (a *app) follow(
	ctx context.Context, parts iter.Seq2[*api.ProgressResponse, error], asJSON bool,
) (stored string, err error) {
	view := a.newTransferView()
	defer view.end()
	for part, err := range parts {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if status := (*api.StatusError)(nil); errors.As(err, &status) && status.StatusCode == 0 {
			return "", mullama.DaemonError("", err) // within the answer, which tells but the kind
		}
		if err != nil {
			return "", daemonError(err)
		}
		if name, ok := strings.CutPrefix(part.Status, storedAs); ok {
			stored = name
		}
		if !asJSON {
			view.show(part)
		} else if err := a.printJSON(part); err != nil {
			return "", err
		}
	}
	return stored, nil
}

// transferView shows the steps of a pull, push or create: on a terminal each has a line with a bar,
// elsewhere its text alone.
type transferView struct {
	app  *app
	bars bool

	status string
	begun  time.Time // of this step
	first  int64     // bytes that were there when it began
	drawn  time.Time
	open   bool // the line is not ended
}

func (a *app) newTransferView() *transferView {
	return &transferView{app: a, bars: a.stderrIsTerminal && !a.env.dumb}
}

// show tells about one step, or how far it is.
func (v *transferView) show(p *api.ProgressResponse) {
	if p.Status != v.status {
		v.end()
		v.status, v.begun, v.first, v.drawn = p.Status, time.Now(), p.Completed, time.Time{}
		if !v.bars || p.Total == 0 {
			fmt.Fprintln(v.app.stderr, printable(p.Status))
			return
		}
	}
	const often = 100 * time.Millisecond
	if !v.bars || p.Total == 0 || p.Completed < p.Total && time.Since(v.drawn) < often {
		return
	}
	v.drawn, v.open = time.Now(), true
	fmt.Fprintf(v.app.stderr, "\r%s\x1b[K", v.line(p))
}

// line is the line of a step on a terminal.
func (v *transferView) line(p *api.ProgressResponse) string {
	fraction := min(1, max(0, float64(p.Completed)/float64(p.Total)))
	filled := int(fraction * progressCells)
	full, rest := strings.Repeat("█", filled), strings.Repeat("░", progressCells-filled)
	if !v.app.env.plain {
		full = "\x1b[36m" + full + "\x1b[0m"
	}
	text := fmt.Sprintf("%s %s%s %3d %%  %s of %s", printable(p.Status), full, rest,
		int(100*fraction), byteCount(p.Completed), byteCount(p.Total))
	took := time.Since(v.begun)
	if came := p.Completed - v.first; p.Completed < p.Total && came > 0 && took > time.Second {
		speed := float64(came) / took.Seconds()
		left := time.Duration(float64(p.Total-p.Completed) / speed * float64(time.Second))
		text += fmt.Sprintf("  %s/s  %s", byteCount(int64(speed)), left.Round(time.Second))
	}
	return text
}

// byteCount is shortBytes, also of nothing.
func byteCount(n int64) string {
	if n <= 0 {
		return "0 B"
	}
	return shortBytes(n)
}

// end ends the line of the last step.
func (v *transferView) end() {
	if v.open {
		fmt.Fprintln(v.app.stderr)
	}
	v.open = false
}
