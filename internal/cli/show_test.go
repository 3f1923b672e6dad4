package cli

import (
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

func TestShow(t *testing.T) {
	for name, args := range map[string][]string{
		"show":          {"show", "m.gguf"},
		"show_verbose":  {"show", "m.gguf", "-v"},
		"show_json":     {"show", "m.gguf", "--json"},
		"show_metadata": {"show", "m.gguf", "--metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(newFake(), "", args...)
			if got.code != 0 || got.err != "" {
				t.Fatalf("got %+v", got)
			}
			golden(t, name, got.out)
		})
	}
}

func TestShowPrintsHowAModelForLateInteractionReadsTexts(t *testing.T) {
	fake := newFake()
	fake.model.info.LateInteraction = &mullama.LateInteraction{QueryMarker: 7, DocumentMarker: -1,
		QueryLength: 32, DocumentLength: 180, Expansion: 103, Skip: []int{1, 2}}
	got := run(fake, "", "show", "m.gguf")
	const want = `
Late interaction
  numbers of a vector  576
  query length         32
  query marker         token 7
  query expansion      token 103, which the others do not look at
  document length      180
  document marker      none
  tokens left out      2
`
	if got.code != 0 || !strings.Contains(got.out, want) {
		t.Errorf("got %+v", got)
	}
	if got := run(newFake(), "", "show", "m.gguf"); strings.Contains(got.out, "interaction") {
		t.Errorf("of another model: %+v", got)
	}
}

func TestShowPrintsOnePartAlone(t *testing.T) {
	info := fakeInfo()
	for flag, want := range map[string]string{
		"--template":   info.Template + "\n",
		"--license":    "apache-2.0\n",
		"--parameters": "temp  0.6\n",
	} {
		if got := run(newFake(), "", "show", "m.gguf", flag); got != (outcome{0, want, ""}) {
			t.Errorf("%s: got %+v, want %q", flag, got, want)
		}
	}
	fake := newFake()
	fake.model.info.Template = ""
	if got := run(
		fake,
		"",
		"show",
		"m.gguf",
		"--template",
	); got.code != 0 || got.out != "" ||
		got.err == "" {
		t.Errorf("without a template: %+v", got)
	}
	if got := run(
		newFake(),
		"",
		"show",
		"m.gguf",
		"--template",
		"--license",
	); got.code != exitUsage {
		t.Errorf("two parts: %+v", got)
	}
}

func TestShowNeverPrintsControlCharactersOfTheFile(t *testing.T) {
	fake := newFake()
	fake.model.info.Name = "evil\x1b]0;owned\x07\nsecond"
	fake.model.info.License = "a\x1b[2J\nb\nc\nd\ne"
	fake.model.info.Metadata["bad\x1bkey"] = "bad\x1bvalue"
	got := run(fake, "", "show", "m.gguf", "-v")
	if strings.ContainsAny(got.out, "\x1b\x07") || strings.Contains(got.out, "\nsecond") {
		t.Errorf("out %q", got.out)
	}
	if !strings.Contains(got.out, "2 more lines") {
		t.Errorf("a long licence is not shortened: %q", got.out)
	}
}

func TestShowPrintsWhereAModelWouldBeLoaded(t *testing.T) {
	fake := newFake()
	fake.model.plan = fakePlan()
	got := run(fake, "", "show", "m.gguf", "--plan")
	if got.code != 0 || got.err != "" {
		t.Fatalf("got %+v", got)
	}
	golden(t, "show_plan", got.out)
	got = run(fake, "", "show", "m.gguf", "--plan", "--json")
	if !strings.Contains(got.out, `"gpu_layers":20`) || !strings.Contains(got.out, `"CUDA0"`) {
		t.Errorf("as JSON: %+v", got)
	}
	got = run(fake, "", "show", "m.gguf", "--plan", "--license")
	if got.code != exitUsage {
		t.Errorf("two parts: %+v", got)
	}
}

func TestShowAsksTheDaemonForThePlanOfItsModel(t *testing.T) {
	d := &fakeDaemon{answers: map[string]any{"/api/show": api.ShowResponse{Plan: fakePlan()}}}
	got := runAgainst(t, d, "", "show", "smollm2", "--plan")
	golden(t, "show_plan", got.out)
	if len(d.asked) == 0 || !strings.Contains(d.asked[len(d.asked)-1], `"plan":true`) {
		t.Errorf("the daemon was asked %q", d.asked)
	}
	d.answers["/api/show"] = api.ShowResponse{}
	if got := runAgainst(t, d, "", "show", "smollm2", "--plan"); got.code == 0 ||
		!strings.Contains(got.err, "does not tell") {
		t.Errorf("of a daemon that does not know plans: %+v", got)
	}
}

func TestRunSaysWhereTheModelIsWhenVerbose(t *testing.T) {
	fake := newFake()
	fake.model.plan = fakePlan()
	fake.model.chunks = []mullama.Chunk{{Text: "Hi"}, doneChunk()}
	const line = "20 of 33 layers on the GPU: 5.25 GB on CUDA0, 2.00 GB on host"
	if got := run(fake, "", "run", "m.gguf", "x", "--verbose"); !strings.Contains(got.err, line) {
		t.Errorf("got %+v", got)
	}
	if got := run(fake, "", "run", "m.gguf", "x"); strings.Contains(got.err, line) {
		t.Errorf("without --verbose: %+v", got)
	}
}

// fakePlan is a model that is on one GPU in part.
func fakePlan() *api.Plan {
	return &api.Plan{
		Devices: []api.PlanDevice{
			{Name: "CUDA0", GPU: true, Total: 24e9, Free: 23e9, Weights: 4e9, Cache: 1e9,
				Compute: 250e6},
			{Name: "host", Total: 64e9, Free: 32e9, Weights: 2e9},
		},
		GPULayers: 20, Layers: 33, ContextSize: 4096, Slots: 2, CacheTokens: 8192, UBatchSize: 512,
		KVTypeK: "q8_0", KVTypeV: "f16", SplitMode: "none", FlashAttn: "on",
		Notes: []string{"the GPU memory that is free has room for 20 of 33 layers"},
	}
}
