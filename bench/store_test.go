package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"testing"

	"github.com/mullama/mullama"
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
	cmd := testBenchCommand()
	var out, errOut bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	cmd.SetArgs([]string{"store", "--models", "3", "--megabytes", "1", "--rounds", "1",
		"--json", "-"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, &errOut)
	}
	var r Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Group != "store" || len(r.Rows) != 9 {
		t.Errorf("got %+v", r.Rows)
	}
	for _, row := range r.Rows {
		if row.Value <= 0 && row.Unit != "ms" { // a difference of times may be
			t.Errorf("%s is %g", row.Name, row.Value)
		}
	}
}
