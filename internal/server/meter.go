package server

import (
	"context"
	"time"

	"github.com/mullama/mullama"
	"github.com/prometheus/client_golang/prometheus"
)

// meter watches one stream for the log and the metrics.
type meter struct {
	ctx  context.Context
	gap  prometheus.Observer
	last time.Time // when the chunk before came
}

func (s *Server) meter(ctx context.Context) *meter {
	m := &meter{ctx: ctx}
	note(ctx, func(n *notes) { m.gap = s.metrics.gap.WithLabelValues(n.model) })
	return m
}

func (m *meter) chunk(c *mullama.Chunk) {
	now := time.Now()
	if m.gap != nil && !m.last.IsZero() && len(c.Tokens) > 0 {
		m.gap.Observe(now.Sub(m.last).Seconds() / float64(len(c.Tokens)))
	}
	m.last = now
	if c.Done {
		note(m.ctx, func(n *notes) { n.add(c) })
	}
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
	n.stats.Drafts += c.Stats.Drafts
	n.stats.DraftedTokens += c.Stats.DraftedTokens
	n.stats.AcceptedTokens += c.Stats.AcceptedTokens
	n.stats.Queue = max(n.stats.Queue, c.Stats.Queue)
	n.stats.Prefill = max(n.stats.Prefill, c.Stats.Prefill)
	n.stats.FirstToken = max(n.stats.FirstToken, c.Stats.FirstToken)
	n.stats.Decode = max(n.stats.Decode, c.Stats.Decode)
}
