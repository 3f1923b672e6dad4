package cli

import (
	"os"
	"path/filepath"
	"strings"
)

// noColours is the variable that many programs heed.
const noColours = "NO_COLOR" //nolint:misspell // its name is American

// environment is everything the commands take from environment variables. It is read once. The
// native library is searched for by the engine, which reads MULLAMA_LIBRARY.
type environment struct {
	cacheDir  string // MULLAMA_CACHE: folder for the native library, test models, chat history
	debug     bool   // MULLAMA_DEBUG: log to stderr
	noHistory bool   // MULLAMA_NOHISTORY: keep no chat history on disk
	plain     bool   // no colours: asked for, or a terminal without them
	dumb      bool   // TERM=dumb: no cursor movement, so no progress bar
	compiler  string // CXX: C++ compiler

	host    string // MULLAMA_HOST: where the daemon listens, and clients look for it
	apiKey  string // MULLAMA_API_KEY: the key that clients show
	noStart bool   // MULLAMA_NOSTART: commands do not start a daemon

	hubURL   string // HF_ENDPOINT: the hub that hf: names are of
	hubToken string // HF_TOKEN: what is shown there
	serve    map[string]serveVariable

	config configuration // what the configuration file says
}

// serveVariable is a variable for the daemon that is set.
type serveVariable struct{ name, value string }

// variables documents what is read, for `mullama help environment`.
var variables = [][2]string{
	{configVariable, "the configuration file, in place of the usual ones"},
	{"MULLAMA_LIBRARY", "folder that is first searched for the native library"},
	{"MULLAMA_CACHE", "folder for the daemon's log, the native library and chat history"},
	{"MULLAMA_DEBUG", "1 logs what the engine says to stderr"},
	{"MULLAMA_NOHISTORY", "1 keeps no chat history on disk"},
	{noColours, "any value turns colours off"},
	{"CXX", "C++ compiler that doctor looks for"},
	{"MULLAMA_HOST", "where the daemon listens and clients find it (default: 127.0.0.1:11434)"},
	{"MULLAMA_API_KEY", "the key that commands show to the daemon"},
	{"MULLAMA_NOSTART", "1 keeps commands from starting a daemon"},
	{"HF_TOKEN", "for 'mullama serve': the token shown to Hugging Face for names with hf:"},
	{"HF_ENDPOINT", "for 'mullama serve': another hub for them"},
}

// readEnvironment reads the variables through get, which is [os.Getenv] but for tests.
func readEnvironment(get func(string) string) environment {
	return readSettings(get, configuration{})
}

// readSettings reads the variables, and what they leave open from the configuration file.
func readSettings(get func(string) string, file configuration) environment {
	value := func(key string) string {
		text, _ := general(key).effective(get, file)
		return text
	}
	env := environment{
		cacheDir:  value("cache"),
		debug:     isOn(value("debug")),
		noHistory: isOn(value("no_history")),
		plain:     get(noColours) != "" || get("TERM") == "dumb",
		dumb:      get("TERM") == "dumb",
		compiler:  get("CXX"),
		host:      value("host"),
		apiKey:    value("api_key"),
		noStart:   isOn(value("no_start")),
		hubURL:    value("hf_endpoint"),
		hubToken:  value("hf_token"),
		serve:     map[string]serveVariable{},
		config:    file,
	}
	for _, v := range serveVariables {
		if set := either(get, v.name); set.value != "" {
			env.serve[v.name] = set
		}
	}
	if env.cacheDir == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			env.cacheDir = filepath.Join(dir, "mullama")
		}
	}
	return env
}

// models is the folder of the model store that was chosen, or "".
func (e environment) models() string {
	if set, ok := e.serve["MODELS"]; ok {
		return set.value
	}
	return e.config.one("models")
}

// rpcServers are the other machines that a daemon uses.
func (e environment) rpcServers() []string {
	servers := e.serve["RPC"].value
	if servers == "" {
		servers = e.config.one("rpc")
	}
	return strings.FieldsFunc(servers, func(r rune) bool {
		return r == ',' || r == ' '
	})
}

// either reads a variable under our name, or else under the one that Ollama gave it.
func either(get func(string) string, name string) serveVariable {
	for _, prefix := range []string{"MULLAMA_", "OLLAMA_"} {
		if value := strings.TrimSpace(get(prefix + name)); value != "" {
			return serveVariable{prefix + name, value}
		}
	}
	return serveVariable{}
}

// isOn reports whether the value of a switch variable means yes.
func isOn(value string) bool {
	switch strings.ToLower(value) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}
