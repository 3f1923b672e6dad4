package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama/api"
	"github.com/mullama/mullama/internal/instance"
)

const daemonLong = `Start, stop and watch the daemon that runs in the background.

It is 'mullama serve' without a terminal, at the address of MULLAMA_HOST, and logs to a file. The
commands that need it start it too. 'stop', 'status' and 'restart' also find one that runs in a
terminal.`

// daemonCommand builds `mullama daemon` and what belongs to it.
func (a *app) daemonCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Start, stop and watch the daemon",
		Long:  daemonLong,
		Args:  noSubcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.daemonStartCommand(), a.daemonStopCommand(), a.daemonRestartCommand(),
		a.daemonStatusCommand(), a.daemonLogsCommand(), a.daemonInstallCommand())
	return cmd
}

// daemonAt is the daemon of the address in the settings.
type daemonAt struct {
	app    *app
	host   host
	client *api.Client
	place  instance.Place
}

func (a *app) daemonAt() (*daemonAt, error) {
	h, err := parseHost(a.env.host)
	if err != nil {
		return nil, usage("MULLAMA_HOST: %s", err)
	}
	if !h.isLocal() {
		return nil, usage("%s is another machine, or one that others can reach; its daemon is "+
			"managed there, with 'mullama serve'", h)
	}
	client := api.NewClient(h.url, nil)
	if a.env.apiKey != "" {
		client = client.WithKey(a.env.apiKey)
	}
	return &daemonAt{a, h, client, a.place(h)}, nil
}

// recorded is a flag that remembers how it was given, so that it can be given to another program.
type recorded struct {
	pflag.Value
	name string
	args *[]string
}

func (r *recorded) Set(text string) error {
	if err := r.Value.Set(text); err != nil {
		return err
	}
	*r.args = append(*r.args, "--"+r.name+"="+text)
	return nil
}

// serveFlagsFor declares the flags of serve for a command that starts it. The flags that are given
// are in f.given.
func serveFlagsFor(cmd *cobra.Command) *serveFlags {
	f := newServeFlags()
	f.define(cmd)
	f.record(cmd)
	return f
}

// record has the flags remembered in f.given.
func (f *serveFlags) record(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		flag.Value = &recorded{flag.Value, flag.Name, &f.given}
	})
}

// checked returns the flags that were given after the settings as a whole were checked, so that
// what is wrong is told here and not in the log.
func (d *daemonAt) checked(cmd *cobra.Command, f *serveFlags) ([]string, error) {
	given := slices.Clone(f.given)
	if err := f.settle(cmd, d.app.env); err != nil {
		return nil, err
	}
	keys, err := f.keys()
	if err != nil {
		return nil, err
	}
	return given, f.check(d.host, keys)
}

// daemonWith is the daemon with the flags that were given for it.
func (a *app) daemonWith(cmd *cobra.Command, f *serveFlags) (*daemonAt, []string, error) {
	d, err := a.daemonAt()
	if err != nil {
		return nil, nil, err
	}
	args, err := d.checked(cmd, f)
	return d, args, err
}

func (a *app) daemonStartCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the daemon in the background, unless it runs",
		Long: "Start the daemon in the background and return when it answers. One that runs\n" +
			"already is left as it is. The flags are those of 'mullama serve'.",
		Args: nothing,
	}
	f := serveFlagsFor(cmd)
	defineJSON(cmd, &asJSON, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d, args, err := a.daemonWith(cmd, f)
		if err != nil {
			return err
		}
		return d.start(cmd.Context(), args, asJSON)
	}
	return cmd
}

func (d *daemonAt) start(ctx context.Context, args []string, asJSON bool) error {
	started, err := d.app.ensureStarted(ctx, d.host, d.client, args)
	if err != nil {
		return err
	}
	if asJSON {
		return d.printStatus(ctx, true)
	}
	word := "runs"
	if !started {
		word = "runs already"
	}
	fmt.Fprintf(d.app.stdout, "the daemon %s at %s%s\n", word, d.host, d.processText())
	return nil
}

