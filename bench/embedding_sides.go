package bench

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mullama/mullama"
)

//go:embed callers/embedding.py
var embeddingPeer string

// The sides that every run has: that to compare with, and ours.
const (
	aloneName   = "llama.cpp"
	libraryName = "library"
	daemonName  = "mullama"
)

// embeddingSide embeds the texts of calls, one call after the other, and says how many seconds it
// took.
type embeddingSide interface {
	name() string
	embed(ctx context.Context, calls [][]string) (seconds float64, err error)
	stop() error
}

// start starts all sides, and names the peers that are not measured.
func (m *embeddingMeter) start(ctx context.Context) error {
	path, err := filepath.Abs(m.o.model)
	if err != nil {
		return err
	}
	work := serving{model: path, slots: 1, context: embeddingLongest, threads: m.o.Threads,
		library: m.o.library, embedding: true}
	library, err := openEmbeddingLibrary(ctx, work)
	if err != nil {
		return err
	}
	m.sides = append(m.sides, library)
	if err := library.check(embeddingWorks(m.o)); err != nil {
		return err
	}
	alone, err := m.startAlone(ctx)
	if err != nil {
		return err
	}
	m.sides = append(m.sides, alone)
	m.result.Versions.Baseline = alone.engine
	ours, err := startDaemon(ctx, work, false)
	if err != nil {
		return err
	}
	m.sides = append(m.sides, &embeddingServer{daemonName, ours})
	if err := m.startPython(ctx); err != nil {
		return err
	}
	return m.startServers(ctx, work)
}

