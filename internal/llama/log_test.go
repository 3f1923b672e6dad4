package llama_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/mullama/mullama/internal/synth"
)

type logLine struct {
	level slog.Level
	text  string
}

// logWhile returns what llama.cpp logs from a level on while run runs.
func logWhile(t *testing.T, min slog.Level, run func()) []logLine {
	t.Helper()
	var mu sync.Mutex
	var lines []logLine
	library(t).SetLog(min, func(level slog.Level, line string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, logLine{level, line})
	})
	run()
	library(t).SetLog(min, nil)
	mu.Lock()
	defer mu.Unlock()
	return lines
}

func TestLogLines(t *testing.T) {
	loading := func() { tinyWith(t, synth.Options{}) }
	lines := logWhile(t, slog.LevelInfo, loading)
	found := false
	for _, line := range lines {
		if line.level < slog.LevelInfo || strings.Contains(line.text, "\n") {
			t.Errorf("line %q of level %v", line.text, line.level)
		}
		found = found || strings.Contains(line.text, "llama")
	}
	if !found {
		t.Errorf("nothing about the model in %d lines", len(lines))
	}
	if all := logWhile(t, slog.LevelDebug-8, loading); len(all) < len(lines) {
		t.Errorf("%d lines of all levels, %d from info on", len(all), len(lines))
	}
	if errors := logWhile(t, slog.LevelError, loading); len(errors) > 0 {
		t.Errorf("errors from a good load: %v", errors)
	}
}

func TestLogOfAFailure(t *testing.T) {
	lib, path := library(t), tinyFile(t, synth.Options{Declare: "abacus"})
	lines := logWhile(t, slog.LevelError, func() {
		_, err := lib.LoadModel(context.Background(), path, lib.DefaultModelParams())
		if err == nil {
			t.Error("an unknown architecture was loaded")
		}
	})
	if len(lines) == 0 || lines[0].level != slog.LevelError {
		t.Errorf("lines are %v", lines)
	}
}

func TestSilenceAfterTheLogIsTakenAway(t *testing.T) {
	count := 0
	library(t).SetLog(slog.LevelDebug, func(slog.Level, string) { count++ })
	library(t).SetLog(slog.LevelDebug, nil)
	tinyWith(t, synth.Options{})
	if count > 0 {
		t.Errorf("%d lines after the log was taken away", count)
	}
}
