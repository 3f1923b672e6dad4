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
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Look for damaged files in the model store",
		Long: "Compute the digests of all files of the model store, and name those that are\n" +
			"damaged or missing. With --repair they are fetched anew. No daemon is needed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.verify(cmd.Context(), models, o, asJSON)
		},
	}
	cmd.Flags().BoolVar(&o.Repair, "repair", false, "fetch what is damaged anew")
	a.defineModels(cmd, &models)
	defineInsecure(cmd, &o.Insecure)
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

func (a *app) defineModels(cmd *cobra.Command, models *string) {
	cmd.Flags().StringVar(models, "models", "",
		"`FOLDER` of the model store (default: ~/.ollama/models)")
}

// damagedFile is a file that verify found, as JSON.
type damagedFile struct {
	Digest string   `json:"digest"`
	Models []string `json:"models"`
	Error  string   `json:"error"`
	Mended bool     `json:"mended"`
}

// verifyReport is what verify prints as JSON.
type verifyReport struct {
	OK      bool          `json:"ok"`
	Damaged []damagedFile `json:"damaged"`
}

func (a *app) verify(
	ctx context.Context, folder string, o *mullama.VerifyOptions, asJSON bool,
) error {
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
	report, lost := verifyReport{Damaged: []damagedFile{}}, 0
	for _, b := range bad {
		d := damagedFile{Digest: b.Digest, Models: append([]string{}, b.Models...),
			Mended: b.Mended}
		if !b.Mended {
			lost++
			d.Error = sentence(b.Err.Error())
		}
		report.Damaged = append(report.Damaged, d)
	}
	report.OK = lost == 0
	if asJSON {
		err = a.printJSON(report)
	} else {
		a.printVerified(report)
	}
	if err != nil || lost == 0 {
		return err
	}
	f := &failure{code: exitFailed, message: damaged(lost)}
	if o.Repair {
		return f.withHint("pull or create the models again")
	}
	return f.withHint("'mullama verify --repair' fetches them anew")
}

// damaged says how many files are.
func damaged(n int) string {
	if n == 1 {
		return "1 file is damaged"
	}
	return fmt.Sprintf("%d files are damaged", n)
}

func (a *app) printVerified(report verifyReport) {
	for _, d := range report.Damaged {
		state := d.Error
		if d.Mended {
			state = "mended"
		}
		if d.Digest == "" {
			fmt.Fprintln(a.stdout, state) // names the file
			continue
		}
		fmt.Fprintf(a.stdout, "%s of %s: %s\n", d.Digest, strings.Join(d.Models, ", "), state)
	}
	if len(report.Damaged) == 0 {
		fmt.Fprintln(a.stdout, "all files are as they should be")
	}
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
	var asJSON bool
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
			if asJSON {
				return a.printJSON(map[string]int64{"freed_bytes": freed})
			}
			fmt.Fprintf(a.stdout, "removed %s\n", byteCount(freed))
			return nil
		},
	}
	cmd.Flags().DurationVar(&age, "older-than", age, "leave files that are younger than this")
	a.defineModels(cmd, &models)
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}
