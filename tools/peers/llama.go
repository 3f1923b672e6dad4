package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mullama/mullama/internal/testmodels"
)

// llamaTests are the files of llama.cpp's server tests that are about what the daemon does. The
// others need models for images or drafts, or are about llama-server's own
// tools and its process per model.
var llamaTests = []string{
	"test_basic", "test_chat_completion", "test_completion", "test_ctx_shift", "test_embedding",
	"test_ignore_eos", "test_metrics", "test_rerank", "test_security", "test_slot_save",
	"test_stream", "test_template", "test_tokenize",
}

// runLlama runs llama.cpp's tests of its server. They start a server for each test, with flags that
// the test chooses: the program they start is this one, as the link llama-server, which turns the
// flags into those of `mullama serve`.
func runLlama(ctx context.Context, log io.Writer) ([]outcome, error) {
	source, err := fetchLlama(ctx, log)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "mullama-peers-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	cmd, err := llamaCommand(ctx, source, work)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Run() // a failed test is in the results
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	results, readErr := os.Open(filepath.Join(work, "results.xml"))
	if readErr != nil {
		return nil, errors.Join(err, readErr)
	}
	defer results.Close()
	return parseJUnit(results)
}

// llamaCommand is the call of pytest. It runs in the folder of the tests, from where they find
// their files.
func llamaCommand(ctx context.Context, source, work string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	wrapper := filepath.Join(work, wrapperName)
	if err := os.Symlink(self, wrapper); err != nil {
		return nil, err
	}
	daemon, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	plugin, err := filepath.Abs("conformance/peers")
	if err != nil {
		return nil, err
	}
	models, err := testmodels.Dir()
	if err != nil {
		return nil, err
	}
	model, _ := testmodels.Find("smollm2")
	embedding, _ := testmodels.Find("minilm")
	ranker, _ := testmodels.Find("minilm-rank")
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port := splitAddress(address)
	tests := filepath.Join(source, "tools", "server", "tests")
	args := []string{"-m", "pytest", "-q", "-p", "mullama_peers", "-p", "no:cacheprovider",
		"--tb=line", "--timeout=300", "--junit-xml", filepath.Join(work, "results.xml")}
	for _, name := range llamaTests {
		args = append(args, filepath.Join("unit", name+".py"))
	}
	python := filepath.Join(filepath.Dir(models), "venv-peers", "bin", "python")
	cmd := exec.CommandContext(ctx, python, args...)
	cmd.Dir = tests
	cmd.Env = append(os.Environ(), "PYTHONPATH="+plugin+string(os.PathListSeparator)+tests,
		"PYTHONDONTWRITEBYTECODE=1", "PORT="+port, "LLAMA_SERVER_BIN_PATH="+wrapper,
		daemonEnv+"="+daemon, modelEnv+"="+model.Path(models),
		modelEnv+"_EMBEDDING="+embedding.Path(models), modelEnv+"_RERANK="+ranker.Path(models),
		storesEnv+"="+work)
	return cmd, nil
}

// parseJUnit reads the results that pytest writes for --junit-xml.
func parseJUnit(r io.Reader) ([]outcome, error) {
	var results struct {
		Cases []struct {
			Class   string    `xml:"classname,attr"`
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.NewDecoder(r).Decode(&results); err != nil {
		return nil, fmt.Errorf("read pytest's results: %w", err)
	}
	var outcomes []outcome
	for _, c := range results.Cases {
		o := outcome{name: strings.TrimPrefix(c.Class, "unit.") + "/" + c.Name, result: "PASS"}
		switch {
		case c.Failure != nil || c.Error != nil:
			o.result = "FAIL"
		case c.Skipped != nil:
			o.result = "SKIP"
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}
