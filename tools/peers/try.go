package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mullama/mullama/internal/testmodels"
)

// tryModel is the name of the test model with which built peers are tried.
const tryModel = "smollm2"

// tryLlamaServer lets a built llama-server answer.
func tryLlamaServer(ctx context.Context, binary string) error {
	model, err := tryFile()
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	host, port := splitAddress(address)
	cmd := exec.CommandContext(ctx, binary, "--host", host, "--port", port, "--offline",
		"--model", model, "--ctx-size", "512", "--parallel", "1")
	return tryServer(ctx, cmd, "http://"+address+"/health", func() error {
		return ask(ctx, "http://"+address+"/completion",
			map[string]any{"prompt": "Hello", "n_predict": 4}, "content")
	})
}

// tryOllama lets a built Ollama take a model and answer. It keeps no settings: its home is a folder
// that is removed.
func tryOllama(ctx context.Context, binary string) error {
	model, err := tryFile()
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	home, err := os.MkdirTemp("", "mullama-ollama-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	file := filepath.Join(home, "Modelfile")
	if err := os.WriteFile(file, []byte("FROM "+model+"\n"), 0o600); err != nil {
		return err
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, binary, args...)
		cmd.Env = append(os.Environ(), "HOME="+home, "OLLAMA_HOST="+address, "OLLAMA_NO_CLOUD=1",
			"OLLAMA_MODELS="+filepath.Join(home, "models"))
		return cmd
	}
	return tryServer(ctx, run("serve"), "http://"+address+"/", func() error {
		if out, err := run("create", tryModel, "-f", file).CombinedOutput(); err != nil {
			return fmt.Errorf("create the model: %w: %s", err, out)
		}
		return ask(ctx, "http://"+address+"/api/generate", map[string]any{"model": tryModel,
			"prompt": "Hello", "stream": false, "options": map[string]any{"num_predict": 4},
		}, "response")
	})
}

// tryFile is the file of the model.
func tryFile() (string, error) {
	dir, err := testmodels.Dir()
	if err != nil {
		return "", err
	}
	model, _ := testmodels.Find(tryModel)
	if path := model.Path(dir); model.Complete(dir) {
		return path, nil
	}
	return "", fmt.Errorf("the test model %s is not there; run go run ./tools/fetchmodels %s",
		tryModel, tryModel)
}

// tryServer starts a server, waits until it is ready, tries it and ends it. An error has the end of
// what the server said.
func tryServer(ctx context.Context, cmd *exec.Cmd, ready string, try func() error) error {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	err := waitFor(ctx, ready)
	if err == nil {
		err = try()
	}
	err = errors.Join(err, end(cmd))
	if err != nil {
		text := said.Bytes()
		return fmt.Errorf("%w; it said:\n%s", err, text[max(0, len(text)-2000):])
	}
	return nil
}

// ask sends a request and wants a text in one field of the answer.
func ask(ctx context.Context, url string, body map[string]any, field string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil || answer[field] == nil ||
		answer[field] == "" {
		return fmt.Errorf("status %d, and no %s in %s", resp.StatusCode, field, text)
	}
	return nil
}
