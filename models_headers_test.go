package mullama_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// again opens a store that was opened before, as another program does.
func again(t *testing.T, dir string) *mullama.Runtime {
	t.Helper()
	rt, err := mullama.Open(mullama.Options{ModelsDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	return rt
}

func TestHeadersOfModelsAreReadOnce(t *testing.T) {
	rt, dir, _ := withStore(t)
	m := importModel(t, rt, "tiny", synth.Options{Context: 512})
	before, err := os.Stat(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	// Nobody changes a blob so; it shows whether the file is read.
	if err := os.WriteFile(m.Path, make([]byte, before.Size()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(m.Path, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	found, err := again(t, dir).Find("tiny")
	if err != nil || found.Details.ContextLength != 512 || found.Details.Family != "llama" ||
		!slices.Equal(found.Capabilities, m.Capabilities) {
		t.Errorf("found %+v, %v; want %+v", found, err, m)
	}
	later := before.ModTime().Add(1e9)
	if err := os.Chtimes(m.Path, later, later); err != nil {
		t.Fatal(err)
	}
	if got := names(t, again(t, dir)); len(got) != 0 {
		t.Errorf("%q is listed, whose file has changed and is none", got)
	}
}

func TestDamagedHeadersAreReadAgain(t *testing.T) {
	rt, dir, _ := withStore(t)
	importModel(t, rt, "a", synth.Options{Seed: 1})
	importModel(t, rt, "b", synth.Options{Seed: 2, Context: 777})
	file := filepath.Join(dir, ".mullama-headers")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"gone": "", "cut off": string(text[:len(text)-20]), "no JSON": "\x00\xff{}\n[]\n",
		"of another program": strings.ReplaceAll(string(text), mullama.Version()+"/",
			"0.0.1/"),
		"twice": string(text) + string(text),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			rt := again(t, dir)
			if got := names(t, rt); len(got) != 2 {
				t.Errorf("listed are %q", got)
			}
			if m, err := rt.Find("b"); err != nil || m.Details.ContextLength != 777 {
				t.Errorf("found %+v, %v", m, err)
			}
		})
	}
}

func TestStoreWithoutHeadersThatCannotBeWrittenIsListed(t *testing.T) {
	rt, dir, _ := withStore(t)
	importModel(t, rt, "tiny", synth.Options{})
	file := filepath.Join(dir, ".mullama-headers")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o755); err != nil { // so that no file can have the name
		t.Fatal(err)
	}
	if got := names(t, again(t, dir)); !slices.Equal(got, []string{"tiny:latest"}) {
		t.Errorf("listed are %q", got)
	}
}
