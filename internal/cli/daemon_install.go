package cli

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
)

//go:embed service
var serviceFiles embed.FS

const installLong = `Write the file with which systemd or launchd runs the daemon, and say how to
enable it.

The service listens on 127.0.0.1 alone. That of the system has a user of its own, and its models
in /var/lib/mullama; that of a user has the user's. --print writes the file to stdout instead.`

// serviceOptions is what the flags of daemon install say.
type serviceOptions struct {
	systemd, launchd, user, print bool
	program                       string
}

// service is one kind of file.
type service struct {
	template string
	path     string // that it is written to
	enable   string // what to run then
}

func (a *app) daemonInstallCommand() *cobra.Command {
	o := &serviceOptions{}
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Write a service file for systemd or launchd",
		Long:  installLong,
		Example: "  mullama daemon install --user\n" +
			"  mullama daemon install --systemd --print",
		Args: nothing,
		RunE: func(*cobra.Command, []string) error { return a.installService(o) },
	}
	cmd.Flags().BoolVar(&o.systemd, "systemd", false, "for systemd (the default on Linux)")
	cmd.Flags().BoolVar(&o.launchd, "launchd", false, "for launchd (the default on macOS)")
	cmd.Flags().BoolVar(&o.user, "user", false, "for this user, not for the system")
	cmd.Flags().BoolVar(&o.print, "print", false, "print the file and write nothing")
	cmd.Flags().StringVar(&o.program, "program", "",
		"`FILE` that the service runs (default: this program)")
	return cmd
}

func (a *app) installService(o *serviceOptions) error {
	if o.systemd && o.launchd {
		return usage("--systemd and --launchd contradict each other; give one")
	}
	if o.program == "" {
		program, err := a.program()
		if err != nil {
			return err
		}
		o.program = program
	}
	if !filepath.IsAbs(o.program) || strings.ContainsAny(o.program, "\n\"'<>&%$\\ ") {
		return usage("--program %q is no absolute path without spaces and special characters",
			o.program)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return usage("there is no home folder: %s", err)
	}
	s := serviceFor(o, home)
	text, err := s.text(o.program, home)
	if err != nil {
		return err
	}
	if o.print {
		fmt.Fprint(a.stdout, text)
		return nil
	}
	if err := writeService(s.path, text); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "wrote %s\nto start it now and with the machine: %s\n", s.path, s.enable)
	return nil
}

// serviceFor chooses the file.
func serviceFor(o *serviceOptions, home string) service {
	const label = "dev.mullama.daemon"
	if o.launchd || !o.systemd && runtime.GOOS == "darwin" {
		if o.user {
			path := filepath.Join(home, "Library", "LaunchAgents", label+".plist")
			return service{"launchd.plist", path, "launchctl bootstrap gui/$(id -u) " + path}
		}
		path := "/Library/LaunchDaemons/" + label + ".plist"
		return service{"launchd.plist", path, "launchctl bootstrap system " + path}
	}
	if o.user {
		folder := os.Getenv("XDG_CONFIG_HOME")
		if folder == "" {
			folder = filepath.Join(home, ".config")
		}
		return service{"user.service", filepath.Join(folder, "systemd", "user", "mullama.service"),
			"systemctl --user daemon-reload && systemctl --user enable --now mullama"}
	}
	return service{"system.service", "/etc/systemd/system/mullama.service",
		"systemctl daemon-reload && systemctl enable --now mullama"}
}

// text fills the file in.
func (s service) text(program, home string) (string, error) {
	t, err := template.ParseFS(serviceFiles, "service/"+s.template)
	if err != nil {
		return "", err
	}
	log := filepath.Join(home, "Library", "Logs", "mullama.log")
	if strings.HasPrefix(s.path, "/Library/") {
		log = "/Library/Logs/mullama.log"
	}
	var text strings.Builder
	err = t.Execute(&text, struct{ Program, Log string }{program, log})
	return text.String(), err
}

// writeService writes the file, whole or not at all.
func writeService(path, text string) error {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path+".new", []byte(text), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if errors.Is(err, os.ErrPermission) {
		return (&failure{code: exitNotFound, message: "write the service: " + err.Error()}).
			withHint("run it as root, or for this user alone with --user")
	}
	if err != nil {
		return fmt.Errorf("write the service: %w", err)
	}
	return nil
}