// startServers starts the peers that answer over HTTP.
func (m *embeddingMeter) startServers(ctx context.Context, work serving) error {
	for name := range m.o.peers {
		if peerServers[name] == nil {
			return fmt.Errorf("--peer names %q; use llama-server or ollama", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(peerServers)) {
		program, ok := m.o.peers[name]
		if !ok {
			m.notMeasured(name, "--peer names no program for it")
			continue
		}
		peer, err := peerServers[name](ctx, program, work)
		if err != nil {
			return err
		}
		m.sides = append(m.sides, &embeddingServer{name, peer})
	}
	return nil
}

func (m *embeddingMeter) notMeasured(name, why string) {
	m.result.Warnings = append(m.result.Warnings, name+" was not measured: "+why)
}

func (m *embeddingMeter) stop() (err error) {
	for _, s := range m.sides {
		err = errors.Join(err, s.stop())
	}
	for _, clean := range m.cleanup {
		err = errors.Join(err, clean())
	}
	return err
}

// embeddingLibrary is package mullama in this process.
type embeddingLibrary struct {
	runtime *mullama.Runtime
	model   *mullama.Model
}

func openEmbeddingLibrary(ctx context.Context, s serving) (*embeddingLibrary, error) {
	runtime, err := mullama.Open(mullama.Options{LibraryDir: s.library})
	if err != nil {
		return nil, err
	}
	model, err := runtime.Load(ctx, s.model, &mullama.LoadOptions{
		Threads: s.threads, BatchThreads: s.threads, ContextSize: s.context})
	if err != nil {
		return nil, errors.Join(err, runtime.Close())
	}
	return &embeddingLibrary{runtime, model}, nil
}

func (l *embeddingLibrary) name() string { return libraryName }

// check refuses a model for which the texts do not have the lengths that the result would name.
func (l *embeddingLibrary) check(works []embeddingWork) error {
	for _, w := range works {
		if w.length < 3 {
			continue
		}
		text := strings.Join(slices.Repeat(embeddingWords, 6)[:w.length-2], " ")
		tokens, err := l.model.Tokenize(text, mullama.TokenizeOptions{AddSpecial: true})
		if err != nil {
			return err
		}
		if len(tokens) != w.length {
			return fmt.Errorf("the words of this benchmark are made for models with BERT's "+
				"vocabulary; for this one %d are %d tokens", w.length-2, len(tokens))
		}
	}
	return nil
}

func (l *embeddingLibrary) embed(ctx context.Context, calls [][]string) (float64, error) {
	return timed(calls, func(texts []string) error {
		result, err := l.model.Embed(ctx, &mullama.EmbedRequest{Texts: texts})
		if err != nil {
			return err
		}
		return result.Err()
	})
}

func (l *embeddingLibrary) stop() error {
	return errors.Join(l.model.Close(), l.runtime.Close())
}

// timed says how many seconds all calls take.
func timed[T any](calls []T, do func(T) error) (float64, error) {
	start := time.Now()
	for _, call := range calls {
		if err := do(call); err != nil {
			return 0, err
		}
	}
	return time.Since(start).Seconds(), nil
}

// embeddingServer is a server with OpenAI's route. Requests are written beforehand, and of the
// answers only how many embeddings they have is looked at, so that the client takes little of the
// processor.
type embeddingServer struct {
	side string
	*served
}

func (s *embeddingServer) name() string { return s.side }

func (s *embeddingServer) embed(ctx context.Context, calls [][]string) (float64, error) {
	type request struct {
		body  []byte
		texts int
	}
	requests := make([]request, len(calls))
	for i, texts := range calls {
		body, err := json.Marshal(map[string]any{"model": servedName, "input": texts})
		if err != nil {
			return 0, err
		}
		requests[i] = request{body, len(texts)}
	}
	return timed(requests, func(r request) error {
		answer, err := s.post(ctx, "/v1/embeddings", r.body)
		if err == nil && bytes.Count(answer, []byte(`"embedding":`)) != r.texts {
			err = fmt.Errorf("the answer has not %d embeddings: %.200s", r.texts, answer)
		}
		return err
	})
}

// post sends JSON and returns the answer, which must be one of success.
func (d *served) post(ctx context.Context, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %.500s", resp.Status, answer)
	}
	return answer, nil
}

// embeddingProgram is a program that embeds texts for each line it reads, and answers with the
// seconds it took.
type embeddingProgram struct {
	*worker
	engine string
	order  func(calls [][]string) ([]byte, error)
}

func (p *embeddingProgram) start(side string, cmd *exec.Cmd) (err error) {
	var header embeddingAnswer
	p.worker, err = startWorker(side, cmd, &header)
	p.engine = header.Engine
	return err
}

// embeddingAnswer is a line of an embeddingProgram; the first has the engine.
type embeddingAnswer struct {
	Engine  string  `json:"engine"`
	Seconds float64 `json:"seconds"`
}

func (p *embeddingProgram) name() string { return p.worker.name }

func (p *embeddingProgram) embed(_ context.Context, calls [][]string) (float64, error) {
	order, err := p.order(calls)
	if err != nil {
		return 0, err
	}
	var answer embeddingAnswer
	err = p.worker.order(order, &answer)
	return answer.Seconds, err
}

// startAlone starts the C program, which reads the texts from a file of records.
func (m *embeddingMeter) startAlone(ctx context.Context) (*embeddingProgram, error) {
	oracle, err := oracleProgram(m.o.oracle, m.o.library)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-embedding-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "records")
	p := &embeddingProgram{order: func(calls [][]string) ([]byte, error) {
		var data []byte
		for _, text := range slices.Concat(calls...) {
			data = binary.LittleEndian.AppendUint32(data, uint32(len(text)))
			data = append(data, text...)
		}
		return fmt.Appendf(nil, "%d %s", len(calls[0]), path), os.WriteFile(path, data, 0o600)
	}}
	cmd := exec.CommandContext(ctx, oracle[0], "embed-calls", m.o.model,
		"threads="+strconv.Itoa(m.o.Threads))
	m.cleanup = append(m.cleanup, func() error { return os.RemoveAll(dir) })
	return p, p.start(aloneName, cmd)
}

// startPython starts the libraries of Python, with the weights of the model's kind.
func (m *embeddingMeter) startPython(ctx context.Context) error {
	kind := "f32"
	if strings.HasPrefix(m.result.Model.Quantization, "Q") {
		kind = "int8"
	}
	for _, peer := range []struct{ python, flag, side, kind string }{
		{m.o.python, "--python", "onnxruntime-" + kind, kind},
		{m.o.torch, "--torch", "fastembed-" + kind, "fastembed-" + kind},
		{m.o.torch, "--torch", "sentence-transformers", "sentence-transformers"},
	} {
		if peer.python == "" {
			m.notMeasured(peer.side, peer.flag+" names no Python for it")
			continue
		}
		p := &embeddingProgram{
			order: func(calls [][]string) ([]byte, error) { return json.Marshal(calls) }}
		cmd := exec.CommandContext(ctx, peer.python, "-c", embeddingPeer, peer.kind,
			strconv.Itoa(m.o.Threads))
		if err := p.start(peer.side, cmd); err != nil {
			return err
		}
		m.sides = append(m.sides, p)
	}
	return nil
}