// processText names the daemon's process, where it is known.
func (d *daemonAt) processText() string {
	if r, err := d.place.Running(); err == nil && r != nil {
		return fmt.Sprintf(", process %d", r.PID)
	}
	return ""
}

func (a *app) daemonStopCommand() *cobra.Command {
	var asJSON bool
	patience := 40 * time.Second
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the daemon when its requests have ended",
		Long: "Tell the daemon to end, which it does when its running requests have, and wait\n" +
			"for it. One that takes longer than --timeout is killed, and the exit code is 1.",
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := a.daemonAt()
			if err != nil {
				return err
			}
			stopped, err := d.stop(cmd.Context(), patience)
			if err != nil {
				return err
			}
			return d.printStopped(stopped, asJSON)
		},
	}
	cmd.Flags().Var(durationFlag(&patience), "timeout", "how long it may take to end")
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

func (d *daemonAt) printStopped(r *instance.Record, asJSON bool) error {
	switch {
	case asJSON:
		line := struct {
			Stopped bool `json:"stopped"`
			PID     int  `json:"pid,omitempty"`
		}{Stopped: r != nil}
		if r != nil {
			line.PID = r.PID
		}
		return d.app.printJSON(line)
	case r == nil:
		fmt.Fprintf(d.app.stdout, "no daemon runs at %s\n", d.host)
	default:
		fmt.Fprintf(d.app.stdout, "the daemon at %s has ended\n", d.host)
	}
	return nil
}

// stop ends the daemon and returns who it was; nil if none runs.
func (d *daemonAt) stop(ctx context.Context, patience time.Duration) (*instance.Record, error) {
	r, err := d.place.Running()
	if err != nil {
		return nil, err
	}
	if r == nil {
		if d.client.Ping(ctx) == nil {
			return nil, (&failure{code: exitFailed, message: fmt.Sprintf(
				"a daemon answers at %s that was not started by this user with this cache folder",
				d.host)}).withHint("stop it where it was started")
		}
		return nil, nil
	}
	process, err := os.FindProcess(r.PID)
	if err == nil {
		err = terminate(process)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, fmt.Errorf("stop process %d: %w", r.PID, err)
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = d.gone(limited, r.PID)
	if err == nil || ctx.Err() != nil {
		return r, err
	}
	_ = process.Kill() // may have ended just now
	limited, cancel = context.WithTimeout(ctx, patience)
	defer cancel()
	return r, errors.Join(&failure{code: exitFailed, message: fmt.Sprintf(
		"the daemon did not end within %s and was killed; requests were cut off", patience)},
		d.gone(limited, r.PID))
}

// gone returns when the process is the daemon no longer.
func (d *daemonAt) gone(ctx context.Context, pid int) error {
	for {
		r, err := d.place.Running()
		if err != nil || r == nil || r.PID != pid {
			return nil // another one is none of ours
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *app) daemonRestartCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Stop the daemon and start it with the same flags, or with others",
		Long: "Stop the daemon when its requests have ended, and start it again in the\n" +
			"background. Without flags it gets those that it had, and what the environment and\n" +
			"the configuration file say now.",
		Args: nothing,
	}
	f := serveFlagsFor(cmd)
	defineJSON(cmd, &asJSON, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d, args, err := a.daemonWith(cmd, f)
		if err != nil {
			return err
		}
		stopped, err := d.stop(cmd.Context(), f.drain+10*time.Second)
		if err != nil {
			return err
		}
		if len(args) == 0 && stopped != nil {
			args = stopped.Args
			if stopped.Log != "" {
				args = append(args, "--log-file="+stopped.Log)
			}
		}
		return d.start(cmd.Context(), args, asJSON)
	}
	return cmd
}

// daemonStatus is what status prints as JSON.
type daemonStatus struct {
	Running   bool               `json:"running"`
	Answers   bool               `json:"answers"`
	Address   string             `json:"address"`
	PID       int                `json:"pid,omitempty"`
	Version   string             `json:"version,omitempty"`
	Started   *time.Time         `json:"started,omitempty"`
	Uptime    float64            `json:"uptime_seconds,omitempty"`
	Log       string             `json:"log,omitempty"`
	Config    string             `json:"config,omitempty"`
	Arguments []string           `json:"arguments,omitempty"`
	Models    []api.RunningModel `json:"models"`
}

func (a *app) daemonStatusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether the daemon runs, since when, and what it has loaded",
		Long: "Say whether the daemon runs and answers, since when, where it logs, and which\n" +
			"models it has loaded. The exit code is 1 when it does not answer.",
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := a.daemonAt()
			if err != nil {
				return err
			}
			return d.printStatus(cmd.Context(), asJSON)
		},
	}
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

