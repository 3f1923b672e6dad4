package server

import (
	"context"
	"sync"
	"time"

	"github.com/mullama/mullama"
)

// notes are what is known of a request at its end, for the log and the metrics. A WebSocket has some
// for each request on it.
type notes struct {
	mu     sync.Mutex // held by note; the goroutines of several choices write
	model  string
	stats  mullama.Stats // summed over choices
	load   time.Duration
	finish string
	err    string
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
