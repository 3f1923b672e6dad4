package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestMaxSimMeasuresEveryKind(t *testing.T) {
	cmd := testBenchCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SetArgs([]string{"maxsim", "--docs", "20", "--thread-counts", "1", "--rounds", "1",
		"--reps", "1", "--device", "CPU", "--json", "-"})
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
	if len(result.Points) != 3+4 {
		t.Fatalf("%d points, want one for each kind, and four of the device", len(result.Points))
	}
	for _, p := range result.Points[:3] {
		if p.Values["search_ms"] <= 0 || p.Values["limit_ms"] <= 0 {
			t.Errorf("%s: %v", p.Case, p.Values)
		}
	}
	for _, p := range result.Points[3:] {
		if p.Values["search_ms"] <= 0 || p.Values["of_bandwidth_percent"] <= 0 {
			t.Errorf("%s: %v", p.Case, p.Values)
		}
	}
	var b strings.Builder
	tables(&b, &result)
	for _, want := range []string{"\n| f16, 20 documents, 1 threads |",
		"\n| f16 on CPU, 20 documents, 1 query |", "\n| f32 on CPU, 20 documents, 16 queries |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the tables lack %q:\n%s", want, &b)
		}
	}
}

func TestADeviceIsHeldAgainstItsPeers(t *testing.T) {
	r := &Result{Group: "maxsim"}
	for name, ms := range map[string]float64{"f16": 2, "f32": 3, "flash_maxsim f16": 4} {
		r.Points = append(r.Points, Point{Round: 1, Case: deviceCase(name, "CUDA0", 100, 1),
			Values: map[string]float64{"search_ms": ms}})
	}
	r.Rows = pointRows(r.Group, r.Points)
	all := maxsimStandings(r)
	if len(all) != 1 || all[0].other != "flash_maxsim" ||
		all[0].what != "search, f16 on CUDA0, 100 documents, 1 query" || all[0].times != 2 {
		t.Errorf("%+v", all)
	}
}

func TestWhatTheDeviceOfASearchCannotBeIsSaid(t *testing.T) {
	for want, args := range map[string][]string{
		"no device named TPU7; this machine has CPU": {"--device", "TPU7"},
		"gpu-python is for a device":                 {"--gpu-python", "python3"},
	} {
		cmd := testBenchCommand()
		cmd.SetErr(&bytes.Buffer{})
		cmd.SetArgs(append([]string{"maxsim"}, args...))
		if err := cmd.ExecuteContext(t.Context()); err == nil ||
			!strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
}