// status asks the record and the daemon itself.
func (d *daemonAt) status(ctx context.Context) (*daemonStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s := &daemonStatus{Address: d.host.String(), Models: []api.RunningModel{}}
	r, err := d.place.Running()
	if err != nil {
		return nil, err
	}
	if r != nil {
		s.Running, s.PID, s.Version, s.Started = true, r.PID, r.Version, &r.Started
		s.Uptime = time.Since(r.Started).Seconds()
		s.Log, s.Config, s.Arguments = r.Log, r.Config, r.Args
	}
	version, err := d.client.Version(ctx)
	if err != nil {
		return s, nil
	}
	s.Running, s.Answers, s.Version = true, true, version
	if loaded, err := d.client.Running(ctx); err == nil && loaded.Models != nil {
		s.Models = loaded.Models
	}
	return s, nil
}

func (d *daemonAt) printStatus(ctx context.Context, asJSON bool) error {
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		err = d.app.printJSON(s)
	} else {
		printDaemonStatus(d.app.stdout, s)
	}
	if err == nil && !s.Answers {
		return &failure{code: exitFailed} // the text has said it
	}
	return err
}

func printDaemonStatus(w *output, s *daemonStatus) {
	switch {
	case !s.Running:
		fmt.Fprintf(w, "no daemon runs at %s\n", s.Address)
		return
	case !s.Answers:
		fmt.Fprintf(w, "the daemon runs at %s but does not answer\n", s.Address)
	default:
		fmt.Fprintf(w, "the daemon runs at %s\n", s.Address)
	}
	rows := [][2]string{{"version", s.Version}, {"log", s.Log}, {"configuration", s.Config},
		{"flags", strings.Join(s.Arguments, " ")}}
	if s.PID != 0 {
		rows = append([][2]string{{"process", fmt.Sprint(s.PID)},
			{"started", moment(*s.Started)}}, rows...)
	}
	var names []string
	for _, m := range s.Models {
		names = append(names, m.Name)
	}
	models := orNone(strings.Join(names, ", "), "none loaded")
	printRows(w, append(rows, [2]string{"models", models}))
}

func (a *app) daemonLogsCommand() *cobra.Command {
	lines, follow := 50, false
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Print the end of the daemon's log",
		Args:  nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := a.daemonAt()
			if err != nil {
				return err
			}
			return d.logs(cmd.Context(), lines, follow)
		},
	}
	cmd.Flags().VarP(indexFlag(&lines), "lines", "n", "how many lines")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes, until Ctrl-C")
	return cmd
}

func (d *daemonAt) logs(ctx context.Context, lines int, follow bool) error {
	path := d.app.env.config.one("log_file")
	if path == "" {
		path = d.place.LogFile()
	}
	if r, err := d.place.Running(); err == nil && r != nil {
		if path = r.Log; path == "" {
			return &failure{code: exitNotFound, message: fmt.Sprintf(
				"the daemon at %s, process %d, has no log file; it prints its log where it was "+
					"started", d.host, r.PID)}
		}
	}
	ctx, stop := d.app.interruptible(ctx)
	defer stop()
	err := instance.Tail(ctx, d.app.stdout, path, lines, follow)
	if errors.Is(err, os.ErrNotExist) {
		return (&failure{code: exitNotFound, message: "there is no log " + path}).
			withHint("'mullama daemon start' begins one")
	}
	return err
}
