package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/coder/websocket"
	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// answer runs one request and sends its parts.
func (k *socket) answer(ctx context.Context, m *socketMessage) error {
	run, stream, err := k.begin(ctx, m)
	if run != nil {
		defer run.job.lease.Release()
	}
	if err != nil {
		return err
	}
	return run.each(ctx, stream, func(p *part) error { return k.sendPart(m.ID, p) })
}

// begin starts a request. The caller releases the lease of a run that is not nil.
func (k *socket) begin(
	ctx context.Context, m *socketMessage,
) (run *ollamaRun, stream *mullama.Stream, err error) {
	if m.Type == "chat" {
		var req api.ChatRequest
		if err := unmarshal(m.Body, &req); err != nil {
			return nil, nil, err
		}
		if len(req.Messages) == 0 {
			return nil, nil, badField("messages", "there are no messages; give at least one")
		}
		run, err = k.s.newOllamaRun(ctx, ordered(req.Model, req.Options, req.KeepAlive), true)
		if err != nil {
			return nil, nil, err
		}
		stream, err = run.startChat(ctx, &req)
		return run, stream, err
	}
	var req api.GenerateRequest
	if err := unmarshal(m.Body, &req); err != nil {
		return nil, nil, err
	}
	run, err = k.s.newOllamaRun(ctx, ordered(req.Model, req.Options, req.KeepAlive), false)
	if err != nil {
		return nil, nil, err
	}
	stream, err = run.startPrompt(ctx, &req)
	return run, stream, err
}

// sendPart sends a piece of text, or the end.
func (k *socket) sendPart(id string, p *part) error {
	if p.final != nil {
		return k.send(id, "done", func(dst []byte) []byte {
			dst = appendString(append(dst, `,"done_reason":`...), p.final.reason)
			if len(p.final.context) > 0 {
				dst = appendTokens(append(dst, `,"context":`...), p.final.context)
			}
			return appendMetrics(dst, &p.final.metrics)
		})
	}
	return k.send(id, "token", func(dst []byte) []byte {
		dst = appendString(append(dst, `,"content":`...), p.text)
		if p.thinking != "" {
			dst = appendString(append(dst, `,"thinking":`...), p.thinking)
		}
		if len(p.logprobs) > 0 {
			dst = appendLogprobs(append(dst, `,"logprobs":`...), p.logprobs)
		}
		return dst
	})
}

// fail sends the error of a request, or of a message that belongs to none.
func (k *socket) fail(id string, err error) {
	f := toFailure(err)
	_ = k.send(id, "error", func(dst []byte) []byte {
		dst = appendInt(append(dst, `,"status":`...), f.status)
		return appendString(append(dst, `,"error":`...), f.message)
	})
}

// send writes a message. One at a time writes, and a client that does not read makes the others
// wait; their text waits in their streams. A client that takes too long is cut off.
func (k *socket) send(id, kind string, fields func([]byte) []byte) error {
	buf := getBuffer()
	defer buf.put()
	buf.b = appendString(append(buf.b, `{"type":`...), kind)
	if id != "" {
		buf.b = appendString(append(buf.b, `,"id":`...), id)
	}
	if fields != nil {
		buf.b = fields(buf.b)
	}
	buf.b = append(buf.b, '}')
	k.writing.Lock()
	defer k.writing.Unlock()
	ctx, cancel := context.WithTimeout(k.ctx, k.s.patience)
	defer cancel()
	if err := k.conn.Write(ctx, websocket.MessageText, buf.b); err != nil {
		_ = k.conn.CloseNow()
		return refuse(statusCancelled, "the client went away: %v", err)
	}
	return nil
}

// socketReport counts a request of a socket and logs it.
func (s *Server) socketReport(m *socketMessage, n *notes, took time.Duration, err error) {
	status := 200
	if err != nil {
		status = toFailure(err).status
	}
	s.metrics.count("WS "+m.Type, status, n, took)
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "request",
		append([]slog.Attr{
			slog.String("method", "WS"), slog.String("path", "/ws "+m.Type),
			slog.Int("status", status), slog.Duration("took", took),
		}, n.attrs()...)...)
}
