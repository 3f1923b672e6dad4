package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama/internal/config"
)

// configVariable names the configuration file, where --config does not.
const configVariable = "MULLAMA_CONFIG"

// setting is something that the configuration file, the environment or a flag can say.
type setting struct {
	key       string // in the file
	kind      string // shown: text, number, …
	form      config.Form
	variables []string // the first that is set counts
	flag      string   // of serve; "" for what all commands heed
	usage     string
	byDefault string
	isPath    bool // relative to the folder of the file
	isSecret  bool
}

// generalSettings are those that are no flags of serve.
var generalSettings = []setting{
	{key: "host", kind: "text", variables: []string{"MULLAMA_HOST", "OLLAMA_HOST"},
		byDefault: "127.0.0.1:11434", usage: "where the daemon listens and clients find it"},
	{key: "api_key", kind: "text", variables: []string{"MULLAMA_API_KEY"}, isSecret: true,
		usage: "the key that commands show to the daemon"},
	{key: "no_start", kind: "switch", variables: []string{"MULLAMA_NOSTART"},
		byDefault: "false", usage: "keep commands from starting a daemon"},
	{key: "no_history", kind: "switch", variables: []string{"MULLAMA_NOHISTORY"},
		byDefault: "false", usage: "keep no chat history on disk"},
	{key: "debug", kind: "switch", variables: []string{"MULLAMA_DEBUG"}, byDefault: "false",
		usage: "log what the engine says"},
	{key: "cache", kind: "text", variables: []string{"MULLAMA_CACHE"}, isPath: true,
		usage: "folder for the daemon's log and chat history, and what is built or fetched " +
			"(default: mullama in the user's cache folder)"},
	{key: "hf_token", kind: "text", variables: []string{"HF_TOKEN"}, isSecret: true,
		usage: "the token that the daemon shows to Hugging Face for names with hf:"},
	{key: "hf_endpoint", kind: "text", variables: []string{"HF_ENDPOINT"},
		usage: "another hub for these names"},
}

// general is a general setting.
func general(key string) setting {
	i := slices.IndexFunc(generalSettings, func(s setting) bool { return s.key == key })
	return generalSettings[i]
}

// effective is the value of a setting without flags, and what it comes from: a variable, a place in
// the file, or "default".
func (s setting) effective(get func(string) string, file configuration) (value, source string) {
	for _, name := range s.variables {
		if text := strings.TrimSpace(get(name)); text != "" {
			return text, name
		}
	}
	if _, ok := file.values[s.key]; ok {
		return file.one(s.key), file.place(s.key)
	}
	return s.byDefault, "default"
}

// pathSettings are the flags of serve that name files.
var pathSettings = []string{"models", "api_key_file", "chat_template_file", "log_file"}

// allSettings are the general ones and the flags of serve, in the order of their help.
func allSettings() []setting {
	all := slices.Clone(generalSettings)
	scratch := &cobra.Command{}
	newServeFlags().define(scratch)
	scratch.Flags().VisitAll(func(f *pflag.Flag) { all = append(all, settingOf(f)) })
	return all
}

// settingOf is the setting for a flag of serve.
func settingOf(f *pflag.Flag) setting {
	_, usage := pflag.UnquoteUsage(f)
	key := strings.ReplaceAll(f.Name, "-", "_")
	s := setting{key: key, flag: f.Name, usage: usage, kind: f.Value.Type(),
		byDefault: f.DefValue, isPath: slices.Contains(pathSettings, key)}
	switch s.kind {
	case "string", "word":
		s.kind = "text"
	case "text":
		s.kind, s.form = "list", config.List
	case "list":
		s.form = config.List
	case "option":
		s.kind, s.form = "mapping", config.Pairs
	case "int":
		s.kind = "number"
	case "bool":
		s.kind = "switch"
	}
	if f.Name == "gpu-layers" {
		s.kind = "number or text"
	}
	for _, v := range serveVariables {
		if slices.Contains(v.flags, f.Name) {
			s.variables = []string{"MULLAMA_" + v.name, "OLLAMA_" + v.name}
		}
	}
	return s
}

// configuration is what a configuration file says. The zero value is that of no file.
type configuration struct {
	path   string
	values map[string]config.Value
}

