package cli

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama/internal/server"
)

// serveFlags is what the user chose about the daemon.
type serveFlags struct {
	models   string
	indexes  string
	keyFile  string
	origins  []string
	insecure bool
	load     loadFlags
	slots    int
	layout   string
	pool     int
	most     int
	queue    int
	model    string
	template string
	options  map[string]any

	keepAlive, keepAliveMin, keepAliveMax time.Duration
	loadTimeout, drain                    time.Duration

	logFile  string
	given    []string // as NAME=VALUE, to give them to another program
	logSize  uint64
	logFiles int
}

// serveVariables are the environment variables of the daemon without their prefix, and the flags
// that each stands for.
var serveVariables = []struct {
	name  string
	flags []string
}{
	{"MODELS", []string{"models"}},
	{"INDEXES", []string{"indexes"}},
	{"API_KEY_FILE", []string{"api-key-file"}},
	{"ORIGINS", []string{"origins"}},
	{"CONTEXT_LENGTH", []string{"ctx-size"}},
	{"NUM_PARALLEL", []string{"parallel"}},
	{"KV_LAYOUT", []string{"kv-layout"}},
	{"CACHE_TOKENS", []string{"cache-tokens"}},
	{"MAX_LOADED_MODELS", []string{"max-models"}},
	{"MAX_QUEUE", []string{"max-queue"}},
	{"KEEP_ALIVE", []string{"keep-alive"}},
	{"KEEP_ALIVE_MIN", []string{"keep-alive-min"}},
	{"KEEP_ALIVE_MAX", []string{"keep-alive-max"}},
	{"LOAD_TIMEOUT", []string{"load-timeout"}},
	{"FLASH_ATTENTION", []string{"flash-attn"}},
	{"RPC", []string{"rpc"}},
	{"KV_CACHE_TYPE", []string{"cache-type-k", "cache-type-v"}},
	{"GPU_OVERHEAD", []string{"fit-margin"}},
	{"SCHED_SPREAD", []string{"split-mode"}},
}

// define declares the flags.
func (f *serveFlags) define(cmd *cobra.Command) {
	addGroup(cmd, "Daemon", func(set *pflag.FlagSet) {
		set.StringVar(&f.models, "models", "",
			"`FOLDER` of the model store (default: ~/.ollama/models)")
		set.StringVar(&f.indexes, "indexes", "",
			"`FOLDER` of the indexes for late interaction (default: indexes in the model store)")
		set.StringVar(&f.keyFile, "api-key-file", "",
			"`FILE` with one API key per line; requests must then show one")
		set.Var(listFlag(&f.origins), "origins",
			"web pages that may call the daemon, besides those of this machine")
		set.BoolVar(&f.insecure, "insecure", false,
			"listen on an address that others can reach without asking for a key")
		set.Var(durationFlag(&f.drain), "drain",
			"how long running requests may go on when the daemon is told to end")
		set.StringVar(&f.logFile, "log-file", "", "write the log to this `FILE` instead of stderr")
		set.Var(bytesFlag(&f.logSize), "log-size",
			"size at which a new log file is begun (default: 10MiB)")
		set.Var(indexFlag(&f.logFiles), "log-files", "how many full log files are kept")
	})
	addGroup(cmd, "Models", func(set *pflag.FlagSet) {
		set.StringVar(&f.model, "model", "",
			"`NAME` of the model to load at the start and to keep; requests of OpenAI's and "+
				"llama-server's routes that name none, or an unknown one, are for it")
		set.StringVar(&f.template, "chat-template-file", "",
			"`FILE` with a chat template in Jinja for it")
		set.Var(optionsFlag(&f.options), "option",
			"option of requests that do not set it, as NAME=VALUE (repeatable)")
		set.Var(indexFlag(&f.most), "max-models",
			"most models loaded at once, counted by weights; 0: 3")
		set.Var(indexFlag(&f.queue), "max-queue", "most requests that wait for a model; 0: 512")
		set.Var(indexFlag(&f.slots), "parallel",
			"requests that one model computes at once; 0: 8")
		set.Var(oneOf(&f.layout, "auto", "unified", "split"), "kv-layout",
			"whether these share one KV cache or have one each: auto, unified or split")
		set.Var(indexFlag(&f.pool), "cache-tokens",
			"size of the KV cache that these share; 0: the context size")
		set.Var(durationFlag(&f.keepAlive), "keep-alive",
			"how long an unused model stays loaded; less than 0: for ever")
		set.Var(durationFlag(&f.keepAliveMin), "keep-alive-min",
			"the least time that a request can choose")
		set.Var(durationFlag(&f.keepAliveMax), "keep-alive-max",
			"the longest time that a request can choose")
		set.Var(durationFlag(&f.loadTimeout), "load-timeout",
			"how long a load may make no progress")
	})
	addGroup(cmd, "Loading", f.load.defineAll)
}

