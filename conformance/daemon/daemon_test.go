// Package daemon tests the program as a process that serves real models.
package daemon

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/testdaemon"
)

func TestMain(m *testing.M) { os.Exit(testdaemon.Main(m)) }

// TestASoak keeps a daemon with two models busy for a short time. The program says with its exit
// code whether anything was lost or leaked.
func TestASoak(t *testing.T) {
	d := testdaemon.Start(t, map[string]string{"smollm2": "smollm2", "gemma3": "gemma270"})
	out, err := exec.CommandContext(t.Context(), d.Program, "bench", "soak",
		"--url", d.URL(), "--models", "smollm2,gemma3", "--duration", "15s",
		"--clients", "16", "--limit", "3m").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("soak: %v", err)
	}
	for _, bad := range []string{"level=ERROR", "panic", "DATA RACE"} {
		if strings.Contains(d.Log(), bad) {
			t.Errorf("the daemon's log has %q", bad)
		}
	}
}

// TestAShortQueueIsObeyed has more clients than slots and places in the queue.
func TestAShortQueueIsObeyed(t *testing.T) {
	d := testdaemon.Start(t, map[string]string{"smollm2": "smollm2"},
		"--max-queue", "2", "--parallel", "2")
	out, err := exec.CommandContext(t.Context(), d.Program, "bench", "soak",
		"--url", d.URL(), "--models", "smollm2", "--duration", "5s",
		"--clients", "12", "--limit", "3m").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("soak: %v", err)
	}
	if !strings.Contains(d.Log(), "status=503") {
		t.Error("nothing was refused")
	}
}

// TestADaemonThatHasAnsweredUsesNoCPU looks at the time of all its threads after an answer. Those
// of llama.cpp spin for 0.2 s each unless told otherwise.
func TestADaemonThatHasAnsweredUsesNoCPU(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc is Linux's")
	}
	d := testdaemon.Start(t, map[string]string{"smollm2": "smollm2"}, "--threads", "2")
	answer(t, d.URL(), "The sea is", here)
	before := d.CPUTime(t)
	time.Sleep(500 * time.Millisecond)
	if used := d.CPUTime(t) - before; used > 100*time.Millisecond {
		t.Errorf("in half a second after an answer the daemon computes for %s", used)
	}
}

func TestASecondDaemonSaysWhyItCannotStart(t *testing.T) {
	d := testdaemon.Start(t, map[string]string{"smollm2": "smollm2"})
	out, err := exec.CommandContext(t.Context(), d.Program, "serve", "--host", d.Address,
		"--models", d.Store).CombinedOutput()
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || exit.ExitCode() != 1 ||
		!strings.HasPrefix(string(out), "mullama: "+d.Address+" is in use") ||
		strings.Count(string(out), "\n") != 2 { // a sentence and a hint
		t.Errorf("a second daemon ended with %v:\n%s", err, out)
	}
	if err := d.Wait(); err != nil {
		t.Error(err)
	}
}
