package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// ollamaModule pins whose tests run. The module proxy's newest version is older than this.
const (
	ollamaModule  = "github.com/ollama/ollama"
	ollamaVersion = "v0.32.15"
)

// ollamaGroup is some of the tests, with the name and the test model that they run on, if any.
type ollamaGroup struct {
	tag, tests, name, set string
	anywhere              bool // the tests run on every model, and are to run on this one
	makes                 bool // the tests pull models, or make them of files
}

// ollamaGroups are those that need no other Ollama. Answers are looked through for words, so the
// model that chats is the largest. Tests of embeddings name their model themselves.
var ollamaGroups = []ollamaGroup{
	{"fast", "TestAPI|TestBasic|TestChat|TestContext|TestConcurrency|TestTools", "qwen05", "qwen05",
		true, false},
	{"release", "TestEmbedding/.*/all-minilm", "all-minilm", "minilm", false, false},
	{"release", "TestCreate|TestQuantization", "", "", false, true},
}

func runOllama(ctx context.Context, log io.Writer) (all []outcome, err error) {
	for _, g := range ollamaGroups {
		outcomes, err := g.run(ctx, log)
		if err != nil {
			return nil, err
		}
		all = append(all, outcomes...)
	}
	return all, nil
}

func (g *ollamaGroup) run(ctx context.Context, log io.Writer) ([]outcome, error) {
	binary, source, err := buildOllamaTests(ctx, log, g.tag)
	if err != nil {
		return nil, err
	}
	models, w := map[string]string{}, &workshop{}
	defer w.close()
	if g.name != "" {
		models[g.name] = g.set
	}
	if g.makes {
		if err := w.open(ctx, source); err != nil {
			return nil, err
		}
	}
	d, err := startDaemon(ctx, io.Discard, w.daemonEnv, models)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.timeout=20m", "-test.run", g.tests)
	cmd.Dir = filepath.Join(source, "integration")
	cmd.Env = append(os.Environ(), "OLLAMA_TEST_EXISTING=1", "OLLAMA_HOST="+d.address)
	cmd.Env = append(cmd.Env, w.testEnv...)
	if g.anywhere {
		cmd.Env = append(cmd.Env, "OLLAMA_TEST_MODEL="+g.name)
	}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&output, log), log
	err = cmd.Run() // a failed test is in the output
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil
	}
	return parseGoTests(&output), errors.Join(err, d.stop())
}

// ollamaDir is the folder of the cache for Ollama at the pinned version.
func ollamaDir() (string, error) {
	dir, err := peersDir()
	return filepath.Join(dir, "ollama-"+ollamaVersion), err
}

// fetchOllama copies the pinned module out of Go's cache, once, and returns the folder.
func fetchOllama(ctx context.Context, log io.Writer) (string, error) {
	dir, err := ollamaDir()
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "source")
	if _, err := os.Stat(source); err == nil {
		return source, nil
	}
	fmt.Fprintf(log, "peers: fetching %s %s\n", ollamaModule, ollamaVersion)
	module, err := downloadModule(ctx, ollamaModule+"@"+ollamaVersion)
	if err != nil {
		return "", err
	}
	partial := source + ".partial"
	if err := copyWritable(partial, module); err != nil {
		return "", err
	}
	return source, os.Rename(partial, source)
}

// buildOllamaTests builds the test binary once per version, and returns it and the module's source.
func buildOllamaTests(
	ctx context.Context, log io.Writer, tag string,
) (binary, source string, err error) {
	source, err = fetchOllama(ctx, log)
	if err != nil {
		return "", "", err
	}
	binary = filepath.Join(filepath.Dir(source), "integration-"+tag+".test")
	if _, err := os.Stat(binary); err == nil {
		return binary, source, nil
	}
	fmt.Fprintf(log, "peers: building the tests of %s %s\n", ollamaModule, ollamaVersion)
	return binary, source, goCommand(ctx, source, log, "test", "-tags=integration,"+tag, "-c", "-o",
		binary, "./integration/").Run()
}

// goCommand is a call of Go in a module that is not ours.
func goCommand(ctx context.Context, dir string, log io.Writer, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	return cmd
}

// downloadModule brings a module into Go's cache and returns its folder there.
func downloadModule(ctx context.Context, module string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", module).Output()
	var info struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &info); jsonErr != nil {
		return "", fmt.Errorf("download %s: %w", module, errors.Join(err, jsonErr))
	}
	if info.Error != "" {
		return "", fmt.Errorf("download %s: %s", module, info.Error)
	}
	return info.Dir, nil
}

// copyWritable copies a module out of Go's cache, where everything is read-only.
func copyWritable(to, from string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if d.IsDir() {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	})
}

var goResult = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+)`)

// parseGoTests reads what `go test -v` prints.
func parseGoTests(r io.Reader) []outcome {
	var outcomes []outcome
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if m := goResult.FindStringSubmatch(lines.Text()); m != nil {
			outcomes = append(outcomes, outcome{name: m[2], result: m[1]})
		}
	}
	return outcomes
}
