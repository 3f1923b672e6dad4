package bench

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestMaxSimMeasuresEveryKind(t *testing.T) {
	cmd := testBenchCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SetArgs([]string{"maxsim", "--docs", "20", "--thread-counts", "1", "--rounds", "1",
		"--reps", "1", "--json", "-"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var result Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatal(err)
	}
	result.Command = "mullama bench maxsim" // the test's own name is another
	data, err := json.Marshal(&result)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, data); err != nil {
		t.Error(err)
	}
	if len(result.Points) != 3 {
		t.Fatalf("%d points, want one for each kind", len(result.Points))
	}
	for _, p := range result.Points {
		if p.Values["search_ms"] <= 0 || p.Values["limit_ms"] <= 0 {
			t.Errorf("%s: %v", p.Case, p.Values)
		}
	}
}
