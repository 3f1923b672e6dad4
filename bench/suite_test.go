package bench

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

// testSuite has its folders in a temporary one.
func testSuite(t *testing.T) *suite {
	t.Helper()
	dir := t.TempDir()
	at := Folders{
		Cache:  func() string { return dir },
		Models: func() string { return filepath.Join(dir, "store") },
	}
	return &suite{folders: at, groups: groups(at)}
}

func TestQuickSetsFlagsThatEveryGroupHas(t *testing.T) {
	s := testSuite(t)
	for i := range s.groups {
		g := &s.groups[i]
		flags := g.command().Flags()
		for _, q := range g.quick {
			f := flags.Lookup(q.flag)
			if f == nil {
				t.Errorf("%s has no flag --%s", g.name, q.flag)
				continue
			}
			if err := f.Value.Set(q.value); err != nil {
				t.Errorf("%s: --%s %s: %v", g.name, q.flag, q.value, err)
			}
		}
		if flags.Lookup("json") == nil || (flags.Lookup("model") == nil) != (g.model == noModel) {
			t.Errorf("%s lacks a flag that the suite sets", g.name)
		}
		if g.quickly <= 0 || g.fully < g.quickly {
			t.Errorf("%s takes about %s, or %s in full", g.name, g.quickly, g.fully)
		}
	}
}

func TestQuickLeavesFlagsThatAreSet(t *testing.T) {
	s := testSuite(t)
	s.quick = true
	g := s.group("store")
	cmd := g.command()
	cmd.SetContext(t.Context())
	if err := cmd.ParseFlags([]string{"--rounds=5"}); err != nil {
		t.Fatal(err)
	}
	if err := s.prepare(cmd, g); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, name := range []string{"rounds", "models", "megabytes"} {
		got[name] = cmd.Flags().Lookup(name).Value.String()
	}
	if got["rounds"] != "5" || got["models"] != "200" || got["megabytes"] != "64" {
		t.Errorf("flags are %v", got)
	}
	if line := commandLine(cmd, ""); strings.Contains(line, "models") {
		t.Errorf("the command is said to be %s", line)
	}
}

func TestQuickGroupsTakeLessThanAQuarterOfAnHour(t *testing.T) {
	r := suiteRun{suite: testSuite(t)}
	r.suite.quick = true
	var names []string
	for _, g := range r.suite.groups {
		if g.name != "offload" && g.name != "multi-gpu" { // which need GPUs
			names = append(names, g.name)
		}
	}
	if total := r.total(names).Minutes(); total >= 15 {
		t.Errorf("the quick groups take about %.0f minutes", total)
	}
}

func TestAGroupHasBothItsNames(t *testing.T) {
	s := testSuite(t)
	if g := s.group("colbert"); g == nil || g != s.group("maxsim") {
		t.Error("colbert and maxsim are not the same group")
	}
	err := s.onlyGroups(nil, []string{"maxsim", "speed"})
	if !errors.Is(err, mullama.ErrInvalidOption) || !strings.Contains(err.Error(), `"speed"`) {
		t.Errorf("error is %v", err)
	}
}

func TestASuiteGoesOnAfterAGroupThatFailed(t *testing.T) {
	model := testmodels.Path(t, "smollm2")
	t.Setenv(fakeSide, "real") // this test binary is the program
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	dir := filepath.Join(t.TempDir(), "out")
	stdout, stderr, err := runCommand(t, "bench", "embedding", "overhead", "memory",
		"--out", dir, "--model", model, "--embedding-model", "no-such.gguf")
	if err == nil || !strings.HasPrefix(err.Error(), "embedding failed; ") {
		t.Fatalf("error is %v\n%s", err, stderr)
	}
	if want := filepath.Join(dir, "report.md") + "\n"; stdout != want {
		t.Errorf("printed %q, want %q", stdout, want)
	}
	s, err := readSuite(filepath.Join(dir, suiteFile))
	if err != nil {
		t.Fatal(err)
	}
	var states []GroupState
	for _, g := range s.Groups {
		states = append(states, g.State)
	}
	if want := []GroupState{Failed, NotMeasured, Measured}; !slices.Equal(states, want) {
		t.Fatalf("states are %v: %+v", states, s.Groups)
	}
	if why := s.Groups[0].Reason; !strings.Contains(why, "no-such.gguf") {
		t.Errorf("embedding failed because of %q", why)
	}
	if results, err := ReadResults(dir); err != nil || len(results) != 1 ||
		results[0].Group != "memory" {
		t.Errorf("results are %v (%v)", results, err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| embedding | failed: ",
		"| overhead | not measured: the programs", "## memory: "} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report lacks %q:\n%s", want, page)
		}
	}
}

func TestSeveralGroupsTakeNoFlagOfOne(t *testing.T) {
	_, _, err := runCommand(t, "bench", "memory", "store", "--rounds", "2")
	if !errors.Is(err, mullama.ErrInvalidOption) || !strings.Contains(err.Error(), "--rounds") {
		t.Errorf("error is %v", err)
	}
}

func TestAModelThatIsNotThereNamesWhatFetchesIt(t *testing.T) {
	s := testSuite(t)
	for kind, want := range map[modelKind]string{textModel: "make demo",
		embeddingModel: "make models"} {
		_, err := s.modelFile(t.Context(), kind, "")
		var named *mullama.Error
		if !errors.As(err, &named) || !strings.Contains(named.Hint, want) {
			t.Errorf("error is %v, want a hint at %s", err, want)
		}
	}
	path := filepath.Join(s.folders.Cache(), "models", demoModel)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.modelFile(t.Context(), textModel, ""); err != nil || got != path {
		t.Errorf("the usual model is %s (%v)", got, err)
	}
}
