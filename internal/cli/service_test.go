package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSystemdTakesTheServiceFiles(t *testing.T) {
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip(err)
	}
	own, err := os.Executable() // systemd wants one that is there
	if err != nil {
		t.Fatal(err)
	}
	for _, whose := range []string{"--system", "--user"} {
		t.Run(whose, func(t *testing.T) {
			args := []string{"daemon", "install", "--systemd", "--print", "--program", own}
			if whose == "--user" {
				args = append(args, "--user")
			}
			got := run(newFake(), "", args...)
			dir := t.TempDir()
			file := filepath.Join(dir, "mullama.service")
			if err := os.WriteFile(file, []byte(got.out), 0o600); err != nil || got.code != 0 {
				t.Fatal(err, got)
			}
			cmd := exec.Command(program, whose, "verify", "--man=no", file)
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("systemd-analyze: %v\n%s\n%s", err, out, got.out)
			}
		})
	}
}

// readPlist prints a property list as JSON.
const readPlist = `import json, plistlib, sys
json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)`

func TestThePropertyListIsOne(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	t.Setenv("HOME", "/home/me & <you>")
	got := run(newFake(), "", "daemon", "install", "--launchd", "--user", "--print",
		"--program", "/usr/bin/mullama")
	cmd := exec.Command(python, "-c", readPlist)
	cmd.Stdin = strings.NewReader(got.out)
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, got.out)
	}
	var list map[string]any
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"Label":                "dev.mullama.daemon",
		"ProgramArguments":     []any{"/usr/bin/mullama", "serve"},
		"EnvironmentVariables": map[string]any{"MULLAMA_HOST": "127.0.0.1:11434"},
		"RunAtLoad":            true,
		"KeepAlive":            map[string]any{"SuccessfulExit": false},
		"ExitTimeOut":          45.0,
		"StandardErrorPath":    "/home/me & <you>/Library/Logs/mullama.log",
	}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("the list is %v, want %v", list, want)
	}
}
