package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const configLong = `Print the settings in effect, each with where it comes from.

Settings are flags, environment variables, and lines of a configuration file, in this order: the
first that says something counts. The file is the one of --config or MULLAMA_CONFIG, or else
mullama/config.yaml in $XDG_CONFIG_HOME or ~/.config, or else /etc/mullama/config.yaml.`

// configCommand builds `mullama config` and what belongs to it.
func (a *app) configCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the settings in effect, or check the configuration file",
		Long:  configLong,
		Args:  noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			rows, err := a.effectiveSettings()
			if err != nil {
				return err
			}
			return a.printSettings(rows, asJSON)
		},
	}
	defineJSON(cmd, &asJSON, "print JSON")
	cmd.AddCommand(a.configPathCommand(), a.configCheckCommand())
	return cmd
}

// noSubcommand is a check for commands that have sub-commands and can do without.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage("%s has no command %q", cmd.CommandPath(), args[0]).
		withHint("'%s --help' lists them", cmd.CommandPath())
}

// settingRow is a setting as it is printed.
type settingRow struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// effectiveSettings are the settings as serve would have them without flags.
func (a *app) effectiveSettings() ([]settingRow, error) {
	path, err := a.findConfig()
	if err != nil {
		return nil, err
	}
	file, err := a.checkedConfiguration(path)
	if err != nil {
		return nil, err
	}
	env := readSettings(a.getenv, file)
	var rows []settingRow
	for _, s := range allSettings() {
		row := settingRow{Key: s.key}
		row.Value, row.Source = s.effective(a.getenv, file)
		switch {
		case s.key == "cache" && row.Value == "":
			row.Value = env.cacheDir
		case s.key == "models" && row.Value == "":
			row.Value, _ = storeFolder("")
		case s.isSecret && row.Value != "":
			row.Value = "(set)"
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// checkedConfiguration reads a file and tries its settings as serve would.
func (a *app) checkedConfiguration(path string) (configuration, error) {
	file, err := readConfiguration(path)
	if err != nil {
		return file, err
	}
	env := readSettings(a.getenv, file)
	h, err := parseHost(env.host)
	if err != nil {
		_, source := general("host").effective(a.getenv, file)
		return file, usage("%s: host: %s", source, err)
	}
	f, scratch := newServeFlags(), &cobra.Command{}
	f.define(scratch)
	if err := f.settle(scratch, env); err != nil {
		return file, err
	}
	keys, err := f.keys()
	if err != nil {
		return file, err
	}
	if err := f.check(h, keys); err != nil {
		return file, err
	}
	return file, f.load.resolve()
}

func (a *app) printSettings(rows []settingRow, asJSON bool) error {
	if asJSON {
		return a.printJSON(struct {
			Settings []settingRow `json:"settings"`
		}{rows})
	}
	columns := table(a.stdout)
	fmt.Fprintf(columns, "SETTING\tVALUE\tSOURCE\n")
	for _, row := range rows {
		value := oneLine(row.Value)
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(columns, "%s\t%s\t%s\n", row.Key, value, row.Source)
	}
	columns.end()
	return nil
}

// configPathCommand builds `mullama config path`.
func (a *app) configPathCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "path",
		Short: "Print the path of the configuration file that is read",
		Long: "Print the path of the configuration file that is read. Without one, the exit\n" +
			"code is 3.",
		Args: nothing,
		RunE: func(*cobra.Command, []string) error {
			path, err := a.findConfig()
			if err != nil {
				return err
			}
			if path == "" {
				return (&failure{code: exitNotFound, message: "there is no configuration file"}).
					withHint("it would be %s", strings.Join(usualConfigs(a.getenv), ", or "))
			}
			fmt.Fprintln(a.stdout, path)
			return nil
		},
	}
}

// configCheckCommand builds `mullama config check`.
func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration file, and the environment with it",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("check takes one file, not %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := a.findConfig()
			if len(args) == 1 {
				path, err = args[0], nil
			}
			if err != nil {
				return err
			}
			if _, err := a.checkedConfiguration(path); err != nil {
				return err
			}
			if path == "" {
				path = "there is no configuration file; the environment"
			}
			fmt.Fprintf(a.stdout, "%s is in order\n", path)
			return nil
		},
	}
}
