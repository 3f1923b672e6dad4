package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from the output; run with -update after checking\ngot:\n%s\nwant:\n%s",
			path, got, want)
	}
}

// fakeModel answers from a script and remembers what it was asked.
type fakeModel struct {
	info   mullama.Info
	chunks []mullama.Chunk // the answer
	err    error           // comes after chunks
	hang   bool            // after chunks, wait until the request is cancelled
	echo   bool            // answer with what was asked instead
	plan   *mullama.Plan

	prompts  []string
	chats    [][]mullama.Message
	requests []mullama.GenerateOptions
	thoughts []mullama.ChatOptions // of the chats
	embeds   []mullama.EmbedOptions
	started  chan struct{} // closed at the first wait
	closed   bool
}

func (m *fakeModel) Info() *mullama.Info { return &m.info }
func (m *fakeModel) ContextSize() int    { return 4096 }
func (m *fakeModel) Plan() *mullama.Plan { return m.plan }
func (m *fakeModel) Close() error        { m.closed = true; return nil }

// Tokenize makes a token of every byte.
func (m *fakeModel) Tokenize(text string, o mullama.TokenizeOptions) ([]mullama.Token, error) {
	var tokens []mullama.Token
	if o.AddSpecial {
		tokens = append(tokens, 256)
	}
	for _, b := range []byte(text) {
		tokens = append(tokens, mullama.Token(b))
	}
	return tokens, nil
}

func (m *fakeModel) Detokenize(tokens []mullama.Token) ([]byte, error) {
	var text []byte
	for _, token := range tokens {
		if token == 256 {
			text = append(text, "<s>"...)
		} else {
			text = append(text, byte(token))
		}
	}
	return text, nil
}

func (m *fakeModel) Generate(
	ctx context.Context, prompt string, o *mullama.GenerateOptions,
) iter.Seq2[mullama.Chunk, error] {
	m.prompts = append(m.prompts, prompt)
	m.requests = append(m.requests, *o)
	return m.play(ctx, prompt)
}

func (m *fakeModel) Chat(
	ctx context.Context, messages []mullama.Message, o *mullama.ChatOptions,
) iter.Seq2[mullama.Chunk, error] {
	m.chats = append(m.chats, messages)
	m.thoughts = append(m.thoughts, *o)
	m.requests = append(m.requests, o.GenerateOptions)
	last := messages[len(messages)-1].Content
	return m.play(ctx, fmt.Sprintf("%q after %d messages", last, len(messages)-1))
}

// EmbedStream embeds a text as its length and its number.
func (m *fakeModel) EmbedStream(
	_ context.Context, texts iter.Seq[string], o *mullama.EmbedOptions,
) iter.Seq2[mullama.Embedding, error] {
	m.embeds = append(m.embeds, *o)
	return func(yield func(mullama.Embedding, error) bool) {
		n := 0
		for text := range texts {
			e := mullama.Embedding{Vector: []float32{float32(len(text)), float32(n)}, Tokens: n + 1}
			if o.Pooling == "none" {
				e = mullama.Embedding{Rows: wordRows(text), Tokens: len(strings.Fields(text))}
			}
			if text == "bad" {
				e = mullama.Embedding{Err: errors.New("that text again")}
			}
			if n++; !yield(e, nil) {
				return
			}
		}
		if m.err != nil {
			yield(mullama.Embedding{}, m.err)
		}
	}
}

// wordRows has a row of length 1 for each word, the same for the same first letter.
func wordRows(text string) (rows [][]float32) {
	for _, word := range strings.Fields(text) {
		angle := float64(word[0])
		rows = append(rows, []float32{float32(math.Sin(angle)), float32(math.Cos(angle))})
	}
	return rows
}

// Rerank scores documents by their length.
func (m *fakeModel) Rerank(
	_ context.Context, r *mullama.RerankRequest,
) (*mullama.RerankResult, error) {
	result := &mullama.RerankResult{Method: mullama.RankedByHead}
	for _, document := range r.Documents {
		score := mullama.DocumentScore{Score: float64(len(document)) / 100}
		result.Scores = append(result.Scores, score)
	}
	return result, m.err
}

