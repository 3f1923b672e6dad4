package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// verifyCommand builds `mullama verify`.
func (a *app) verifyCommand() *cobra.Command {
	o := &mullama.VerifyOptions{}
	var models string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Look for damaged files in the model store",
		Long: "Compute the digests of all files of the model store, and name those that are\n" +
			"damaged or missing. With --repair they are fetched anew. No daemon is needed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.verify(cmd.Context(), models, o)
		},
	}
	cmd.Flags().BoolVar(&o.Repair, "repair", false, "fetch what is damaged anew")
	a.defineModels(cmd, &models)
	defineInsecure(cmd, &o.Insecure)
	return cmd
}

func (a *app) defineModels(cmd *cobra.Command, models *string) {
	cmd.Flags().StringVar(models, "models", "",
		"`FOLDER` of the model store (default: ~/.ollama/models)")
}

func (a *app) verify(ctx context.Context, folder string, o *mullama.VerifyOptions) error {
	store, err := a.storeAt(folder)
	if err != nil {
		return err
	}
	defer store.Close()
	ctx, stop := a.interruptible(ctx)
	defer stop()
	bad, err := store.Verify(ctx, o)
	if err != nil {
		return err
	}
	lost := 0
	for _, b := range bad {
		state := "mended"
		if !b.Mended {
			lost++
			state = sentence(b.Err.Error())
		}
		fmt.Fprintf(a.stdout, "%s of %s: %s\n", b.Digest, strings.Join(b.Models, ", "), state)
	}
	switch {
	case lost > 0:
		f := &failure{code: exitFailed, message: fmt.Sprintf("%d files are damaged", lost)}
		return f.withHint("'mullama verify --repair' fetches them anew")
	case len(bad) == 0:
		fmt.Fprintln(a.stdout, "all files are as they should be")
	}
	return nil
}

// storeAt opens the model store in a folder.
func (a *app) storeAt(folder string) (modelStore, error) {
	if folder == "" {
		folder = a.env.models()
	}
	models, err := storeFolder(folder)
	if err != nil {
		return nil, err
	}
	return a.openStore(mullama.Options{Logger: a.logger(), ModelsDir: models})
}

// pruneCommand builds `mullama prune`.
func (a *app) pruneCommand() *cobra.Command {
	var models string
	age := 24 * time.Hour
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove files that no model has from the model store",
		Long: "Remove files of the model store that no model has, and what is left of pulls\n" +
			"that were given up. No daemon is needed, and one that runs is not disturbed.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			store, err := a.storeAt(models)
			if err != nil {
				return err
			}
			defer store.Close()
			freed, err := store.Prune(age)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "removed %s\n", byteCount(freed))
			return nil
		},
	}
	cmd.Flags().DurationVar(&age, "older-than", age, "leave files that are younger than this")
	a.defineModels(cmd, &models)
	return cmd
}
