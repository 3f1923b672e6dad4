package bench

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
)

// suite runs groups one after the other, each in a process of its own, and writes what they
// measured and a report into a folder.
type suite struct {
	folders Folders
	groups  []group

	// Flags.
	model, embeddingModel, out string
	quick, strict              bool
	limit                      time.Duration // of a group
}

const (
	modelUsage = "GGUF file to measure, or the name of a model (default: the demo's model)"
	suiteLong  = `Measure this machine: speed and memory of a model beside a C program that calls
llama.cpp alone, and what calls, streams and requests cost. Without GROUP all groups are measured
one after the other, with several GROUPs those. Each writes its samples into a file of a folder, and
a report with tables and plots is made of them there. What this machine cannot measure is listed
with the reason, and a group that fails stops no other.

With --quick all together take less than 15 minutes: a first look, not a result. A group for which
no time is left ends with what it has, and the report says so. A
GROUP alone is the command of that name and prints its table; --out has it write a folder as well.

Groups are the commands below but env, report and soak.`
)

// command builds `bench` itself.
func (s *suite) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench [GROUP…]",
		Short: "Measure speed and memory against llama.cpp alone",
		Long:  suiteLong,
		Example: `  mullama bench --quick
  mullama bench --quick batch streaming
  mullama bench throughput --model smollm2.gguf`,
		Args: s.onlyGroups,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []string
			for i := range s.groups {
				all = append(all, s.groups[i].name)
			}
			return s.run(cmd, all)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.model, "model", "", modelUsage)
	f.BoolVar(&s.quick, "quick", false, "fewer and smaller works: a first look, not a result")
	s.flags(cmd)
	return cmd
}

// flags are those of the suite that the groups' own commands have too.
func (s *suite) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.out, "out", "",
		"folder for the samples and the report (default: bench-report- and the time)")
	f.StringVar(&s.embeddingModel, "embedding-model", "",
		"model of the group embedding (default: MiniLM, if it is in the cache)")
	f.BoolVar(&s.strict, "strict", false, "refuse to measure while other programs use the CPUs")
}

// adopt makes a group's command one of the suite's: it learns --quick, models by name, and that
// several groups may be named.
func (s *suite) adopt(g *group) *cobra.Command {
	cmd := g.command()
	measure := limited(cmd.RunE, &s.limit)
	s.flags(cmd)
	cmd.Flags().DurationVar(&s.limit, "time-limit", 0,
		"end after this time with what was measured by then; 0: when all is measured")
	cmd.Flags().BoolVar(&s.quick, "quick", false,
		"fewer and smaller works: a first look, not a result")
	cmd.Args = s.onlyGroups
	cmd.RunE = func(cmd *cobra.Command, others []string) error {
		if len(others) > 0 || s.out != "" {
			return s.several(cmd, append([]string{g.name}, others...))
		}
		if err := s.prepare(cmd, g); err != nil {
			return err
		}
		return measure(cmd, nil)
	}
	return cmd
}

// onlyGroups refuses words that name no group.
func (s *suite) onlyGroups(_ *cobra.Command, words []string) error {
	for _, word := range words {
		if s.group(word) == nil {
			return &mullama.Error{Kind: mullama.ErrInvalidOption,
				Err:  fmt.Errorf("there is no group %q to measure", word),
				Hint: "'mullama bench --help' lists the groups"}
		}
	}
	return nil
}

// group finds a group by one of its names.
func (s *suite) group(name string) *group {
	i := slices.IndexFunc(s.groups, func(g group) bool {
		return g.name == name || g.other != "" && g.other == name
	})
	if i < 0 {
		return nil
	}
	return &s.groups[i]
}

// several runs groups that are named on the command line of the first.
func (s *suite) several(cmd *cobra.Command, names []string) error {
	known := []string{"model", "quick", "out", "embedding-model", "strict", "config"}
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(known, f.Name) {
			err = &mullama.Error{Kind: mullama.ErrInvalidOption,
				Err: fmt.Errorf("--%s is a flag of %s alone, and several groups or --out are "+
					"given", f.Name, cmd.Name()),
				Hint: "leave it out, or measure that group in a command of its own"}
		}
	})
	if err != nil {
		return err
	}
	if f := cmd.Flags().Lookup("model"); f != nil {
		s.model = f.Value.String()
	}
	return s.run(cmd, names)
}

// prepare makes a group's command ready to measure: --quick sets what is not set, a model that is
// named or left out becomes a file, and a machine that others use is refused or warned of.
func (s *suite) prepare(cmd *cobra.Command, g *group) error {
	f := cmd.Flags()
	var values []setting
	if s.quick {
		values = g.quick
	}
	if g.more != nil {
		found, _ := g.more() // without it, the command says what is missing
		values = append(slices.Clone(values), found...)
	}
	for _, v := range values {
		if f.Changed(v.flag) {
			continue
		}
		if err := f.Lookup(v.flag).Value.Set(v.value); err != nil {
			return fmt.Errorf("set --%s: %w", v.flag, err)
		}
	}
	if err := s.quiet(cmd); err != nil {
		return err
	}
	if g.model == noModel || f.Changed("url") {
		return nil
	}
	model := f.Lookup("model").Value
	path, err := s.modelFile(cmd.Context(), g.model, model.String())
	if err != nil {
		return err
	}
	return model.Set(path)
}

// quiet warns when other programs use the CPUs, or refuses with --strict.
func (s *suite) quiet(cmd *cobra.Command) error {
	busy := foreignShare(cmd.Context(), os.DirFS("/"))
	if busy <= mostForeign {
		return nil
	}
	if s.strict {
		return fmt.Errorf("other programs use %.0f %% of the CPUs, so nothing was measured: end "+
			"them, or leave out --strict", 100*busy)
	}
	fmt.Fprintf(cmd.ErrOrStderr(),
		"warning: other programs use %.0f %% of the CPUs; 'mullama bench env' says what a "+
			"measurement wants\n", 100*busy)
	return cmd.Context().Err()
}

// folder makes the folder of a run.
func (s *suite) folder() (string, error) {
	dir := s.out
	if dir == "" {
		dir = "bench-report-" + time.Now().Format("2006-01-02-150405")
	}
	return filepath.Clean(dir), os.MkdirAll(dir, 0o755)
}

// run measures groups, and reports.
func (s *suite) run(cmd *cobra.Command, names []string) error {
	if err := s.quiet(cmd); err != nil {
		return err
	}
	dir, err := s.folder()
	if err != nil {
		return err
	}
	r := &suiteRun{suite: s, dir: dir, models: map[modelKind]foundModel{},
		say: func(format string, args ...any) {
			fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
		}}
	if r.self, err = os.Executable(); err != nil {
		return err
	}
	r.words = strings.Fields(cmd.CommandPath())[1:]
	if cmd.Name() != "bench" {
		r.words = r.words[:len(r.words)-1]
	}
	line := "mullama " + strings.Join(r.words, " ")
	if len(names) < len(s.groups) {
		line += " " + strings.Join(names, " ")
	}
	if s.quick {
		line += " --quick"
	}
	r.report = newSuiteReport(s.quick, line)
	// A run that is cut off reports what it has.
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed := r.measure(ctx, names)
	if err := r.write(); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n", filepath.Join(dir, "report.md"))
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return errors.New(strings.Join(failed, ", ") + " failed; " +
			filepath.Join(dir, "report.md") + " says why, the others were measured")
	}
	return nil
}
