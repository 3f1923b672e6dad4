package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// settingsApp is an app with an environment and a configuration file.
func settingsApp(
	t *testing.T, variables map[string]string, file string,
) (*app, func(args ...string) outcome) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	a, out, errOut := testApp(newFake(), "")
	a.getenv = func(name string) string {
		if name == configVariable && variables[name] == "" {
			return path
		}
		return variables[name]
	}
	return a, func(args ...string) outcome {
		out.Reset()
		errOut.Reset()
		code := a.execute(t.Context(), args)
		return outcome{code, out.String(), errOut.String()}
	}
}

// rowsOf are the settings that config prints, by their key.
func rowsOf(t *testing.T, printed string) map[string]settingRow {
	t.Helper()
	var all struct{ Settings []settingRow }
	if err := json.Unmarshal([]byte(printed), &all); err != nil {
		t.Fatalf("%v in %q", err, printed)
	}
	rows := map[string]settingRow{}
	for _, row := range all.Settings {
		rows[row.Key] = row
	}
	return rows
}

func TestSettingsSayWhereTheyComeFrom(t *testing.T) {
	a, run := settingsApp(t, map[string]string{"OLLAMA_NUM_PARALLEL": "3", "HF_TOKEN": "secret"},
		"parallel: 4\nkeep_alive: 10m\nmodels: store\norigins: [a, b]\noption:\n  top_k: 5\n")
	got := run("config", "--json")
	if got.code != 0 || got.err != "" {
		t.Fatalf("got %+v", got)
	}
	path := a.getenv(configVariable)
	rows := rowsOf(t, got.out)
	for _, want := range []settingRow{
		{"parallel", "3", "OLLAMA_NUM_PARALLEL"},
		{"keep_alive", "10m", path + ":2:13"},
		{"models", filepath.Join(filepath.Dir(path), "store"), path + ":3:9"},
		{"origins", "a,b", path + ":4:10"},
		{"option", "top_k=5", path + ":6:3"},
		{"drain", "30s", "default"},
		{"hf_token", "(set)", "HF_TOKEN"},
		{"host", "127.0.0.1:11434", "default"},
	} {
		if rows[want.Key] != want {
			t.Errorf("got %+v, want %+v", rows[want.Key], want)
		}
	}
	if strings.Contains(got.out, "secret") {
		t.Error("a secret is printed")
	}
}

func TestFlagsAreBeforeTheEnvironmentAndThatBeforeTheFile(t *testing.T) {
	file, err := readConfiguration(write(t, "parallel: 2\nmax_queue: 20\nmax_models: 200\n"+
		"rpc: [a:1, 'b:2']\noverride_kv:\n  - a=int:1\n  - b=int:2\ninsecure: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	env := readSettings(func(name string) string {
		return map[string]string{"MULLAMA_NUM_PARALLEL": "3", "MULLAMA_MAX_QUEUE": "30"}[name]
	}, file)
	f, cmd := newServeFlags(), &cobra.Command{}
	f.define(cmd)
	if err := cmd.Flags().Set("parallel", "4"); err != nil {
		t.Fatal(err)
	}
	if err := f.settle(cmd, env); err != nil {
		t.Fatal(err)
	}
	if f.slots != 4 || f.queue != 30 || f.most != 200 || !f.insecure ||
		!slices.Equal(f.load.options.RPC, []string{"a:1", "b:2"}) ||
		len(f.load.options.Overrides) != 2 {
		t.Errorf("got %+v", f)
	}
	if got := env.rpcServers(); len(got) != 2 {
		t.Errorf("doctor looks at %v", got)
	}
}

