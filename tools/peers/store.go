package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// storeModelfile says everything that a model of either can have.
const storeModelfile = `FROM plain
SYSTEM """You are "brief".
Really."""
TEMPLATE "{{ .System }} {{ .Prompt }}"
PARAMETER temperature 0.25
PARAMETER num_ctx 512
PARAMETER stop "<|end|>"
PARAMETER stop "###"
LICENSE MIT
MESSAGE user Hi
MESSAGE assistant Hello
RENDERER deepseek3.1
PARSER deepseek3
`

// storeSteps make the models, by commands that both programs have.
var storeSteps = [][]string{
	{"create", "made", "-f", "Modelfile"},
	{"cp", "made", "someone/copied:1"},
}

// oursAlone is the model that only we make. Its manifest names another blob than Ollama's would.
const oursAlone = "imported"

// shownFields are those of /api/show that both must tell alike.
var shownFields = []string{"license", "parameters", "template", "system", "messages"}

// keeper is one of the two programs, serving one store.
type keeper struct {
	name, program, store, address string
	cmd                           *exec.Cmd
}

// checkStores has each program serve a store that the other has made, and wants the same models,
// the same manifests to the byte, and nothing changed.
func checkStores(ctx context.Context, out, log io.Writer) error {
	programs, err := buildLlama(ctx, log)
	if err != nil {
		return err
	}
	ollama, err := buildOllama(ctx, log, programs)
	if err != nil {
		return err
	}
	ours, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mullama-stores-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := writeInputs(work); err != nil {
		return err
	}
	makers := map[string]string{"mullama": ours, "ollama": ollama}
	// Both begin with the same model, as Ollama writes the header of a GGUF file anew.
	err = makeStore(ctx, work, "ollama", ollama, []string{"create", "plain", "-f", "Plain"})
	if err == nil {
		err = os.CopyFS(filepath.Join(work, "mullama"), os.DirFS(filepath.Join(work, "ollama")))
	}
	for _, maker := range []string{"mullama", "ollama"} {
		if err == nil {
			err = makeStore(ctx, work, maker, makers[maker], storeSteps...)
		}
	}
	if err == nil {
		step := []string{"create", oursAlone, "-f", "Plain"}
		err = makeStore(ctx, work, "mullama", ours, step)
	}
	if err != nil {
		return fmt.Errorf("make the stores: %w", err)
	}
	for maker, reader := range map[string]string{"mullama": "ollama", "ollama": "mullama"} {
		if err := readByBoth(ctx, work, maker, reader, makers); err != nil {
			return fmt.Errorf("a store of %s, read by %s: %w", maker, reader, err)
		}
	}
	if err := compareCommands(ctx, out, work, ours, ollama); err != nil {
		return err
	}
	if err := exchange(ctx, out, work, ours, ollama); err != nil {
		return err
	}
	return compareManifests(out, filepath.Join(work, "mullama"), filepath.Join(work, "ollama"))
}

// writeInputs writes the Modelfiles.
func writeInputs(work string) error {
	model, err := tryFile()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(work, "Plain"), []byte("FROM "+model+"\n"), 0o600),
		os.WriteFile(filepath.Join(work, "Modelfile"), []byte(storeModelfile), 0o600))
}

// serveStore starts a program on the store of a maker.
func serveStore(ctx context.Context, work, maker, name, program string) (*keeper, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	k := &keeper{name: name, program: program, store: filepath.Join(work, maker),
		address: address}
	k.cmd = k.command(ctx, work, "serve")
	k.cmd.Stdout, k.cmd.Stderr = nil, nil
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	if err := waitFor(ctx, "http://"+address+"/"); err != nil {
		return nil, errors.Join(err, end(k.cmd))
	}
	return k, nil
}

// command is a call of the program, whose home is a folder that is removed.
func (k *keeper) command(ctx context.Context, work string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.program, args...)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "HOME="+work, "OLLAMA_HOST="+k.address, "OLLAMA_NO_CLOUD=1",
		"OLLAMA_MODELS="+k.store, "MULLAMA_HOST="+k.address, "MULLAMA_MODELS="+k.store,
		"MULLAMA_NOSTART=1", "MULLAMA_CONFIG="+os.DevNull)
	return cmd
}

