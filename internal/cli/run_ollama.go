package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// ollamaFlags are flags of Ollama's run that ours had no other reason to have.
type ollamaFlags struct {
	keepAlive  *time.Duration // nil: as the daemon has it
	noWrap     bool
	dimensions int
	truncate   bool
}

func (f *ollamaFlags) define(cmd *cobra.Command) {
	addGroup(cmd, "As with Ollama", func(set *pflag.FlagSet) {
		set.Var(chosenDuration(&f.keepAlive), "keepalive",
			"how long the daemon keeps the model after the answer; less than 0: for ever")
		set.BoolVar(&f.noWrap, "nowordwrap", false, "changes nothing: lines are never wrapped")
		set.Var(countFlag(&f.dimensions), "dimensions",
			"numbers of an embedding, of a model that makes them")
		set.BoolVar(&f.truncate, "truncate", true,
			"cut the end off a text that is too long to embed")
	})
}

// embedding is how a model that embeds is run.
func (f *ollamaFlags) embedding() *mullama.EmbedOptions {
	return &mullama.EmbedOptions{Dimensions: f.dimensions, Truncate: f.truncate}
}

// keep tells the daemon how long a model of its store stays.
func (a *app) keep(ctx context.Context, model string, keepAlive *time.Duration) error {
	if keepAlive == nil || isFile(model) {
		return nil
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	return daemonError(client.Load(ctx, model, &api.Duration{Duration: *keepAlive}))
}

// chosenDuration is a flag for a duration that need not be given.
func chosenDuration(at **time.Duration) *value {
	return &value{
		kind: "duration",
		get:  func() string { return "" },
		set: func(text string) error {
			d, err := keepAliveFor(text)
			*at = &d
			return err
		},
	}
}
