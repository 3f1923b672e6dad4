package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mullama/mullama/internal/testmodels"
)

// TestPythonClients runs the tests in the folder python, which use the packages ollama, openai and
// litellm.
func TestPythonClients(t *testing.T) {
	python := tool(t, "venv-clients", "bin", "python")
	url := serving(t, model, keenerModel, embedModel)
	run(t, pytest(python, "python"), "MULLAMA_URL="+url, "MULLAMA_MODEL="+model,
		"MULLAMA_KEENER_MODEL="+keenerModel, "MULLAMA_EMBED_MODEL="+embedModel,
		"LITELLM_LOCAL_MODEL_COST_MAP=True")
}

// TestNodeClients runs the tests in the folder node, which use the packages ollama and openai of
// JavaScript.
func TestNodeClients(t *testing.T) {
	node := tool(t, "venv-node", "bin", "node")
	modules := tool(t, "node-clients", "node_modules")
	url := serving(t, model)
	// Node looks for packages beside the file that imports them, so the tests go where they can
	// be, outside the checkout.
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("node")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	// One file at a time: tests of one look whether a slot is free, and another's would take some.
	cmd := exec.Command(node, "--test", "--test-concurrency=1", "--test-reporter=spec")
	cmd.Dir = dir
	run(t, cmd, "MULLAMA_URL="+url, "MULLAMA_MODEL="+model)
}

// TestLangChain runs LangChain's standard tests, in the folder langchain.
func TestLangChain(t *testing.T) {
	python := tool(t, "venv-langchain", "bin", "python")
	url := serving(t, model, keenerModel, embedModel)
	run(t, pytest(python, "langchain"), "MULLAMA_URL="+url, "MULLAMA_MODEL="+model,
		"MULLAMA_KEENER_MODEL="+keenerModel, "MULLAMA_EMBED_MODEL="+embedModel)
}

// pytest runs the tests of a folder, and tells why those fail that are expected to.
func pytest(python, folder string) *exec.Cmd {
	cmd := exec.Command(python, "-m", "pytest", "-q", "--no-header", "-rx", "--tb=short",
		"-p", "no:cacheprovider", "-W", "ignore", ".")
	cmd.Dir = folder
	return cmd
}

// run runs the tests of another language with more variables in the environment. Its output is seen
// when a test fails, or with go test -v.
func run(t *testing.T, cmd *exec.Cmd, environment ...string) {
	t.Helper()
	cmd.Env = append(os.Environ(), environment...)
	cmd.Env = append(cmd.Env, "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("%v: %v", cmd.Args, err)
	}
}

// tool is the path of something that conformance/setup.sh puts into the cache folder.
func tool(t *testing.T, path ...string) string {
	t.Helper()
	models, err := testmodels.Dir()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(append([]string{filepath.Dir(models)}, path...)...)
	if _, err := os.Stat(file); err != nil {
		if os.Getenv(testmodels.RequireEnv) == "1" {
			t.Fatal(err)
		}
		t.Skipf("the clients are not set up (%v); run conformance/setup.sh", err)
	}
	return file
}