// Score is ten times what Rerank says.
func (m *fakeModel) Score(
	ctx context.Context, r *mullama.ScoreRequest,
) (*mullama.RerankResult, error) {
	result, err := m.Rerank(ctx, &mullama.RerankRequest{Documents: r.Documents})
	for i := range result.Scores {
		result.Scores[i].Score *= 10
	}
	return result, err
}

// play yields the script.
func (m *fakeModel) play(ctx context.Context, asked string) iter.Seq2[mullama.Chunk, error] {
	return func(yield func(mullama.Chunk, error) bool) {
		chunks := m.chunks
		if m.echo {
			chunks = []mullama.Chunk{{Text: "heard " + asked}, doneChunk()}
		}
		hang := m.hang || m.echo && strings.Contains(asked, "count forever")
		if hang {
			chunks = []mullama.Chunk{{Text: "one two "}}
		}
		for _, chunk := range chunks {
			if !yield(chunk, nil) {
				return
			}
		}
		if hang {
			if m.started != nil {
				close(m.started)
			}
			<-ctx.Done()
			yield(
				mullama.Chunk{
					Done:         true,
					FinishReason: mullama.FinishCancelled,
					Stats:        doneChunk().Stats,
				},
				nil,
			)
			return
		}
		if m.err != nil {
			yield(mullama.Chunk{}, m.err)
		}
	}
}

// fakeEngine loads its one model.
type fakeEngine struct {
	model   *fakeModel
	openErr error
	loadErr error
	path    string
	load    mullama.LoadOptions
	options mullama.Options
	slow    time.Duration // how long a load takes
	plugins []mullama.Plugin
	closed  bool
	served  *mullama.RPCServer

	quantized   []string // what was asked for
	quantizeErr error

	onServed func() // called when the RPC server has said that it listens
}

func (e *fakeEngine) Load(ctx context.Context, path string, o *mullama.LoadOptions) (Model, error) {
	e.path, e.load = path, *o
	for i := 0; e.slow > 0 && i <= 10; i++ {
		time.Sleep(e.slow / 10)
		o.Progress(float32(i) / 10)
	}
	if ctx.Err() != nil {
		return nil, mullama.ErrCancelled
	}
	if e.loadErr != nil {
		return nil, e.loadErr
	}
	return e.model, nil
}

func (e *fakeEngine) Quantize(
	_ context.Context, path, out string, o *mullama.QuantizeOptions,
) error {
	e.quantized = append(e.quantized, fmt.Sprintf("%s %s %s %d %t %t", path, out, o.Type,
		o.Threads, o.Pure, o.Requantize))
	if e.quantizeErr != nil {
		return e.quantizeErr
	}
	o.Progress(1, 2)
	return os.WriteFile(out, []byte("quantised"), 0o600)
}

func (e *fakeEngine) Plugins() []mullama.Plugin { return e.plugins }

func (e *fakeEngine) Plan(string, *mullama.LoadOptions) (*mullama.Plan, error) {
	return e.model.plan, nil
}

func (e *fakeEngine) Devices() []mullama.Device {
	return []mullama.Device{
		{Name: "CPU", Description: "A Processor", Kind: mullama.DeviceCPU, MemoryTotal: 8e9,
			MemoryFree: 4e9},
	}
}

func (e *fakeEngine) RPCDevices(server string) ([]mullama.Device, error) {
	if server != "10.0.0.2:50052" {
		return nil, &mullama.Error{Kind: mullama.ErrUnreachable,
			Err: errors.New("the RPC server " + server + " cannot be reached: no answer")}
	}
	return []mullama.Device{{Description: server, MemoryTotal: 8e9, MemoryFree: 4e9}}, nil
}

func (e *fakeEngine) ServeRPC(ctx context.Context, s *mullama.RPCServer, ready func()) error {
	e.served = s
	if e.loadErr != nil {
		return e.loadErr
	}
	ready()
	e.onServed()
	<-ctx.Done()
	return nil
}

