package cli

import (
	"context"
	"errors"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// isFile tells the path of a model file from the name of a model in the daemon's store.
func isFile(name string) bool {
	for _, prefix := range []string{"/", "./", "../", `.\`, `..\`} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	if strings.HasSuffix(strings.ToLower(name), ".gguf") {
		return true
	}
	_, err := os.Stat(name)
	return err == nil
}

// remote is the [Engine] of a daemon.
type remote struct {
	client *api.Client
}

func (r remote) Devices() []mullama.Device  { return nil }
func (r remote) Engine() mullama.EngineInfo { return mullama.EngineInfo{} }
func (r remote) Close() error               { return nil }

// Load has the daemon load a model. Only what a request may choose is passed on.
func (r remote) Load(
	ctx context.Context, name string, opts *mullama.LoadOptions,
) (Model, error) {
	options, err := remoteLoadOptions(opts)
	if err != nil {
		return nil, err
	}
	shown, err := r.client.Show(ctx, &api.ShowRequest{Model: name})
	if err != nil {
		return nil, daemonError(err)
	}
	load := &api.GenerateRequest{Model: name, Options: options}
	for _, err := range r.client.Generate(ctx, load) {
		if err != nil {
			return nil, daemonError(err)
		}
	}
	return &remoteModel{client: r.client, name: name, options: options, info: toInfo(shown)}, nil
}

// remoteLoadOptions are the options under their names in a request.
func remoteLoadOptions(o *mullama.LoadOptions) (map[string]any, error) {
	options := map[string]any{}
	for name, n := range map[string]int{
		"num_ctx": o.ContextSize, "num_batch": o.BatchSize, "num_thread": o.Threads,
		"main_gpu": o.MainGPU,
	} {
		if n != 0 {
			options[name] = n
		}
	}
	if o.GPULayers != nil {
		options["num_gpu"] = *o.GPULayers
	}
	rest := *o
	rest.ContextSize, rest.BatchSize, rest.Threads, rest.MainGPU = 0, 0, 0, 0
	rest.GPULayers, rest.Progress, rest.Slots = nil, nil, 0
	if !isZero(rest) {
		return nil, usage("a request can choose --ctx-size, --batch-size, --threads, --main-gpu " +
			"and --gpu-layers of a loaded model, no more").
			withHint("give the other flags to 'mullama serve', or run the model's file")
	}
	return options, nil
}

func isZero(o mullama.LoadOptions) bool {
	return o.UBatchSize == 0 && o.BatchThreads == 0 && o.CacheTokens == 0 && o.KVLayout == "" &&
		o.SplitMode == "" &&
		len(o.TensorSplit) == 0 && len(o.Devices) == 0 && len(o.TensorBuffers) == 0 &&
		o.LoadMode == "" && !o.CheckTensors && !o.VocabOnly && o.KVTypeK == "" &&
		o.KVTypeV == "" && o.FlashAttention == "" && o.RoPEFreqBase == 0 &&
		o.RoPEFreqScale == 0 && len(o.Overrides) == 0
}

// remoteModel is a model of a daemon.
type remoteModel struct {
	client  *api.Client
	name    string
	options map[string]any // of loading; each request repeats them
	info    *mullama.Info
}

func (m *remoteModel) Info() *mullama.Info { return m.info }
func (m *remoteModel) Close() error        { return nil }

func (m *remoteModel) ContextSize() int {
	loaded, err := m.client.Running(context.Background())
	if err != nil {
		return 0
	}
	for _, l := range loaded.Models {
		if l.Name == m.name || l.Name == m.name+":latest" {
			return l.ContextLength
		}
	}
	return 0
}

var errNeedsFile = errors.New("this needs the model's file, not its name")

func (m *remoteModel) Tokenize(string, mullama.TokenizeOptions) ([]mullama.Token, error) {
	return nil, errNeedsFile
}

func (m *remoteModel) Detokenize([]mullama.Token) ([]byte, error) { return nil, errNeedsFile }

func (m *remoteModel) Generate(
	ctx context.Context, prompt string, opts *mullama.GenerateOptions,
) iter.Seq2[mullama.Chunk, error] {
	req := &api.GenerateRequest{
		Model: m.name, Prompt: prompt, Raw: true, Options: m.requestOptions(opts),
		Format: format(opts), Logprobs: opts.Logprobs, TopLogprobs: opts.TopLogprobs,
	}
	return func(yield func(mullama.Chunk, error) bool) {
		for part, err := range m.client.Generate(ctx, req) {
			if err != nil {
				yield(mullama.Chunk{}, daemonError(err))
				return
			}
			chunk := toChunk(part.Response, part.Logprobs, part.Done, part.DoneReason, part.Metrics)
			if !yield(chunk, nil) {
				return
			}
		}
	}
}

func (m *remoteModel) Chat(
	ctx context.Context, messages []mullama.Message, opts *mullama.ChatOptions,
) iter.Seq2[mullama.Chunk, error] {
	o := &opts.GenerateOptions
	req := &api.ChatRequest{
		Model: m.name, Options: m.requestOptions(o), Format: format(o),
		Logprobs: o.Logprobs, TopLogprobs: o.TopLogprobs,
	}
	for _, message := range messages {
		req.Messages = append(req.Messages,
			api.Message{Role: message.Role, Content: message.Content})
	}
	return func(yield func(mullama.Chunk, error) bool) {
		for part, err := range m.client.Chat(ctx, req) {
			if err != nil {
				yield(mullama.Chunk{}, daemonError(err))
				return
			}
			chunk := toChunk(part.Message.Content, part.Logprobs, part.Done, part.DoneReason,
				part.Metrics)
			if !yield(chunk, nil) {
				return
			}
		}
	}
}

// toChunk turns a part of an answer into a chunk.
func toChunk(
	text string, logprobs []api.Logprob, done bool, reason string, m api.Metrics,
) mullama.Chunk {
	chunk := mullama.Chunk{Text: text}
	for _, l := range logprobs {
		chunk.Logprobs = append(chunk.Logprobs, toLogprob(l))
	}
	if !done {
		return chunk
	}
	chunk.Done = true
	chunk.FinishReason = mullama.FinishReason(reason)
	chunk.Stats = &mullama.Stats{
		PromptTokens:    m.PromptEvalCount,
		CachedTokens:    m.CachedTokens,
		GeneratedTokens: m.EvalCount,
		Prefill:         m.PromptEvalDuration,
		FirstToken:      max(0, m.TotalDuration-m.LoadDuration-m.EvalDuration),
		Decode:          m.EvalDuration,
		Total:           m.TotalDuration - m.LoadDuration,
	}
	return chunk
}

func toLogprob(l api.Logprob) mullama.TokenLogprob {
	out := mullama.TokenLogprob{Bytes: toBytes(l.Bytes), Logprob: float32(l.Logprob)}
	for _, top := range l.TopLogprobs {
		out.Top = append(out.Top,
			mullama.TopLogprob{Bytes: toBytes(top.Bytes), Logprob: float32(top.Logprob)})
	}
	return out
}

func toBytes(numbers []int) []byte {
	out := make([]byte, len(numbers))
	for i, n := range numbers {
		out[i] = byte(n)
	}
	return out
}

// toInfo is what run and chat need to know of a model.
func toInfo(s *api.ShowResponse) *mullama.Info {
	text := func(key string) string { v, _ := s.ModelInfo[key].(string); return v }
	number := func(key string) int { v, _ := s.ModelInfo[key].(float64); return int(v) }
	architecture := text("general.architecture")
	info := &mullama.Info{
		Name:            text("general.basename"),
		Architecture:    architecture,
		Quantization:    s.Details.QuantizationLevel,
		Parameters:      int64(number("general.parameter_count")),
		ContextLength:   number(architecture + ".context_length"),
		EmbeddingLength: number(architecture + ".embedding_length"),
		Layers:          number(architecture + ".block_count"),
		Heads:           number(architecture + ".attention.head_count"),
		KVHeads:         number(architecture + ".attention.head_count_kv"),
		Template:        s.Template,
		License:         s.License,
		Capabilities:    s.Capabilities,
	}
	if info.Template == "" {
		info.Template = text("tokenizer.chat_template")
	}
	return info
}

// keepAliveFor reads how long a model should stay, as the flags and variables say it.
func keepAliveFor(text string) (time.Duration, error) {
	var d api.Duration
	err := d.UnmarshalJSON([]byte(quoted(text)))
	return d.Duration, err
}
