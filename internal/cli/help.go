package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the column at which flag descriptions wrap.
const helpWidth = 100

// groupAnnotation marks a flag with the heading it is listed under.
const groupAnnotation = "mullama-group"

// addGroup adds the flags that define declares to cmd, listed under title in its help.
func addGroup(cmd *cobra.Command, title string, define func(*pflag.FlagSet)) {
	set := pflag.NewFlagSet(title, pflag.ContinueOnError)
	set.SortFlags = false
	define(set)
	set.VisitAll(func(f *pflag.Flag) {
		f.Annotations = map[string][]string{groupAnnotation: {title}}
	})
	cmd.Flags().SortFlags = false
	cmd.Flags().AddFlagSet(set)
}

// printUsage writes the usage part of a command's help: call, commands, flags by group.
func printUsage(cmd *cobra.Command) error {
	w := cmd.OutOrStderr()
	fmt.Fprintf(w, "Usage:\n  %s\n", useLine(cmd))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nCommands:\n")
		printCommands(cmd, func(sub *cobra.Command) bool { return sub.IsAvailableCommand() })
	}
	if cmd.HasHelpSubCommands() {
		fmt.Fprintf(w, "\nTopics:\n")
		printCommands(
			cmd,
			func(sub *cobra.Command) bool { return sub.IsAdditionalHelpTopicCommand() },
		)
	}
	for _, group := range flagGroups(cmd) {
		fmt.Fprintf(w, "\n%s:\n%s", group.Name(), group.FlagUsagesWrapped(helpWidth))
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	return nil
}

// useLine returns how cmd is called.
func useLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		line := cmd.CommandPath() + " COMMAND"
		if strings.Contains(cmd.Use, " ") { // it takes arguments of its own as well
			line = cmd.UseLine() + "\n  " + line
		}
		return line
	}
	return cmd.UseLine()
}

// printCommands lists the subcommands of cmd that want lets through.
func printCommands(cmd *cobra.Command, want func(*cobra.Command) bool) {
	rows := table(cmd.OutOrStderr())
	for _, sub := range cmd.Commands() {
		if want(sub) || sub.Name() == "help" && sub.IsAvailableCommand() {
			fmt.Fprintf(rows, "  %s\t%s\n", sub.Name(), sub.Short)
		}
	}
	rows.end()
}

// flagGroups returns the flags of cmd as one named set per heading, in the order of declaration.
func flagGroups(cmd *cobra.Command) []*pflag.FlagSet {
	var groups []*pflag.FlagSet
	find := func(title string) *pflag.FlagSet {
		for _, group := range groups {
			if group.Name() == title {
				return group
			}
		}
		group := pflag.NewFlagSet(title, pflag.ContinueOnError)
		group.SortFlags = false
		groups = append(groups, group)
		return group
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if cmd.InheritedFlags().Lookup(f.Name) != nil {
			return // is in the help of the program
		}
		title := "Flags"
		if names := f.Annotations[groupAnnotation]; len(names) > 0 {
			title = names[0]
		}
		find(title).AddFlag(f)
	})
	return groups
}

// exitCodesTopic is the page behind `mullama help exit-codes`.
func exitCodesTopic() *cobra.Command {
	var text strings.Builder
	text.WriteString("The program ends with one of these codes:\n\n")
	rows := table(&text)
	for _, row := range exitMeanings {
		fmt.Fprintf(rows, "  %d\t%s\n", row.code, row.meaning)
	}
	rows.end()
	text.WriteString(
		"\nErrors are printed to stderr as one sentence that starts with 'mullama:',\n" +
			"followed by a line that starts with 'hint:' when there is something to do about it.",
	)
	return &cobra.Command{Use: "exit-codes", Short: "what the exit codes mean", Long: text.String()}
}

// environmentTopic is the page behind `mullama help environment`.
func environmentTopic() *cobra.Command {
	var text strings.Builder
	text.WriteString("Environment variables:\n\n")
	rows := table(&text)
	for _, row := range variables {
		fmt.Fprintf(rows, "  %s\t%s\n", row[0], row[1])
	}
	rows.end()
	text.WriteString("\nFor 'mullama serve', whose names may begin with OLLAMA_ too:\n\n")
	rows = table(&text)
	for _, v := range serveVariables {
		like := v.flags[0]
		if v.name == "SCHED_SPREAD" {
			like += " layer, if it is 1"
		}
		fmt.Fprintf(rows, "  MULLAMA_%s\tlike --%s\n", v.name, like)
	}
	rows.end()
	return &cobra.Command{
		Use:   "environment",
		Short: "the environment variables that are read",
		Long:  strings.TrimRight(text.String(), "\n"),
	}
}