// write makes a configuration file.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatIsWrongInTheFileIsSaidByEveryCommandThatReadsIt(t *testing.T) {
	for text, want := range map[string]string{
		"parallels: 4":         `:1:1: there is no setting "parallels"`,
		"parallel: many":       `:1:11: parallel is "many": "many" is not a whole number`,
		"no_start: perhaps":    `:1:11: no_start: "perhaps" is neither true nor false`,
		"parallel: 9999":       "--parallel is 9999; it must be at most",
		"host: ftp://x":        "config.yaml:1:7: host:",
		"host: 0.0.0.0":        "there are no API keys",
		"api_key_file: absent": "no such file",
	} {
		_, run := settingsApp(t, nil, text)
		for _, args := range [][]string{{"config"}, {"config", "check"}} {
			got := run(args...)
			if got.code == 0 || got.out != "" || !strings.Contains(got.err, want) {
				t.Errorf("%q, %v: got %+v, want %q", text, args, got, want)
			}
			checkErrorForm(t, got.err)
		}
	}
	_, run := settingsApp(t, nil, "parallels: 4")
	got := run("list")
	if got.code != exitUsage || !strings.Contains(got.err, "did you mean parallel?") {
		t.Errorf("list: %+v", got)
	}
	for _, args := range [][]string{{"version"}, {"help"}, {"config", "path"}} {
		if got := run(args...); got.code != 0 {
			t.Errorf("%v must work whatever is in the file: %+v", args, got)
		}
	}
}

func TestTheFileThatIsNamedMustBeThere(t *testing.T) {
	_, run := settingsApp(t, nil, "")
	for _, args := range [][]string{{"list", "--config", "/absent.yaml"},
		{"--config=/absent.yaml", "config"}, {"config", "check", "/absent.yaml"}} {
		got := run(args...)
		if got.code != exitNotFound || !strings.Contains(got.err, "/absent.yaml") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestTheFileIsFoundAtItsUsualPlace(t *testing.T) {
	home := t.TempDir()
	a, run := settingsApp(t, map[string]string{"XDG_CONFIG_HOME": home, configVariable: " "}, "")
	get := a.getenv
	a.getenv = func(name string) string { return strings.TrimSpace(get(name)) }
	if got := run("config", "path"); got.code != exitNotFound && got.out == "" {
		t.Errorf("without a file: %+v", got)
	}
	path := filepath.Join(home, "mullama", "config.yaml")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("no_start: true\nhost: 127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run("config", "path"); got.out != path+"\n" {
		t.Errorf("got %+v", got)
	}
	if got := run("list"); !strings.Contains(got.err, "no daemon answers at 127.0.0.1:1") {
		t.Errorf("the file is not heeded: %+v", got)
	}
}

const (
	tableBegins = "<!-- written by: go test ./internal/cli -run Settings -update -->\n"
	tableEnds   = "<!-- end -->\n"
)

// TestTheDocumentNamesAllSettings compares the table of docs/config.md with the code.
func TestTheDocumentNamesAllSettings(t *testing.T) {
	const path = "../../docs/config.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegins)
	_, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", path, tableBegins, tableEnds)
	}
	fresh := before + tableBegins + "\n" + settingsTable() + "\n" + tableEnds + after
	if *update {
		if err := os.WriteFile(path, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if fresh != string(text) {
		t.Errorf("%s does not say what the code has; run with -update", path)
	}
}

// settingsTable is the table of all settings in Markdown.
func settingsTable() string {
	var table strings.Builder
	table.WriteString("| setting | type | default | variable | flag of `serve` | what it is |\n" +
		"|---|---|---|---|---|---|\n")
	quote := func(text string) string {
		if text == "" {
			return ""
		}
		return "`" + text + "`"
	}
	for _, s := range allSettings() {
		flag := s.flag
		if s.key == "host" {
			flag = "host"
		}
		if flag != "" {
			flag = "--" + flag
		}
		var variables []string
		for _, name := range s.variables {
			variables = append(variables, quote(name))
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s |\n", quote(s.key), s.kind,
			quote(s.byDefault), strings.Join(variables, ", "), quote(flag),
			strings.ReplaceAll(s.usage, "|", "\\|"))
	}
	return table.String()
}

func TestTheExampleOfTheDocumentIsInOrder(t *testing.T) {
	text, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	a, _, _ := testApp(newFake(), "")
	a.getenv = func(string) string { return "" }
	c, err := a.checkedConfiguration(write(t, example))
	if err != nil || !ok || len(c.values) < 9 {
		t.Errorf("%d settings, %v", len(c.values), err)
	}
}
