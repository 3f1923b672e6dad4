package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama/api"
)

// listCommand builds `mullama list`.
func (a *app) listCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list [PREFIX]",
		Aliases: []string{"ls"},
		Short:   "List the models of the store",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.list(cmd.Context(), strings.Join(args, ""), asJSON)
		},
	}
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

func (a *app) list(ctx context.Context, prefix string, asJSON bool) error {
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	all, err := client.List(ctx)
	if err != nil {
		return daemonError(err)
	}
	models := []api.ListedModel{}
	for _, m := range all.Models {
		if strings.HasPrefix(strings.ToLower(m.Name), strings.ToLower(prefix)) {
			models = append(models, m)
		}
	}
	if asJSON {
		return a.printJSON(api.ListResponse{Models: models})
	}
	rows := table(a.stdout)
	fmt.Fprintf(rows, "NAME\tID\tSIZE\tMODIFIED\n")
	for _, m := range models {
		fmt.Fprintf(rows, "%s\t%s\t%s\t%s\n", oneLine(m.Name), shortID(m.Digest),
			shortBytes(m.Size), moment(m.ModifiedAt))
	}
	rows.end()
	return nil
}

// shortID is how much of a digest tells models apart.
func shortID(digest string) string {
	const enough = 12
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(len(digest), enough)]
}

// psCommand builds `mullama ps`.
func (a *app) psCommand() *cobra.Command {
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List the models that are loaded",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.running(cmd.Context(), asJSON, verbose)
		},
	}
	defineJSON(cmd, &asJSON, "print JSON")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "add what each takes on which device")
	return cmd
}

func (a *app) running(ctx context.Context, asJSON, verbose bool) error {
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	loaded, err := client.Running(ctx)
	if err != nil {
		return daemonError(err)
	}
	if asJSON {
		return a.printJSON(loaded)
	}
	rows := table(a.stdout)
	fmt.Fprintf(rows, "NAME\tID\tSIZE\tPROCESSOR\tCONTEXT\tUNTIL\n")
	for _, m := range loaded.Models {
		fmt.Fprintf(rows, "%s\t%s\t%s\t%s\t%d\t%s\n", oneLine(m.Name), shortID(m.Digest),
			shortBytes(m.Size), processor(m), m.ContextLength, until(m))
	}
	rows.end()
	for _, m := range loaded.Models {
		if verbose && m.Plan != nil {
			fmt.Fprintf(a.stdout, "\n%s\n", oneLine(m.Name))
			printPlan(a.stdout, m.Plan, "  ")
		}
	}
	return nil
}

// processor says where a model's bytes are.
func processor(m api.RunningModel) string {
	switch {
	case m.SizeVRAM <= 0 || m.Size <= 0:
		return "100% CPU"
	case m.SizeVRAM >= m.Size:
		return "100% GPU"
	}
	gpu := int(float64(m.SizeVRAM)/float64(m.Size)*100 + 0.5)
	return fmt.Sprintf("%d%%/%d%% CPU/GPU", 100-gpu, gpu)
}

// until says how long a model stays.
func until(m api.RunningModel) string {
	const forever = 100 * 365 * 24 * time.Hour
	left := time.Until(m.ExpiresAt)
	switch {
	case m.Loading:
		return "Loading..."
	case m.ExpiresAt.IsZero() || left > forever:
		return "Forever"
	case left < 0:
		return "Stopping..."
	}
	return moment(m.ExpiresAt)
}

// stopCommand builds `mullama stop`.
func (a *app) stopCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stop MODEL",
		Short: "Unload a model",
		Long: "Unload a model when its running requests have ended. Its files stay in the\n" +
			"store, and the next request loads it again.",
		Args: exactly(1, "a model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			if err := client.Unload(cmd.Context(), args[0]); err != nil || !asJSON {
				return daemonError(err)
			}
			return a.printJSON(map[string]string{"stopped": args[0]})
		},
	}
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

// copyCommand builds `mullama cp`.
func (a *app) copyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cp SOURCE DESTINATION",
		Short: "Give a model another name",
		Args:  exactly(2, "a model and its new name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.daemon(cmd.Context())
			if err != nil {
				return err
			}
			req := &api.CopyRequest{Source: args[0], Destination: args[1]}
			if err := client.Copy(cmd.Context(), req); err != nil {
				return daemonError(err)
			}
			if asJSON {
				return a.printJSON(req)
			}
			fmt.Fprintf(a.stdout, "copied '%s' to '%s'\n", args[0], args[1])
			return nil
		},
	}
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

// removeCommand builds `mullama rm`.
func (a *app) removeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rm MODEL...",
		Short: "Remove models from the store",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("rm needs a model").withHint("%s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.remove(cmd.Context(), args, asJSON)
		},
	}
	defineJSON(cmd, &asJSON, "print one JSON object per model")
	return cmd
}

func (a *app) remove(ctx context.Context, names []string, asJSON bool) error {
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := client.Delete(ctx, &api.DeleteRequest{Model: name}); err != nil {
			return daemonError(err)
		}
		if !asJSON {
			fmt.Fprintf(a.stdout, "deleted '%s'\n", name)
		} else if err := a.printJSON(map[string]string{"deleted": name}); err != nil {
			return err
		}
	}
	return nil
}

// exactly returns a check for commands that take n arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("%s needs %s", cmd.Name(), what).withHint("%s", cmd.UseLine())
		}
		return nil
	}
}
