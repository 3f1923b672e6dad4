package cli

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

func TestHelpPages(t *testing.T) {
	for name, args := range map[string][]string{
		"help": {}, "help_run": {"run", "--help"}, "help_show": {"help", "show"},
		"help_exit_codes": {"help", "exit-codes"}, "help_environment": {"help", "environment"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(newFake(), "", args...)
			if got.code != 0 || got.err != "" {
				t.Fatalf("got %+v", got)
			}
			golden(t, name, got.out)
			for line := range strings.Lines(got.out) {
				if len([]rune(line)) > helpWidth+1 {
					t.Errorf("line too long: %q", line)
				}
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {fmt.Errorf("odd"), 1}, {usage("x"), 2}, {mullama.ErrInvalidOption, 2},
		{mullama.ErrGrammar, 2},
		{mullama.ErrNotFound, 3}, {fs.ErrNotExist, 3}, {fs.ErrPermission, 3},
		{mullama.ErrNotGGUF, 4}, {mullama.ErrUnsupported, 4}, {mullama.ErrTemplate, 4},
		{mullama.ErrContextFull, 5}, {mullama.ErrOutOfMemory, 5}, {mullama.ErrLibraryMissing, 6},
		{mullama.ErrUnreachable, 7},
		{mullama.ErrCancelled, 130}, {context.Canceled, 130},
	} {
		wrapped := tt.err
		if wrapped != nil {
			wrapped = fmt.Errorf("load model.gguf: %w", tt.err)
		}
		if got := exitCode(wrapped); got != tt.want {
			t.Errorf("%v: code %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestEveryExitCodeIsDocumented(t *testing.T) {
	documented := map[int]bool{}
	for _, row := range exitMeanings {
		documented[row.code] = true
	}
	for _, row := range exitTable {
		if !documented[row.code] {
			t.Errorf("code %d of %v has no meaning", row.code, row.err)
		}
	}
}

func TestErrorsOfEveryCommandEndTheProgramWithTheirCode(t *testing.T) {
	for _, args := range [][]string{
		{"run", "m.gguf", "Hi"}, {"tokenize", "m.gguf", "a"}, {"detokenize", "m.gguf", "1"},
		{"show", "m.gguf"},
	} {
		fake := newFake()
		fake.loadErr = fmt.Errorf("m: %w", mullama.ErrNotGGUF)
		got := run(fake, "", args...)
		if got.code != exitNotUsable || got.out != "" {
			t.Errorf("%v: %+v", args, got)
		}
		checkErrorForm(t, got.err)
	}
}

func TestEnvironmentReachesTheEngine(t *testing.T) {
	fake := newFake()
	a, _, _ := testApp(fake, "")
	a.env = readEnvironment(func(name string) string {
		return map[string]string{"MULLAMA_DEBUG": "1", noColours: "1"}[name]
	})
	a.execute(context.Background(), []string{"version"})
	debug := fake.options.Logger.Enabled(context.Background(), slog.LevelDebug)
	if !debug || !a.env.plain {
		t.Errorf("options %+v, environment %+v", fake.options, a.env)
	}
	a, _, _ = testApp(fake, "")
	a.env = readEnvironment(func(string) string { return "" })
	a.execute(context.Background(), []string{"version"})
	if fake.options.Logger.Enabled(context.Background(), slog.LevelDebug) {
		t.Errorf("options %+v", fake.options)
	}
}
