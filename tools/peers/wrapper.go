package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// wrapperName is the name under which this program is llama-server.
const wrapperName = "llama-server"

// What the wrapper is told by the tests that run it, beside its flags.
const (
	daemonEnv  = "MULLAMA_PEERS_DAEMON" // the program
	modelEnv   = "MULLAMA_PEERS_MODEL"  // the file of the model, whichever one the flags name
	optionsEnv = "MULLAMA_PEERS_OPTION" // a default of requests for this test, as NAME=VALUE
	storesEnv  = "MULLAMA_PEERS_STORES" // a folder for a store per server
)

// runWrapper becomes the daemon that the flags of llama-server ask for. It returns an error only.
func runWrapper(args []string) error {
	f, err := parseServerFlags(args)
	if err != nil {
		return err
	}
	store, err := os.MkdirTemp(os.Getenv(storesEnv), "store-")
	if err != nil {
		return err
	}
	program, name := os.Getenv(daemonEnv), f.value("alias", "default")
	imported := exec.Command(program, "import", os.Getenv(modelEnv), name, "--models", store)
	if out, err := imported.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	serve, err := f.serveArgs(store, name)
	if err != nil {
		return err
	}
	return syscall.Exec(program, append([]string{program}, serve...), os.Environ())
}

// serverFlags are flags of llama-server by their names without dashes; switches are empty.
type serverFlags map[string]string

// parseServerFlags reads flags as the tests give them: a name, and a value unless another flag
// follows.
func parseServerFlags(args []string) (serverFlags, error) {
	f := serverFlags{}
	for i := 0; i < len(args); i++ {
		name := strings.TrimLeft(args[i], "-")
		if name == args[i] {
			return nil, fmt.Errorf("%q is not a flag", args[i])
		}
		f[name] = ""
		if i+1 < len(args) && isValue(args[i+1]) {
			i++
			f[name] = args[i]
		}
	}
	return f, nil
}

// isValue tells a value, which may be a negative number, from a flag.
func isValue(text string) bool {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return true
	}
	return !strings.HasPrefix(text, "-")
}

func (f serverFlags) has(name string) bool {
	_, ok := f[name]
	return ok
}

func (f serverFlags) value(name, otherwise string) string {
	if value, ok := f[name]; ok {
		return value
	}
	return otherwise
}

// number is the value of a flag, 0 if it is not there.
func (f serverFlags) number(name string) (int, error) {
	n, err := strconv.Atoi(f.value(name, "0"))
	if err != nil {
		return 0, fmt.Errorf("--%s: %w", name, err)
	}
	return n, nil
}

// sameFlags are those that have other names with us, or the same, and the same meaning.
var sameFlags = [][2]string{
	{"parallel", "--parallel"}, {"batch-size", "--batch-size"}, {"ubatch-size", "--ubatch-size"},
	{"threads", "--threads"}, {"n-gpu-layers", "--gpu-layers"}, {"fa", "--flash-attn"},
	{"ctk", "--cache-type-k"}, {"ctv", "--cache-type-v"},
	{"chat-template-file", "--chat-template-file"},
}

// sameOptions are flags that set the default of an option of requests.
var sameOptions = [][2]string{{"temp", "temperature"}, {"seed", "seed"}, {"n-predict", "n_predict"}}

// serveArgs are the arguments of mullama for a server of these flags.
func (f serverFlags) serveArgs(store, model string) ([]string, error) {
	args := []string{"serve", "--models", store, "--model", model, "--threads", "2",
		"--host", f.value("host", "127.0.0.1") + ":" + f.value("port", "8080")}
	size, err := f.contextArgs()
	if err != nil {
		return nil, err
	}
	args = append(args, size...)
	for _, same := range sameFlags {
		if f.has(same[0]) {
			args = append(args, same[1], f[same[0]])
		}
	}
	for _, same := range sameOptions {
		if f.has(same[0]) {
			args = append(args, "--option", same[1]+"="+f[same[0]])
		}
	}
	if options := os.Getenv(optionsEnv); options != "" {
		args = append(args, "--option", options)
	}
	if f.value("reasoning", "auto") != "auto" {
		args = append(args, "--option", fmt.Sprintf("think=%t", f["reasoning"] == "on"))
	}
	if f.has("verbose") {
		args = append(args, "--option", "verbose=true")
	}
	if f.has("context-shift") {
		args = append(args, "--option", "shift=true")
	}
	if key := f.value("api-key", ""); key != "" {
		file := filepath.Join(store, "keys")
		err := os.WriteFile(file, []byte(strings.ReplaceAll(key, ",", "\n")+"\n"), 0o600)
		if err != nil {
			return nil, err
		}
		args = append(args, "--api-key-file", file)
	}
	template, err := f.templateArgs(store)
	return append(args, template...), err
}

// templateArgs is for a template that is given as a text.
func (f serverFlags) templateArgs(store string) ([]string, error) {
	text, given := f["chat-template"]
	switch {
	case !given:
		return nil, nil
	case !strings.Contains(text, " "):
		return nil, errors.New("templates that llama.cpp has by name are not there")
	}
	file := filepath.Join(store, "template")
	return []string{"--chat-template-file", file}, os.WriteFile(file, []byte(text), 0o600)
}

// contextArgs turns the size of the whole cache, which llama-server shares out among its slots
// unless it is unified, into that of a request and the layout.
func (f serverFlags) contextArgs() ([]string, error) {
	whole, err := f.number("ctx-size")
	if err != nil || whole == 0 {
		return nil, err
	}
	slots, err := f.number("parallel")
	if err != nil {
		return nil, err
	}
	if f.has("kv-unified") {
		size := strconv.Itoa(whole)
		return []string{"--ctx-size", size, "--cache-tokens", size}, nil
	}
	each := strconv.Itoa(whole / max(1, slots))
	return []string{"--ctx-size", each, "--kv-layout", "split"}, nil
}
