package daemon

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/testdaemon"
)

// TestBenchMeasuresDaemonsOfItsOwn has groups that need a whole program measure a model of the
// store by its name.
func TestBenchMeasuresDaemonsOfItsOwn(t *testing.T) {
	d := testdaemon.Start(t, map[string]string{"smollm2": "smollm2"})
	for group, c := range map[string]struct{ flags, row string }{
		"streaming": {"--rounds 1 --generate-tokens 8", "websocket_gap_p50_ms"},
		"load":      {"--requests 3 --streams 2 --prompt-tokens 4 --tokens 4", "ttft"},
	} {
		file := filepath.Join(t.TempDir(), group+".json")
		args := append([]string{"bench", group, "--model", "smollm2", "--json", file},
			strings.Fields(c.flags)...)
		cmd := exec.CommandContext(t.Context(), d.Program, args...)
		cmd.Env = append(os.Environ(), "MULLAMA_MODELS="+d.Store)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", group, err, out)
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var result struct {
			Rows []struct {
				Name    string    `json:"name"`
				Value   float64   `json:"value"`
				Samples []float64 `json:"samples"`
			} `json:"rows"`
		}
		if err := json.Unmarshal(data, &result); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, row := range result.Rows {
			found = found || row.Name == c.row && row.Value > 0 && len(row.Samples) > 0
		}
		if !found {
			t.Errorf("%s has no row %s:\n%s", group, c.row, data)
		}
	}
}
