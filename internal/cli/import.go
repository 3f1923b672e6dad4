package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// modelStore is the model store as the commands need it that ask no daemon.
type modelStore interface {
	// Import puts a GGUF file into the store under a name.
	Import(ctx context.Context, name, path string) (*mullama.StoredModel, error)
	// Verify looks for damaged files, Prune removes those that no model has.
	Verify(ctx context.Context, o *mullama.VerifyOptions) ([]mullama.BadBlob, error)
	Prune(age time.Duration) (int64, error)
	io.Closer
}

const importLong = `Put a GGUF file into the model store, so that the daemon serves it under a name.

The store shares the file's content where the disk can do that, as XFS and Btrfs can. Elsewhere the
file is linked, and writing to it would damage the model, or copied if it is on another disk. It may
be deleted afterwards. The name is that of the file unless one is given. No daemon is needed.`

// importCommand builds `mullama import`.
func (a *app) importCommand() *cobra.Command {
	var models string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import FILE [NAME]",
		Short: "Put a GGUF file into the model store",
		Long:  importLong,
		Example: "  mullama import SmolLM2-135M-Instruct.Q4_1.gguf smollm2\n" +
			"  mullama run smollm2 \"Hello\"",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage("import needs a file, and takes a name").withHint("%s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name := nameOfFile(args[0])
			if len(args) == 2 {
				name = args[1]
			}
			return a.importFile(cmd.Context(), models, args[0], name, asJSON)
		},
	}
	a.defineModels(cmd, &models)
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

// importedModel is what import prints as JSON.
type importedModel struct {
	File   string `json:"file"`
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

func (a *app) importFile(ctx context.Context, folder, path, name string, asJSON bool) error {
	store, err := a.storeAt(folder)
	if err != nil {
		return err
	}
	defer store.Close()
	ctx, stop := a.interruptible(ctx)
	defer stop()
	model, err := store.Import(ctx, name, path)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(importedModel{path, model.Name, model.Digest, model.Size})
	}
	fmt.Fprintf(a.stdout, "imported '%s' as '%s'\n", path, model.Name)
	return nil
}

var notInNames = regexp.MustCompile(`[^a-z0-9._-]+`)

// nameOfFile is the name of a model whose file has no other: "SmolLM2 1B.gguf" is "smollm2-1b".
func nameOfFile(path string) string {
	base := filepath.Base(path)
	name := strings.TrimSuffix(strings.ToLower(base), ".gguf")
	return strings.Trim(notInNames.ReplaceAllString(name, "-"), "-._")
}
