package cli

import (
	"context"
	"io"
	"iter"

	"github.com/mullama/mullama"
)

// Engine loads models. Commands depend on it alone, so the process that really runs the model can
// be this one or another.
type Engine interface {
	// Load makes the model in the file at path ready for use. The caller closes it.
	Load(ctx context.Context, path string, opts *mullama.LoadOptions) (Model, error)
	// Devices lists what the engine can compute on.
	Devices() []mullama.Device
	// Plugins lists the backends that lie beside the native library.
	Plugins() []mullama.Plugin
	// Plan says where the model in the file at path would be loaded.
	Plan(path string, opts *mullama.LoadOptions) (*mullama.Plan, error)
	// RPCDevices asks another machine, host:port, for its devices.
	RPCDevices(server string) ([]mullama.Device, error)
	// ServeRPC offers devices of this machine to others until ctx ends; ready is called when it
	// listens.
	ServeRPC(ctx context.Context, s *mullama.RPCServer, ready func()) error
	// Quantize writes the model in the file at path to out with its weights in another type.
	Quantize(ctx context.Context, path, out string, o *mullama.QuantizeOptions) error
	// Engine says which engine this is and where it was found.
	Engine() mullama.EngineInfo
	// Close gives back everything the engine holds.
	io.Closer
}

// Model is a loaded model as the commands see it.
type Model interface {
	// Info describes the model file.
	Info() *mullama.Info
	// ContextSize is the number of tokens that prompt and answer may fill together.
	ContextSize() int
	// Plan says on which devices the model is; nil where that is not known.
	Plan() *mullama.Plan
	// Tokenize returns the tokens of text.
	Tokenize(text string, opts mullama.TokenizeOptions) ([]mullama.Token, error)
	// Detokenize returns the text of tokens, which need not be valid UTF-8.
	Detokenize(tokens []mullama.Token) ([]byte, error)
	// Generate continues prompt. The sequence ends after the chunk that has Done set, or with an
	// error.
	Generate(
		ctx context.Context, prompt string, opts *mullama.GenerateOptions,
	) iter.Seq2[mullama.Chunk, error]
	// Chat answers the last message, with the model's own chat template.
	Chat(
		ctx context.Context, messages []mullama.Message, opts *mullama.ChatOptions,
	) iter.Seq2[mullama.Chunk, error]
	// EmbedStream embeds texts, and yields an embedding for each.
	EmbedStream(
		ctx context.Context, texts iter.Seq[string], opts *mullama.EmbedOptions,
	) iter.Seq2[mullama.Embedding, error]
	// Rerank scores how well documents answer a query.
	Rerank(ctx context.Context, r *mullama.RerankRequest) (*mullama.RerankResult, error)
	// Score scores documents by late interaction.
	Score(ctx context.Context, r *mullama.ScoreRequest) (*mullama.RerankResult, error)
	// Close releases the model.
	io.Closer
}