// durationFlag is a flag for a duration: 90s, 5m, or a number of seconds.
func durationFlag(at *time.Duration) *value {
	return &value{
		kind: "duration",
		get:  func() string { return at.String() },
		set: func(text string) (err error) {
			*at, err = keepAliveFor(text)
			return err
		},
	}
}

// newServeFlags returns the flags with their defaults.
func newServeFlags() *serveFlags {
	return &serveFlags{drain: 30 * time.Second, logSize: 10 << 20, logFiles: 3}
}

// settle sets the flags that were not given from the environment, or else from the configuration
// file.
func (f *serveFlags) settle(cmd *cobra.Command, env environment) error {
	if err := f.fromVariables(cmd, env); err != nil {
		return err
	}
	return f.fromFile(cmd, env.config)
}

// fromVariables sets the flags that were not given from the environment.
func (f *serveFlags) fromVariables(cmd *cobra.Command, env environment) error {
	for _, v := range serveVariables {
		set, ok := env.serve[v.name]
		if !ok {
			continue
		}
		for _, flag := range v.flags {
			if cmd.Flags().Changed(flag) {
				continue
			}
			value := translate(v.name, set.value)
			if value == "" {
				continue
			}
			if err := cmd.Flags().Set(flag, value); err != nil {
				return usage("%s is %q: %s", set.name, set.value, withoutFlag(err))
			}
		}
	}
	return nil
}

// translate turns the values that Ollama's variables have into those of the flags.
func translate(name, value string) string {
	switch {
	case name == "FLASH_ATTENTION" && value != "auto":
		if isOn(value) {
			return "on"
		}
		return "off"
	case name == "SCHED_SPREAD":
		if isOn(value) {
			return "layer"
		}
		return "" // as without it
	}
	return value
}

// withoutFlag is the reason alone: the user set a variable and no flag.
func withoutFlag(err error) string {
	text := err.Error()
	if _, reason, ok := strings.Cut(text, " flag: "); ok {
		return reason
	}
	return text
}

// storeFolder is where the models are: the chosen folder, or that of Ollama.
func storeFolder(chosen string) (string, error) {
	if chosen != "" {
		return filepath.Abs(chosen)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usage("there is no home folder for the model store").
			withHint("name a folder with --models")
	}
	return filepath.Join(home, ".ollama", "models"), nil
}

// keys reads the API keys, one per line; empty lines and lines after # do not count.
func (f *serveFlags) keys() ([]string, error) {
	if f.keyFile == "" {
		return nil, nil
	}
	text, err := readText("--api-key-file", f.keyFile)
	if err != nil {
		return nil, err
	}
	var keys []string
	for line := range strings.Lines(text) {
		if key := strings.TrimSpace(line); key != "" && !strings.HasPrefix(key, "#") {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, usage("--api-key-file: %s has no keys in it", f.keyFile)
	}
	return keys, nil
}

// chatTemplate reads the template for the daemon's model.
func (f *serveFlags) chatTemplate() (string, error) {
	if f.template == "" {
		return "", nil
	}
	return readText("--chat-template-file", f.template)
}

// check refuses what contradicts itself.
func (f *serveFlags) check(h host, keys []string) error {
	if f.keepAliveMin > 0 && f.keepAliveMax > 0 && f.keepAliveMin > f.keepAliveMax {
		return usage("--keep-alive-min %s is longer than --keep-alive-max %s", f.keepAliveMin,
			f.keepAliveMax)
	}
	if f.slots > maxSlots {
		return usage("--parallel is %d; it must be at most %d", f.slots, maxSlots)
	}
	if !h.isLocal() && len(keys) == 0 && !f.insecure {
		return usage("%s can be reached from other machines, and there are no API keys", h).
			withHint("give keys with --api-key-file, or --insecure if everybody may use it")
	}
	if f.template != "" && f.model == "" {
		return usage("--chat-template-file is for the model that --model names, and there is none")
	}
	if f.model == "" && !f.load.isPlain() {
		return usage("--lora, --control-vector and --model-draft are for the model that --model " +
			"names, and there is none")
	}
	if err := server.CheckOptions(f.options); err != nil {
		return usage("--option: %s", err)
	}
	if f.pool > math.MaxInt32 {
		return usage("--cache-tokens is %d; it must be at most %d", f.pool, math.MaxInt32)
	}
	if f.pool > 0 && f.layout == "split" {
		return usage("--cache-tokens is %d, but a split KV cache has --ctx-size for each slot; "+
			"give one or the other", f.pool)
	}
	return nil
}

// maxSlots is llama.cpp's limit of sequences in a context, less some for prefixes that are kept.
const maxSlots = 192
