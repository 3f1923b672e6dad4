package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// logger returns the log of the engine: warnings as sentences for the user, or with MULLAMA_DEBUG
// everything, with its time.
func (a *app) logger() *slog.Logger {
	if a.env.debug {
		return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(warnings{a.stderr})
}

// warnings is a log handler that prints warnings and worse as this program prints errors. Their
// attributes are for logs, not for users.
type warnings struct{ w io.Writer }

func (h warnings) Enabled(
	_ context.Context,
	level slog.Level,
) bool {
	return level >= slog.LevelWarn
}

func (h warnings) Handle(_ context.Context, record slog.Record) error {
	_, err := fmt.Fprintf(h.w, "mullama: warning: %s\n", printable(record.Message))
	return err
}

func (h warnings) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h warnings) WithGroup(string) slog.Handler { return h }
