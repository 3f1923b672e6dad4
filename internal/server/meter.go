package server

import (
	"context"
	"time"

	"github.com/mullama/mullama"
)

// meter watches one stream for the log and the metrics.
type meter struct {
	ctx  context.Context
	last time.Time // when the chunk before came
}

func (s *Server) meter(ctx context.Context) *meter { return &meter{ctx: ctx} }

func (m *meter) chunk(c *mullama.Chunk) {
	if !c.Done {
		return
	}
	note(m.ctx, func(n *notes) { n.add(c) })
}

// add counts the end of a stream; a request with several choices has several.
func (n *notes) add(c *mullama.Chunk) {
	n.finish = string(c.FinishReason)
	if c.Stats == nil {
		return
	}
	n.stats.PromptTokens += c.Stats.PromptTokens
	n.stats.CachedTokens += c.Stats.CachedTokens
	n.stats.GeneratedTokens += c.Stats.GeneratedTokens
	n.stats.Queue = max(n.stats.Queue, c.Stats.Queue)
	n.stats.Prefill = max(n.stats.Prefill, c.Stats.Prefill)
	n.stats.FirstToken = max(n.stats.FirstToken, c.Stats.FirstToken)
	n.stats.Decode = max(n.stats.Decode, c.Stats.Decode)
}