func (e *fakeEngine) Engine() mullama.EngineInfo {
	return mullama.EngineInfo{
		Version: "llama.cpp b1",
		System:  "AVX2 = 1",
		Library: "/lib/libmullama-native.so",
	}
}

func (e *fakeEngine) Close() error { e.closed = true; return nil }

// doneChunk is the end of an answer of three tokens.
func doneChunk() mullama.Chunk {
	return mullama.Chunk{Done: true, FinishReason: mullama.FinishStop, Stats: &mullama.Stats{
		PromptTokens: 12, CachedTokens: 2, GeneratedTokens: 3,
		Queue: time.Millisecond, Prefill: 20 * time.Millisecond, FirstToken: 25 * time.Millisecond,
		Decode: 40 * time.Millisecond, Total: 66 * time.Millisecond,
	}}
}

// newFake returns an engine whose model answers "Paris." in two chunks.
func newFake() *fakeEngine {
	return &fakeEngine{model: &fakeModel{
		info: fakeInfo(),
		chunks: []mullama.Chunk{
			{Text: "Par", Tokens: []mullama.Token{80}},
			{Text: "is.", Tokens: []mullama.Token{81, 82}},
			doneChunk(),
		},
	}}
}

// fakeInfo describes a model file.
func fakeInfo() mullama.Info {
	return mullama.Info{
		Path: "model.gguf", Name: "Tiny Instruct", Architecture: "llama", Quantization: "Q4_1",
		Parameters: 134_515_008, SizeBytes: 91_700_000, ContextLength: 8192, EmbeddingLength: 576,
		Layers: 30, Heads: 9, KVHeads: 3, Vocab: 257,
		Template: "{% for m in messages %}{{ m.content }}{% endfor %}", License: "apache-2.0",
		Capabilities: []string{"completion", "tools"},
		Metadata: map[string]any{
			"general.architecture":      "llama",
			"general.sampling.temp":     float32(0.6),
			"llama.block_count":         uint32(30),
			"tokenizer.ggml.tokens":     []string{"<s>", "a", "b\n", "c", "d"},
			"tokenizer.ggml.token_type": []int32{3, 1, 1, 1, 1},
		},
	}
}

// outcome is what a command line did.
type outcome struct {
	code     int
	out, err string
}

// testApp returns an app over fake with buffers for streams. Nothing is a terminal.
func testApp(fake *fakeEngine, stdin string) (a *app, out, errOut *bytes.Buffer) {
	out, errOut = new(bytes.Buffer), new(bytes.Buffer)
	a = &app{
		stdin: strings.NewReader(stdin), stdout: &output{w: out}, stderr: errOut,
		open: func(o mullama.Options) (Engine, error) {
			fake.options = o
			if fake.openErr != nil {
				return nil, fake.openErr
			}
			return fake, nil
		},
		inspect: func(string) (*mullama.Info, error) {
			if fake.loadErr != nil {
				return nil, fake.loadErr
			}
			return &fake.model.info, nil
		},
		interruptible: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithCancel(ctx)
		},
		lines: func() (lineReader, error) { return nil, io.ErrUnexpectedEOF },
		env:   environment{noStart: true, host: "127.0.0.1:1"},
	}
	return a, out, errOut
}

// run runs a command line over fake.
func run(fake *fakeEngine, stdin string, args ...string) outcome {
	a, out, errOut := testApp(fake, stdin)
	code := a.execute(context.Background(), args)
	return outcome{code, out.String(), errOut.String()}
}

// runWith is run with an environment.
func runWith(fake *fakeEngine, env environment, stdin string, args ...string) outcome {
	a, out, errOut := testApp(fake, stdin)
	a.env = env
	code := a.execute(context.Background(), args)
	return outcome{code, out.String(), errOut.String()}
}

// decodeLines parses NDJSON.
func decodeLines(t *testing.T, text string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(text) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		lines = append(lines, object)
	}
	return lines
}
