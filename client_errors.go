package mullama

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mullama/mullama/api"
)

// DaemonError gives an error of package api the kind that it would have in this process; nil stays
// nil, and an *Error stays as it is. op says what was being done.
func DaemonError(op string, err error) error {
	if err == nil {
		return nil
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Error{Kind: ErrCancelled, Op: op, Err: err}
	}
	status := (*api.StatusError)(nil)
	if !errors.As(err, &status) {
		return &Error{Kind: ErrInternal, Op: op + ": ask the daemon", Err: err,
			Hint: "is it running, and is its address right?"}
	}
	if status.StatusCode == http.StatusNotFound && status.Message == noRoute {
		return &Error{Kind: ErrUnsupported, Op: op,
			Err: &pathless{"this daemon has no route for it", err}}
	}
	e := &Error{Kind: kindOf(status), Err: err} // its message says what was being done
	switch {
	case errors.Is(e.Kind, ErrBusy):
		e.Err = &pathless{err.Error(),
			errors.Join(err, &BusyError{RetryAfter: retryAfter(status.RetryAfter)})}
	case status.StatusCode == http.StatusUnauthorized:
		e.Hint = "give one of the daemon's API keys"
	}
	return e
}

// noRoute is what Go's servers say, and Ollama is one.
const noRoute = "404 page not found"

// kindOf is the kind that the daemon tells, or else what its status means. Ollama has but the
// status, and says of a prompt that is too long that it exceeds the context.
func kindOf(status *api.StatusError) error {
	for _, n := range names {
		if n.name == status.Kind {
			return n.kind
		}
	}
	switch code := status.StatusCode; code {
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusNotImplemented:
		return ErrUnsupported
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return ErrBusy
	case http.StatusBadRequest:
		if strings.Contains(status.Message, "context length") {
			return ErrContextFull
		}
		return ErrInvalidOption
	default:
		if code > http.StatusBadRequest && code < http.StatusInternalServerError {
			return ErrInvalidOption
		}
	}
	return ErrInternal
}

// retryAfter reads a header: seconds, or a date. What is neither is a second.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(date))
	}
	return time.Second
}

// forDaemon are the options that a request may choose, under their names there, and what is to be
// said of those that a daemon decides itself.
func (o *LoadOptions) forDaemon(op string) (options map[string]any, warn []string, err error) {
	if o.RoPEFreqBase != 0 || o.RoPEFreqScale != 0 || len(o.Overrides) > 0 {
		return nil, nil, unsupported(op,
			"a daemon takes no RoPE frequencies and no overrides of metadata with a request")
	}
	if len(o.Adapters) > 0 || len(o.ControlVectors) > 0 {
		return nil, nil, unsupported(op, "a daemon takes no adapters and no control vectors with "+
			"a request; make a model that has the adapter")
	}
	options = map[string]any{}
	for name, n := range map[string]int{
		"num_ctx": o.ContextSize, "num_batch": o.BatchSize, "num_thread": o.Threads,
		"main_gpu": o.MainGPU,
	} {
		if n != 0 {
			options[name] = n
		}
	}
	if o.DraftTokens == NoDraft {
		options["draft_num_predict"] = 0
	} else if o.DraftTokens > 0 {
		options["draft_num_predict"] = o.DraftTokens
	}
	if o.GPULayers != nil {
		options["num_gpu"] = *o.GPULayers
	}
	for _, other := range []struct {
		name string
		set  bool
	}{
		{"slots", o.Slots != 0}, {"kv_layout", o.KVLayout != ""},
		{"cache_tokens", o.CacheTokens != 0}, {"ubatch_size", o.UBatchSize != 0},
		{"threads_batch", o.BatchThreads != 0}, {"split_mode", o.SplitMode != ""},
		{"fit_margin", o.FitMargin != 0},
		{"tensor_split", len(o.TensorSplit) > 0}, {"device", len(o.Devices) > 0},
		{"rpc", len(o.RPC) > 0}, {"override_tensor", len(o.TensorBuffers) > 0},
		{"load_mode", o.LoadMode != ""},
		{"no_repack", o.NoRepack}, {"check_tensors", o.CheckTensors},
		{"flash_attn", o.FlashAttention != ""}, {"model_draft", o.Draft != ""},
		{"spec_type", o.DraftType != ""},
		{"spec_draft_n_min", o.DraftLeast != 0}, {"spec_draft_p_min", o.DraftProbability != 0},
		{"cache_type_k", o.KVTypeK != ""}, {"cache_type_v", o.KVTypeV != ""},
	} {
		if other.set {
			warn = append(warn, fmt.Sprintf(
				"the daemon decides on %s itself; the option was left out", other.name))
		}
	}
	return options, warn, nil
}
