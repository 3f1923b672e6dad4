package bench

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/bench/load"
)

// answering starts a peer that prints these answers.
func answering(t *testing.T, answers ...string) *worker {
	t.Helper()
	script := `echo '{"engine":"test"}'`
	for _, a := range answers {
		script += `; read -r order; case $order in *'"prompts":["'*) echo '` + a + `';; esac`
	}
	var header Header
	w, err := startWorker("some-peer", exec.Command("sh", "-c", script), &header)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.stop() })
	if header.Engine != "test" {
		t.Errorf("the engine is %q", header.Engine)
	}
	return w
}

func TestABindingAnswersAWaveOfPrompts(t *testing.T) {
	w := answering(t, `{"seconds": 2, "answers": [`+
		`{"start_s": 0, "times_s": [0.5, 1], "end_s": 1, "tokens": 2},`+
		`{"start_s": 0, "times_s": [1.5, 2], "end_s": 2, "tokens": 2}]}`, `{"answers": []}`)
	work := load.Work{Requests: 2, Streams: 2, PromptTokens: 4, Tokens: 2}
	wave, err := w.wave(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	if wave.Side != "some-peer" || wave.Tokens != 4 || wave.Seconds != 2 ||
		wave.Load.FirstToken.P50 < 500 {
		t.Errorf("the wave is %+v with %+v", wave, wave.Load)
	}
	_, err = w.wave(t.Context(), work)
	if err == nil || !strings.Contains(err.Error(), "some-peer answered 0 of 2 prompts") {
		t.Errorf("without answers: %v", err)
	}
	if _, err = w.wave(t.Context(), work); err == nil {
		t.Error("a program that has ended answered")
	}
}

func TestAnUnknownPeerIsRefusedWithTheNamesOfAll(t *testing.T) {
	_, _, err := runCommand(t, "bench", "streams", "--model", "m.gguf", "--peer", "vllm=x")
	if err == nil || !strings.Contains(err.Error(),
		"there are llama-cpp-python, llama-server, node-llama-cpp, ollama") {
		t.Errorf("error is %v", err)
	}
}

func TestEveryPeerHasAPlaceInTheTables(t *testing.T) {
	for _, name := range append(slices.Sorted(maps.Keys(peerServers)),
		slices.Sorted(maps.Keys(peerBindings))...) {
		titled := func(s struct{ side, name string }) bool { return s.side == name }
		if !slices.ContainsFunc(sideTitles, titled) {
			t.Errorf("what is measured of %s is in no table", name)
		}
	}
}

func TestABindingThatIsNotThereSaysWhatSetsItUp(t *testing.T) {
	for _, name := range []string{"llama-cpp-python", "node-llama-cpp"} {
		m := &waves{o: streamOptions{peers: map[string]string{name: t.TempDir() + "/none"}}}
		err := m.startPeers(t.Context(), serving{})
		if err == nil || !strings.Contains(err.Error(), "/none") ||
			!strings.Contains(err.Error(), "is not there; make peers-bindings sets it up") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