// makeStore has a program change its store.
func makeStore(
	ctx context.Context, work, name, program string, steps ...[]string,
) error {
	k, err := serveStore(ctx, work, name, name, program)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if text, err := k.command(ctx, work, step...).CombinedOutput(); err != nil {
			return errors.Join(fmt.Errorf("%v: %w: %s", step, err, text), end(k.cmd))
		}
	}
	return end(k.cmd)
}

// facts are what a program tells of a store: for each model its row of the list, and what show
// says.
type facts map[string]map[string]any

// readByBoth compares what both programs tell of a store, which must stay as it is.
func readByBoth(
	ctx context.Context, work, maker, reader string, programs map[string]string,
) error {
	store := filepath.Join(work, maker)
	before, err := filesOf(store)
	if err != nil {
		return err
	}
	var told []facts
	for _, name := range []string{maker, reader} {
		k, err := serveStore(ctx, work, maker, name, programs[name])
		if err != nil {
			return err
		}
		f, err := k.tell(ctx)
		if err := errors.Join(err, end(k.cmd)); err != nil {
			return err
		}
		told = append(told, f)
	}
	if len(told[0]) < 3 || !reflect.DeepEqual(told[0], told[1]) {
		a, _ := json.MarshalIndent(told[0], "", " ")
		b, _ := json.MarshalIndent(told[1], "", " ")
		return fmt.Errorf("%s tells\n%s\nand %s tells\n%s", maker, a, reader, b)
	}
	after, err := filesOf(store)
	if err == nil && !reflect.DeepEqual(before, after) {
		err = errors.New("its files were changed")
	}
	return err
}

// tell asks for the list and for each model.
func (k *keeper) tell(ctx context.Context) (facts, error) {
	var list struct {
		Models []struct {
			Name, Digest string
			Size         int64
		}
	}
	if err := k.ask(ctx, http.MethodGet, "/api/tags", nil, &list); err != nil {
		return nil, err
	}
	told := facts{}
	for _, m := range list.Models {
		var shown map[string]any
		err := k.ask(ctx, http.MethodPost, "/api/show", map[string]string{"model": m.Name}, &shown)
		if err != nil {
			return nil, err
		}
		row := map[string]any{"digest": m.Digest, "size": m.Size}
		for _, field := range shownFields {
			if shown[field] != nil && shown[field] != "" {
				row[field] = shown[field]
			}
		}
		if text, ok := row["parameters"].(string); ok { // Ollama has them in any order
			lines := strings.Split(text, "\n")
			slices.Sort(lines)
			row["parameters"] = lines
		}
		told[m.Name] = row
	}
	return told, nil
}

func (k *keeper) ask(ctx context.Context, method, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+k.address+path,
		bytes.NewReader(data))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s of %s: status %d, %s", path, k.name, resp.StatusCode, text)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// filesOf are the manifests of a store with their text, and its blobs with their size. Files for
// locks and the like, which begin with a dot, are no part of it.
func filesOf(store string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(store, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		name, _ := filepath.Rel(store, path)
		if !strings.HasPrefix(name, "manifests") {
			info, err := d.Info()
			if err == nil {
				files[name] = fmt.Sprint(info.Size())
			}
			return err
		}
		text, err := os.ReadFile(path)
		files[name] = string(text)
		return err
	})
	return files, err
}

// compareManifests wants the same manifests in both stores.
func compareManifests(out io.Writer, ours, theirs string) error {
	a, err := filesOf(ours)
	if err != nil {
		return err
	}
	b, err := filesOf(theirs)
	if err != nil {
		return err
	}
	var problems []error
	same := 0
	for name, text := range a {
		if !strings.HasPrefix(name, "manifests") || strings.Contains(name, oursAlone) {
			continue
		}
		if text != b[name] {
			problems = append(problems, fmt.Errorf("%s: ours is\n%s\nand Ollama's\n%s", name, text,
				b[name]))
			continue
		}
		same++
	}
	fmt.Fprintf(out, "store: each reads the other's; %d of %d manifests are the same to the byte\n",
		same, same+len(problems))
	return errors.Join(problems...)
}
