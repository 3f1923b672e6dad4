package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mullama/mullama"
)

// notes are what is known of a request at its end, for the log and the metrics. A WebSocket has
// some for each request on it.
type notes struct {
	mu     sync.Mutex // held by note; the goroutines of several choices write
	model  string
	stats  mullama.Stats // summed over choices
	load   time.Duration
	finish string
	err    string
}

// attrs is what the log tells of them.
func (n *notes) attrs() []slog.Attr {
	var attrs []slog.Attr
	if n.model != "" {
		attrs = append(attrs,
			slog.String("model", n.model), slog.Duration("load", n.load),
			slog.Duration("queue", n.stats.Queue), slog.Duration("prefill", n.stats.Prefill),
			slog.Duration("first_token", n.stats.FirstToken),
			slog.Duration("decode", n.stats.Decode),
			slog.Int("prompt_tokens", n.stats.PromptTokens),
			slog.Int("cached_tokens", n.stats.CachedTokens),
			slog.Int("generated_tokens", n.stats.GeneratedTokens),
			slog.String("finish", n.finish))
	}
	if n.err != "" {
		attrs = append(attrs, slog.String("error", n.err))
	}
	return attrs
}

type notesKey struct{}

func withNotes(ctx context.Context) (context.Context, *notes) {
	n := new(notes)
	return context.WithValue(ctx, notesKey{}, n), n
}

// note lets fn write into the notes of a request, if somebody wants them.
func note(ctx context.Context, fn func(*notes)) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		fn(n)
	}
}
