package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/bench"
)

// app is what the commands need from the world. Main fills it from the process, tests from buffers.
type app struct {
	env    environment
	getenv func(string) string // nil: env is all there is

	configFile string // --config
	stdin      io.Reader
	stdout     *output
	stderr     io.Writer

	stdinIsTerminal, stdoutIsTerminal, stderrIsTerminal bool

	open      func(mullama.Options) (Engine, error)
	inspect   func(path string) (*mullama.Info, error)
	lines     func() (lineReader, error)
	openStore func(mullama.Options) (modelStore, error)
	// program is this program, which is started anew as the daemon.
	program func() (string, error)
	// interruptible returns a context that ends when the user presses Ctrl-C.
	interruptible func(context.Context) (context.Context, context.CancelFunc)
}

// Main runs the program with the process's arguments and streams and returns its exit code.
func Main() int {
	return newApp().execute(context.Background(), os.Args[1:])
}

// newApp returns an app on the process's streams.
func newApp() *app {
	a := &app{
		env:              readEnvironment(os.Getenv),
		getenv:           os.Getenv,
		stdin:            os.Stdin,
		stdout:           &output{w: os.Stdout},
		stderr:           os.Stderr,
		stdinIsTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		stdoutIsTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		stderrIsTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		open:             openInProcess,
		inspect:          mullama.Inspect,
		interruptible:    untilSignal,
	}
	a.lines = func() (lineReader, error) { return newTerminalLines(a.env) }
	a.openStore = func(o mullama.Options) (modelStore, error) { return mullama.Open(o) }
	a.program = os.Executable
	return a
}

// untilSignal returns a context that ends at the first SIGINT or SIGTERM. A second one kills the
// program as if nobody had listened.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// execute runs one command line and returns its exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = a.stdout.failed()
	} else if lost := a.stdout.failed(); lost != nil {
		err = lost
	}
	if code := exitCode(err); code == exitInterrupted {
		return code
	}
	a.report(err)
	return exitCode(err)
}

// rootCommand builds the command tree. A new command is one more line in the list.
func (a *app) rootCommand() *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:           "mullama",
		Short:         "Run language models on this machine",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noUnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return a.version(false)
			}
			return cmd.Help()
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.configure(cmd) }
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(printUsage)
	root.PersistentFlags().StringVar(&a.configFile, "config", "",
		"configuration `FILE`, in place of the usual ones")
	root.Flags().BoolVar(&version, "version", false, "print the version, like the version command")
	commands := []*cobra.Command{
		a.runCommand(),
		a.serveCommand(),
		a.daemonCommand(),
		a.configCommand(),
		a.pullCommand(),
		a.pushCommand(),
		a.createCommand(),
		a.quantizeCommand(),
		a.listCommand(),
		a.psCommand(),
		a.stopCommand(),
		a.rpcServerCommand(),
		a.copyCommand(),
		a.importCommand(),
		a.removeCommand(),
		a.verifyCommand(),
		a.pruneCommand(),
		a.showCommand(),
		a.embedCommand(),
		a.rerankCommand(),
		a.scoreCommand(),
		a.indexCommand(),
		a.tokenizeCommand(),
		a.detokenizeCommand(),
		bench.Command(bench.Folders{
			Cache: func() string { return a.env.cacheDir },
			Models: func() string {
				folder, _ := storeFolder(a.env.models()) // "" where there is none
				return folder
			},
		}),
		a.doctorCommand(),
		a.manCommand(),
		a.versionCommand(),
		exitCodesTopic(),
		environmentTopic(),
	}
	root.AddCommand(commands...)
	a.addCompletion(commands)
	return root
}

// noUnknownCommand turns a word that is no command into a sentence.
func noUnknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := usage("there is no command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return err.withHint("did you mean 'mullama %s'?", near[0])
	}
	return err.withHint("'mullama help' lists the commands")
}

// flagError turns the flag library's errors into sentences of our kind.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	var wrong *pflag.InvalidValueError
	if errors.As(err, &wrong) {
		err = usage("--%s: %s", wrong.GetFlag().Name, wrong.Unwrap())
	}
	return usage("%s", err).withHint("'%s --help' lists the flags", cmd.CommandPath())
}

// openEngine opens the engine with what the environment says.
func (a *app) openEngine() (Engine, error) {
	return a.open(mullama.Options{Logger: a.logger()})
}
