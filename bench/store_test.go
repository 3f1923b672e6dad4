package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

func TestListsAndPullsAreMeasured(t *testing.T) {
	if rt, err := mullama.Open(mullama.Options{}); errors.Is(err, mullama.ErrLibraryMissing) {
		t.Skip(err)
	} else if err == nil {
		rt.Close()
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(fakeSide, "llama-quantize") // for programs that are started
	model := filepath.Join(t.TempDir(), "model.gguf")
	if err := synth.TinyFile(model, synth.Options{}); err != nil {
		t.Fatal(err)
	}
	measure := func() (Result, error) {
		cmd := testBenchCommand()
		var out, errOut bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&errOut)
		cmd.SetArgs([]string{"store", "--models", "3", "--megabytes", "1", "--rounds", "1",
			"--quantize", model, "--llama-quantize", self, "--json", "-"})
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			return Result{}, err
		}
		var r Result
		return r, json.Unmarshal(out.Bytes(), &r)
	}
	r, err := measure()
	if err != nil {
		t.Fatal(err)
	}
	if r.Group != "store" || len(r.Rows) != 15 || r.Rows[14].Baseline == nil {
		t.Errorf("got %+v", r.Rows)
	}
	for _, row := range r.Rows {
		if row.Value <= 0 && row.Unit != "ms" && row.Unit != "s/GB" { // differences of times may be
			t.Errorf("%s is %g", row.Name, row.Value)
		}
	}
	t.Setenv(fakeOther, "1")
	if _, err := measure(); err == nil || !strings.Contains(err.Error(), "differs from ours") {
		t.Errorf("where llama-quantize writes another model: %v", err)
	}
}
