package mullama_test

import (
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/store"
	"github.com/mullama/mullama/internal/synth"
)

func TestModelsThatRequireANewerVersion(t *testing.T) {
	rt, dir, log := withStore(t)
	importModel(t, rt, "base", synth.Options{})
	for requires, ok := range map[string]bool{
		"0.14.0": true, "0.32.15": true, "0.32": true, "0.9.99-rc1": true,
		"0.32.16": false, "0.33.0": false, "1": false, "0.100.0": false,
	} {
		_, err := rt.Create(t.Context(), "made", &mullama.CreateOptions{From: "base",
			Requires: requires})
		if !ok {
			wantKind(t, err, mullama.ErrUnsupported, "requires Ollama "+requires)
		} else if err != nil {
			t.Errorf("%s: %v", requires, err)
		}
	}
	addModel(t, dir, "pulled", synth.Options{}, store.Config{Requires: "9.0.0"})
	lease, err := rt.Acquire(t.Context(), "pulled", mullama.AcquireOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lease.Release()
	if err := rt.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "requires Ollama 9.0.0") {
		t.Errorf("nothing is said of it: %s", log)
	}
}