// one is the value of a setting as one text; a list has commas.
func (c configuration) one(key string) string { return strings.Join(c.values[key].Texts, ",") }

// place says where a setting is set.
func (c configuration) place(key string) string {
	v := c.values[key]
	return fmt.Sprintf("%s:%d:%d", c.path, v.Line, v.Column)
}

// readConfiguration reads a file and makes the paths in it absolute.
func readConfiguration(path string) (configuration, error) {
	if path == "" || path == os.DevNull {
		return configuration{}, nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return configuration{}, err
	}
	settings := allSettings()
	var keys []config.Key
	for _, s := range settings {
		keys = append(keys, config.Key{Name: s.key, Form: s.form})
	}
	values, err := config.Read(path, keys)
	if wrong := (*config.Error)(nil); errors.As(err, &wrong) {
		return configuration{}, &failure{code: exitUsage, message: wrong.Error(),
			hint: wrong.Hint}
	}
	if err != nil {
		return configuration{}, fmt.Errorf("read the configuration file: %w", err)
	}
	c := configuration{path: path, values: map[string]config.Value{}}
	for _, v := range values {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.key == v.Key })
		if settings[i].isPath {
			v.Texts[0] = pathIn(filepath.Dir(path), v.Texts[0])
		}
		c.values[v.Key] = v
	}
	return c, c.checkSwitches()
}

// checkSwitches refuses general switches that say neither yes nor no. Flags check themselves.
func (c configuration) checkSwitches() error {
	for _, s := range generalSettings {
		if v, ok := c.values[s.key]; ok && s.kind == "switch" {
			if _, err := parseSwitch(v.Texts[0]); err != nil {
				return usage("%s: %s: %s", c.place(s.key), s.key, err)
			}
		}
	}
	return nil
}

// pathIn is a path as a file in a folder means it.
func pathIn(folder, path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// usualConfigs are the files that are looked for, the first of which counts.
func usualConfigs(get func(string) string) []string {
	var files []string
	folder := get("XDG_CONFIG_HOME")
	if folder == "" {
		folder, _ = os.UserConfigDir()
	}
	if folder != "" {
		files = append(files, filepath.Join(folder, "mullama", "config.yaml"))
	}
	return append(files, "/etc/mullama/config.yaml")
}

// findConfig returns the configuration file: the one that is named, or one at a usual place, or "".
func (a *app) findConfig() (string, error) {
	if a.configFile != "" {
		return a.configFile, nil
	}
	if named := a.getenv(configVariable); named != "" {
		return named, nil
	}
	for _, file := range usualConfigs(a.getenv) {
		_, err := os.Stat(file)
		switch {
		case err == nil:
			return file, nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
			return "", fmt.Errorf("look for the configuration file: %w", err)
		}
	}
	return "", nil
}

// configure reads the configuration file before a command that may need it.
func (a *app) configure(cmd *cobra.Command) error {
	if a.getenv == nil || needsNoConfig(cmd) {
		return nil
	}
	path, err := a.findConfig()
	if err != nil {
		return err
	}
	c, err := readConfiguration(path)
	if err != nil {
		return err
	}
	a.env = readSettings(a.getenv, c)
	return nil
}

// needsNoConfig tells the commands that must run whatever is in the file.
func needsNoConfig(cmd *cobra.Command) bool {
	for c := cmd; c != nil && c.HasParent(); c = c.Parent() {
		switch c.Name() {
		case "config", "doctor", "help", "version", "man", "completion", cobra.ShellCompRequestCmd,
			cobra.ShellCompNoDescRequestCmd:
			return true
		}
	}
	return !cmd.HasParent()
}

// fromFile sets the flags of serve that neither the user nor the environment set.
func (f *serveFlags) fromFile(cmd *cobra.Command, c configuration) error {
	for _, s := range allSettings() {
		v, ok := c.values[s.key]
		if !ok || s.flag == "" || cmd.Flags().Changed(s.flag) {
			continue
		}
		texts := v.Texts
		if cmd.Flags().Lookup(s.flag).Value.Type() == "list" {
			texts = []string{strings.Join(texts, ",")}
		}
		for _, text := range texts {
			if err := cmd.Flags().Set(s.flag, text); err != nil {
				return usage("%s: %s is %q: %s", c.place(s.key), s.key, text, withoutFlag(err))
			}
		}
	}
	return nil
}
