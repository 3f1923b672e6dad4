package bench

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mullama/mullama/bench/load"
)

//go:embed callers/peers/llama_cpp_python.py
var llamaCppPython string

//go:embed callers/peers/node_llama_cpp.cjs
var nodeLlamaCpp string

// peerServers are the peers that answer over HTTP.
var peerServers = map[string]func(context.Context, string, serving) (*served, error){
	"llama-server": startLlamaServer, "ollama": startOllama,
}

// peerBinding is a peer that a program uses in its own process.
type peerBinding struct {
	file    string // in the folder that --peer names; "": --peer names a program
	command func(ctx context.Context, file string, s serving) *exec.Cmd
}

var peerBindings = map[string]peerBinding{
	"llama-cpp-python": {"", func(ctx context.Context, python string, s serving) *exec.Cmd {
		return exec.CommandContext(ctx, python,
			append([]string{"-c", llamaCppPython}, s.binding()...)...)
	}},
	// A text on the command line cannot import by name from another folder.
	"node-llama-cpp": {filepath.Join("node-llama-cpp", "dist", "index.js"),
		func(ctx context.Context, file string, s serving) *exec.Cmd {
			return exec.CommandContext(ctx, "node",
				append([]string{"-e", nodeLlamaCpp, "--", file}, s.binding()...)...)
		}},
}

// start starts the peer from what --peer names.
func (p peerBinding) start(ctx context.Context, name, given string, s serving) (*worker, error) {
	file, err := exec.LookPath(given)
	if p.file != "" {
		if file, err = filepath.Abs(filepath.Join(given, p.file)); err == nil {
			_, err = os.Stat(file)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--peer %s: %s is not there; make peers-bindings sets it up", name,
			filepath.Join(given, p.file))
	}
	var header Header
	return startWorker(name, p.command(ctx, file, s), &header)
}

// binding are the words of a peer's program.
func (s serving) binding() []string {
	return []string{s.model, strconv.Itoa(s.threads), strconv.Itoa(s.slots),
		strconv.Itoa(s.context)}
}

// peerNames lists all peers.
func peerNames() string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(peerServers)), maps.Keys(peerBindings))
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// knownPeers refuses names that no peer has.
func knownPeers(peers map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(peers)) {
		if _, ok := peerBindings[name]; !ok && peerServers[name] == nil {
			return fmt.Errorf("--peer names %q; there are %s", name, peerNames())
		}
	}
	return nil
}

// startPeers starts the sides that --peer names.
func (m *waves) startPeers(ctx context.Context, work serving) error {
	for _, name := range slices.Sorted(maps.Keys(m.o.peers)) {
		if begin := peerServers[name]; begin != nil {
			peer, err := begin(ctx, m.o.peers[name], work)
			if err != nil {
				return err
			}
			m.servers = append(m.servers, server{name, peer})
			continue
		}
		peer, err := peerBindings[name].start(ctx, name, m.o.peers[name], work)
		if err != nil {
			return err
		}
		m.bindings = append(m.bindings, peer)
	}
	return nil
}

// wave has the peer answer a wave of requests.
func (w *worker) wave(_ context.Context, work load.Work) (Wave, error) {
	order := struct {
		Prompts     []string `json:"prompts"`
		Tokens      int      `json:"tokens"`
		Temperature float64  `json:"temperature"`
		TopK        int      `json:"top_k"`
		TopP        float64  `json:"top_p"`
	}{nil, work.Tokens, work.Sampling.Temperature, work.Sampling.TopK, work.Sampling.TopP}
	for i := range work.Requests {
		order.Prompts = append(order.Prompts, work.Prompt(i))
	}
	line, err := json.Marshal(order)
	if err != nil {
		return Wave{}, err
	}
	run := load.Run{Started: time.Now()}
	if err := w.order(line, &run); err != nil {
		return Wave{}, err
	}
	if len(run.Answers) != work.Requests {
		return Wave{}, fmt.Errorf("%s answered %d of %d prompts", w.name, len(run.Answers),
			work.Requests)
	}
	return waveOf(w.name, work.Requests, &run)
}
