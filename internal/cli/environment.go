package cli

import (
	"os"
	"path/filepath"
	"strings"
)

// noColours is the variable that many programs heed.
const noColours = "NO_COLOR" //nolint:misspell // its name is American

// environment is everything the commands take from environment variables. It is read once.
type environment struct {
	libraryDir string // MULLAMA_LIBRARY: folder of the native library
	cacheDir   string // MULLAMA_CACHE: folder for the native library, test models, chat history
	debug      bool   // MULLAMA_DEBUG: log to stderr
	noHistory  bool   // MULLAMA_NOHISTORY: keep no chat history on disk
	plain      bool   // no colours: asked for, or a terminal without them
	dumb       bool   // TERM=dumb: no cursor movement, so no progress bar
	compiler   string // CXX: C++ compiler
}

// variables documents what readEnvironment reads, for `mullama help environment`.
var variables = [][2]string{
	{"MULLAMA_LIBRARY", "folder that holds the native library (default: searched for)"},
	{"MULLAMA_CACHE", "folder for the built native library, test models and chat history"},
	{"MULLAMA_DEBUG", "1 logs what the engine says to stderr"},
	{"MULLAMA_NOHISTORY", "1 keeps no chat history on disk"},
	{noColours, "any value turns colours off"},
	{"CXX", "C++ compiler that doctor looks for"},
}

// readEnvironment reads the variables through get, which is [os.Getenv] but for tests.
func readEnvironment(get func(string) string) environment {
	env := environment{
		libraryDir: get("MULLAMA_LIBRARY"),
		cacheDir:   get("MULLAMA_CACHE"),
		debug:      isOn(get("MULLAMA_DEBUG")),
		noHistory:  isOn(get("MULLAMA_NOHISTORY")),
		plain:      get(noColours) != "" || get("TERM") == "dumb",
		dumb:       get("TERM") == "dumb",
		compiler:   get("CXX"),
	}
	if env.cacheDir == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			env.cacheDir = filepath.Join(dir, "mullama")
		}
	}
	return env
}

// isOn reports whether the value of a switch variable means yes.
func isOn(value string) bool {
	switch strings.ToLower(value) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}
