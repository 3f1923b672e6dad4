//go:build unix

package cli

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// shell is how a shell is started on a terminal with what completes the program's words.
type shell struct {
	name, setup string
	start       func(setup string) (args, env []string)
}

// shells are those whose completion is run. Bash reads the setup from a file, Zsh from one of a
// certain name, and Fish from its arguments.
var shells = []shell{
	{"bash", "for f in /usr/share/bash-completion/bash_completion " +
		"/opt/homebrew/etc/profile.d/bash_completion.sh; do [ -r $f ] && . $f; done\n" +
		". <(mullama completion bash)\n",
		func(setup string) ([]string, []string) { return []string{"--rcfile", setup, "-i"}, nil }},
	{"zsh", "autoload -U compinit; compinit -D -u; . <(mullama completion zsh)\n",
		func(setup string) ([]string, []string) {
			return []string{"-i"}, []string{"ZDOTDIR=" + filepath.Dir(setup)}
		}},
	{"fish", "mullama completion fish | source\n",
		func(setup string) ([]string, []string) {
			return []string{"--no-config", "-i", "-C", "source " + setup}, nil
		}},
}

// wrapper stands for the program: what shells ask it while they complete, it answers; all else is a
// command that was typed.
const wrapper = `#!/bin/sh
case $1 in
__complete*|completion) ` + childVariable + `=1 exec "$PROGRAM" "$@" ;;
esac
printf '%s\n' "$*" >> "$TYPED"
`

func TestShellsCompleteCommandsFlagsAndModels(t *testing.T) {
	models, err := filepath.Abs("../store/testdata/ollama")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shells {
		t.Run(s.name, func(t *testing.T) {
			program, err := exec.LookPath(s.name)
			if err != nil {
				t.Skip(err)
			}
			if s.name == "bash" && !bashCompletes() {
				t.Skip("the package bash-completion is not installed")
			}
			got := typeInto(t, program, s, models,
				"mullama qua\t", "mullama run pl\t", "mullama run plain:la\t",
				"mullama run --temperat\t1", "mullama rm plain:latest b\t", "mullama run hf.co/U\t")
			want := []string{"quantize", "run plain:latest", "run plain:latest",
				"run --temperature 1", "rm plain:latest big:cloud",
				"run hf.co/User-1/Repo.GGUF:Q4_K_M"}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("typed was %q, want %q", got, want)
			}
		})
	}
}

func bashCompletes() bool {
	for _, file := range []string{"/usr/share/bash-completion/bash_completion",
		"/opt/homebrew/etc/profile.d/bash_completion.sh"} {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	return false
}

// typeInto types lines into a shell, and returns the arguments that the program was called with.
func typeInto(t *testing.T, program string, s shell, models string, lines ...string) []string {
	t.Helper()
	dir := t.TempDir()
	setup, typed := filepath.Join(dir, ".zshrc"), filepath.Join(dir, "typed")
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{setup: s.setup, typed: "",
		filepath.Join(dir, "mullama"): wrapper} {
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	args, env := s.start(setup)
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), env...), "PATH="+dir+":"+os.Getenv("PATH"),
		"TERM=xterm", "PROGRAM="+own, "TYPED="+typed, "HOME="+dir, "XDG_CONFIG_HOME="+dir,
		"XDG_DATA_HOME="+dir, "MULLAMA_MODELS="+models)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		t.Skip("no terminal to be had: ", err)
	}
	defer tty.Close()
	screen := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(tty) // the end of a terminal is an error
		screen <- string(text)
	}()
	for _, line := range append(lines, "exit") {
		if _, err := io.WriteString(tty, line+"\r"); err != nil {
			t.Fatal(err)
		}
	}
	stop := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	if err := cmd.Wait(); err != nil && !cmd.ProcessState.Exited() {
		t.Fatalf("%s did not end: %v\n%s", s.name, err, <-screen)
	}
	b, err := os.ReadFile(typed)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(b)), "\n")
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	if len(got) != len(lines) {
		t.Logf("the screen: %q", <-screen)
	}
	return got
}
