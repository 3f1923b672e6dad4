package cli

import (
	"context"
	"encoding/json"
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
	if strings.HasPrefix(name, hubPrefix) {
		return false // whatever file it names there
	}
	if strings.HasSuffix(strings.ToLower(name), ".gguf") {
		return true
	}
	_, err := os.Stat(name)
	return err == nil
}

// remote is the [Engine] of a daemon.
type remote struct{ *mullama.Client }

func (r remote) Devices() []mullama.Device { return nil }

func (r remote) Plugins() []mullama.Plugin { return nil }

// Plan is asked of the daemon by show, which knows the model by its name.
func (r remote) Plan(string, *mullama.LoadOptions) (*mullama.Plan, error) {
	return nil, usage("the daemon is asked for plans by show alone")
}

func (r remote) RPCDevices(string) ([]mullama.Device, error) { return nil, errOfThisProcess }

func (r remote) ServeRPC(context.Context, *mullama.RPCServer, func()) error {
	return errOfThisProcess
}

func (r remote) Quantize(context.Context, string, string, *mullama.QuantizeOptions) error {
	return errOfThisProcess
}

// errOfThisProcess is for what no command asks a daemon for.
var errOfThisProcess = errors.New("only an engine in this process does that")

// Load has the daemon load a model. Only what a request may choose is passed on.
func (r remote) Load(
	ctx context.Context, name string, opts *mullama.LoadOptions,
) (Model, error) {
	if !canRequest(*opts) {
		return nil, usage("a request can choose --ctx-size, --batch-size, --threads, --main-gpu " +
			"and --gpu-layers of a loaded model, no more").
			withHint("give the other flags to 'mullama serve', or run the model's file")
	}
	model, err := r.Client.Load(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	return remoteModel{inProcessModel{model}}, nil
}

// canRequest reports whether nothing is set but what a request may choose.
func canRequest(o mullama.LoadOptions) bool {
	return o.UBatchSize == 0 && o.FitMargin == 0 && o.BatchThreads == 0 && o.CacheTokens == 0 &&
		o.KVLayout == "" && o.SplitMode == "" &&
		len(o.TensorSplit) == 0 && len(o.Devices) == 0 && len(o.RPC) == 0 &&
		len(o.TensorBuffers) == 0 &&
		o.LoadMode == "" && !o.NoRepack && !o.CheckTensors && !o.VocabOnly && o.KVTypeK == "" &&
		o.KVTypeV == "" && o.FlashAttention == "" && o.RoPEFreqBase == 0 &&
		o.RoPEFreqScale == 0 && len(o.Overrides) == 0 &&
		len(o.Adapters)+len(o.ControlVectors) == 0 &&
		o.Draft == "" && o.DraftType == "" && o.DraftLeast == 0 && o.DraftProbability == 0
}

// remoteModel is a model of a daemon, which fits what does not fit, as it does for other clients.
type remoteModel struct{ inProcessModel }

func (m remoteModel) Generate(
	ctx context.Context, prompt string, opts *mullama.GenerateOptions,
) iter.Seq2[mullama.Chunk, error] {
	fitting := *opts
	fitting.Truncate, fitting.Overflow = true, mullama.OverflowShift
	return m.inProcessModel.Generate(ctx, prompt, &fitting)
}

func (m remoteModel) Chat(
	ctx context.Context, messages []mullama.Message, opts *mullama.ChatOptions,
) iter.Seq2[mullama.Chunk, error] {
	fitting := *opts
	fitting.Truncate, fitting.Overflow = true, mullama.OverflowShift
	return m.inProcessModel.Chat(ctx, messages, &fitting)
}

// keepAliveFor reads how long a model should stay, as the flags and variables say it.
func keepAliveFor(text string) (time.Duration, error) {
	quoted, err := json.Marshal(text)
	if err != nil {
		return 0, err
	}
	var d api.Duration
	err = d.UnmarshalJSON(quoted)
	return d.Duration, err
}
