package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// modelArguments says how many of a command's first arguments are models of the store; -1: all.
var modelArguments = map[string]int{"run": 1, "show": 1, "push": 1, "stop": 1, "cp": 1, "rm": -1,
	"pull": 1, "embed": 1, "rerank": 1, "score": 1}

// fileArguments are the commands that take files in place of models.
var fileArguments = []string{"run", "show", "embed", "rerank", "score"}

// addCompletion lets shells complete the names of models. They are read from the store, which is
// quick and starts no daemon.
func (a *app) addCompletion(commands []*cobra.Command) {
	for _, cmd := range commands {
		most, ok := modelArguments[cmd.Name()]
		if ok {
			cmd.ValidArgsFunction = a.completeModels(most, slices.Contains(fileArguments,
				cmd.Name()))
		}
		if cmd.Flags().Lookup("model") != nil && cmd.Name() == "serve" {
			_ = cmd.RegisterFlagCompletionFunc("model", a.completeModels(-1, false))
		}
	}
}

// completeModels completes the first arguments, up to most of them. With files, those are proposed
// where no model is.
func (a *app) completeModels(most int, files bool) cobra.CompletionFunc {
	return func(
		_ *cobra.Command, args []string, begun string,
	) ([]cobra.Completion, cobra.ShellCompDirective) {
		rest := cobra.ShellCompDirectiveNoFileComp
		if files {
			rest = cobra.ShellCompDirectiveDefault
		}
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, name := range a.storedNames() {
			if strings.HasPrefix(name, begun) && !slices.Contains(args, name) {
				names = append(names, name)
			}
		}
		return names, rest
	}
}

// storedNames are the names of the models of the store, none where it cannot be read: there is
// nobody to tell.
func (a *app) storedNames() []string {
	if a.getenv != nil {
		if path, err := a.findConfig(); err == nil {
			if c, err := readConfiguration(path); err == nil {
				a.env = readSettings(a.getenv, c)
			}
		}
	}
	folder, err := storeFolder(a.env.models())
	if err != nil {
		return nil
	}
	return mullama.StoredNames(folder)
}
