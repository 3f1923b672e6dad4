package conformance

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

const adapterTokens = 16

// tuned are adapters and a control vector for a model, and what the oracle is told of them.
type tuned struct {
	adapters [2]string
	control  string
	raw      string // the numbers of the control vector
}

func newTuned(t *testing.T, model string) *tuned {
	t.Helper()
	dir := t.TempDir()
	u := &tuned{control: filepath.Join(dir, "control.gguf"), raw: filepath.Join(dir, "control")}
	for i := range u.adapters {
		u.adapters[i] = filepath.Join(dir, fmt.Sprintf("adapter%d.gguf", i))
		err := synth.AdapterFile(u.adapters[i], model, synth.AdapterOptions{Seed: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
	}
	info, err := mullama.Inspect(model)
	if err != nil {
		t.Fatal(err)
	}
	numbers, err := synth.ControlFile(u.control, info.EmbeddingLength, 2, info.Layers-1, 1)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := binary.Append(nil, binary.LittleEndian, numbers)
	if err == nil {
		err = os.WriteFile(u.raw, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// options load both adapters without applying them.
func (u *tuned) options(slots int) *mullama.LoadOptions {
	none := float32(0)
	return &mullama.LoadOptions{
		ContextSize: greedyContext, Slots: slots, KVLayout: "split", Threads: greedyThreads,
		Adapters: []mullama.Adapter{
			{Path: u.adapters[0], Scale: &none}, {Path: u.adapters[1], Scale: &none},
		},
	}
}

// ask is what the oracle answers to a prompt with these adapters.
func (u *tuned) ask(t *testing.T, model, prompt string, list []mullama.AdapterScale) []int32 {
	t.Helper()
	var options []string
	names := []string{"lora", "lora2"}
	for _, a := range list {
		options = append(options, names[a.ID]+"="+u.adapters[a.ID],
			fmt.Sprintf("%s_scale=%g", names[a.ID], a.Scale))
	}
	return findOracle(t).greedyWith(t, model, prompt, options...)
}

// greedyWith is greedy for one prompt with further options.
func (o oracle) greedyWith(t *testing.T, model, prompt string, options ...string) []int32 {
	t.Helper()
	args := append([]string{"greedy", model, writeRecords(t, []string{prompt}),
		fmt.Sprintf("predict=%d", adapterTokens), fmt.Sprintf("threads=%d", greedyThreads),
		fmt.Sprintf("ctx=%d", greedyContext)}, options...)
	for _, line := range o.run(t, args...) {
		if rest, ok := strings.CutPrefix(line, "tokens "); ok {
			return parseIDs(t, rest)
		}
	}
	t.Fatal("the oracle gave no tokens")
	return nil
}

// TestAdaptersOfRequestsEqualOracle asks for several sets of adapters at once of one model.
func TestAdaptersOfRequestsEqualOracle(t *testing.T) {
	findOracle(t)
	path := testmodels.Path(t, "smollm2")
	u := newTuned(t, path)
	sets := [][]mullama.AdapterScale{
		{{ID: 0, Scale: 0}},
		{{ID: 0, Scale: 2}},
		{{ID: 0, Scale: -2}},
		{{ID: 1, Scale: 2}},
		{{ID: 0, Scale: 1.5}, {ID: 1, Scale: 1.5}},
	}
	model := load(t, path, u.options(len(sets)))
	const prompt = "The lighthouse keeper opened the door and"
	var streams []*mullama.Stream
	for _, set := range sets {
		stream, err := model.Generate(t.Context(), prompt, &mullama.GenerateOptions{
			Sampling: &mullama.Sampling{IgnoreEOS: true}, MaxTokens: adapterTokens, Adapters: set,
		})
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
	}
	var texts []string
	for i, tokens := range collectAll(t, streams)() {
		want := u.ask(t, path, prompt, sets[i])
		compareGreedy(t, fmt.Sprintf("tokens with adapters %v", sets[i]), tokens, want, prompt)
		texts = append(texts, fmt.Sprint(want))
	}
	slices.Sort(texts)
	if n := len(slices.Compact(texts)); n != len(sets) {
		t.Errorf("the oracle gave %d texts for %d sets of adapters", n, len(sets))
	}
}

// TestAdaptersOfALoadEqualOracle looks at those that requests do not name, and at a control vector.
func TestAdaptersOfALoadEqualOracle(t *testing.T) {
	oracle := findOracle(t)
	path := testmodels.Path(t, "smollm2")
	u := newTuned(t, path)
	half := float32(0.5)
	options := u.options(1)
	options.Adapters = []mullama.Adapter{{Path: u.adapters[1]}}
	options.ControlVectors = []mullama.ControlVector{
		{Path: u.control}, {Path: u.control, Scale: &half},
	}
	options.ControlLayers = [2]int{3, 20}
	const prompt = "In the middle of the night"
	doubled := filepath.Join(t.TempDir(), "doubled")
	scaleNumbers(t, u.raw, doubled, 1.5)
	plain := oracle.greedyWith(t, path, prompt)
	for _, tt := range []struct {
		name string
		with []string
	}{
		{"both", []string{"lora=" + u.adapters[1], "steer=" + doubled, "steer_first=3",
			"steer_last=20"}},
		{"the control vector alone", []string{"steer=" + doubled, "steer_first=3",
			"steer_last=20"}},
	} {
		if tt.name != "both" {
			options.Adapters = nil
		}
		model := load(t, path, options)
		want := oracle.greedyWith(t, path, prompt, tt.with...)
		if slices.Equal(want, plain) {
			t.Errorf("%s: the oracle's text does not change", tt.name)
		}
		got := collectAll(t, []*mullama.Stream{generate(t, model, prompt, adapterTokens)})()[0]
		compareGreedy(t, "tokens with "+tt.name, got, want, prompt)
	}
}

func scaleNumbers(t *testing.T, from, to string, scale float32) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	numbers := make([]float32, len(raw)/4)
	if _, err := binary.Decode(raw, binary.LittleEndian, numbers); err != nil {
		t.Fatal(err)
	}
	for i := range numbers {
		numbers[i] *= scale
	}
	if raw, err = binary.Append(nil, binary.LittleEndian, numbers); err == nil {
		err = os.WriteFile(to, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
