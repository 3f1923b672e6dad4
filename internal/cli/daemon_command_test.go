//go:build unix

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// background gives the commands an address and folders of their own, and the test binary as the
// program that is started. Its daemon is stopped when the test ends.
func background(t *testing.T) (address string) {
	t.Helper()
	needEngine(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	listener.Close()
	for name, value := range map[string]string{childVariable: "1", "MULLAMA_HOST": address,
		"MULLAMA_MODELS": t.TempDir(), "MULLAMA_CACHE": t.TempDir(),
		"MULLAMA_LIBRARY": libraryFolder(t), configVariable: os.DevNull} {
		t.Setenv(name, value)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		got := realRunUntil(ctx, "", "daemon", "stop", "--timeout", "20s")
		if got.code != 0 {
			t.Errorf("stop at the end: %+v", got)
		}
	})
	return address
}

// libraryFolder is where the native library is, for a process with another cache folder.
func libraryFolder(t *testing.T) string {
	t.Helper()
	got := realRun(t, "", "version", "--json")
	var line versionLine
	if err := json.Unmarshal([]byte(got.out), &line); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(line.Library)
}

func daemonRun(t *testing.T, args ...string) outcome {
	t.Helper()
	return realRun(t, "", append([]string{"daemon"}, args...)...)
}

// statusOf is what status --json prints.
func statusOf(t *testing.T) daemonStatus {
	t.Helper()
	var s daemonStatus
	got := daemonRun(t, "status", "--json")
	if err := json.Unmarshal([]byte(got.out), &s); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	return s
}

func TestADaemonIsStartedWatchedRestartedAndStopped(t *testing.T) {
	address := background(t)
	if got := daemonRun(t, "status"); got.code != exitFailed ||
		got.out != "no daemon runs at "+address+"\n" || got.err != "" {
		t.Errorf("status at first: %+v", got)
	}
	if got := daemonRun(t, "stop"); got.code != 0 || !strings.Contains(got.out, "no daemon runs") {
		t.Errorf("stop at first: %+v", got)
	}
	if got := daemonRun(t, "start", "--parallel", "3"); got.code != 0 ||
		!strings.HasPrefix(got.out, "the daemon runs at "+address+", process ") {
		t.Fatalf("start: %+v", got)
	}
	if got := daemonRun(t, "start"); got.code != 0 || !strings.Contains(got.out, "runs already") {
		t.Errorf("a second start: %+v", got)
	}
	first := statusOf(t)
	if !first.Running || !first.Answers || first.PID == 0 || first.Address != address ||
		len(first.Arguments) != 1 || first.Arguments[0] != "--parallel=3" {
		t.Errorf("status: %+v", first)
	}
	if got := daemonRun(t, "logs", "-n", "500"); !strings.Contains(got.out, "msg=listening") {
		t.Errorf("logs: %+v", got)
	}
	if got := daemonRun(t, "restart"); got.code != 0 {
		t.Errorf("restart: %+v", got)
	}
	second := statusOf(t)
	if !second.Answers || second.PID == first.PID || len(second.Arguments) != 1 ||
		second.Log != first.Log {
		t.Errorf("after restart: %+v, before %+v", second, first)
	}
	if got := daemonRun(t, "stop", "--json"); got.code != 0 ||
		got.out != fmt.Sprintf(`{"stopped":true,"pid":%d}`+"\n", second.PID) {
		t.Errorf("stop: %+v", got)
	}
	if last := statusOf(t); last.Running || last.PID != 0 {
		t.Errorf("status at the end: %+v", last)
	}
}

func TestOfManyStartsAtOnceOneStartsTheDaemon(t *testing.T) {
	background(t)
	var wg sync.WaitGroup
	fresh := make(chan string, 6)
	for range 4 {
		wg.Go(func() { fresh <- daemonRun(t, "start").out })
	}
	for range 2 { // a command that needs the daemon starts it too
		wg.Go(func() {
			if got := realRun(t, "", "list"); got.code != 0 {
				t.Errorf("list: %+v", got)
			}
		})
	}
	wg.Wait()
	close(fresh)
	starts := 0
	for out := range fresh {
		if !strings.Contains(out, "already") {
			starts++
		}
	}
	if starts > 1 {
		t.Errorf("%d daemons were started", starts)
	}
}

func TestAKilledDaemonLeavesNothingThatMatters(t *testing.T) {
	address := background(t)
	if got := daemonRun(t, "start"); got.code != 0 {
		t.Fatalf("start: %+v", got)
	}
	if err := syscall.Kill(statusOf(t).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); statusOf(t).Running; {
		if time.Now().After(deadline) {
			t.Fatal("a killed daemon is said to run")
		}
	}
	if got := daemonRun(t, "stop"); got.out != "no daemon runs at "+address+"\n" {
		t.Errorf("stop: %+v", got)
	}
	if got := daemonRun(t, "start"); got.code != 0 || strings.Contains(got.out, "already") {
		t.Errorf("start: %+v", got)
	}
}

func TestWhyADaemonDoesNotStartIsSaid(t *testing.T) {
	address := background(t)
	got := daemonRun(t, "start", "--parallel", "9999")
	if got.code != exitUsage || !strings.Contains(got.err, "--parallel is 9999") {
		t.Errorf("flags are not checked at once: %+v", got)
	}
	other, err := net.Listen("tcp", address) // answers nothing
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := other.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	got = daemonRun(t, "start")
	other.Close()
	if got.code != exitFailed || !strings.Contains(got.err, "is in use") {
		t.Errorf("another program at the address: %+v", got)
	}
	checkErrorForm(t, got.err)
}

func TestADaemonOfOtherMachinesIsNotManaged(t *testing.T) {
	for _, command := range []string{"start", "stop", "status", "restart", "logs"} {
		env := environment{host: "10.0.0.1:80"}
		got := runWith(newFake(), env, "", "daemon", command)
		if got.code != exitUsage || !strings.Contains(got.err, "10.0.0.1:80") {
			t.Errorf("%s: %+v", command, got)
		}
	}
}

func TestServiceFilesListenOnTheLoopbackAlone(t *testing.T) {
	all := []string{"--systemd", "--systemd --user", "--launchd", "--launchd --user"}
	for _, flags := range all {
		args := append([]string{"daemon", "install", "--print", "--program", "/usr/bin/mullama"},
			strings.Fields(flags)...)
		got := run(newFake(), "", args...)
		name := "service_" + strings.ReplaceAll(strings.ReplaceAll(flags, "--", ""), " ", "_")
		if got.code != 0 || !strings.Contains(got.out, "127.0.0.1:11434") ||
			!strings.Contains(got.out, "/usr/bin/mullama") || strings.Contains(got.out, "{{") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAServiceFileIsWrittenForAUser(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	got := run(newFake(), "", "daemon", "install", "--systemd", "--user", "--program", "/m")
	path := filepath.Join(home, "systemd", "user", "mullama.service")
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "ExecStart=/m serve\n") ||
		!strings.Contains(got.out, path) || !strings.Contains(got.out, "systemctl --user") {
		t.Errorf("%+v, %v, %s", got, err, text)
	}
	for _, args := range []string{"--systemd --launchd", "--program relative", "--program /a\nb"} {
		got := run(newFake(), "", append([]string{"daemon", "install", "--print"},
			strings.SplitN(args, " ", 2)...)...)
		if got.code != exitUsage {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestADaemonThatDoesNotEndIsKilled(t *testing.T) {
	address := background(t)
	if got := daemonRun(t, "start"); got.code != 0 {
		t.Fatalf("start: %+v", got)
	}
	pid := statusOf(t).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // it can do nothing now
		t.Fatal(err)
	}
	got := daemonRun(t, "stop", "--timeout", "1s")
	if got.code != exitFailed || !strings.Contains(got.err, "did not end within 1s") {
		t.Errorf("stop: %+v", got)
	}
	checkErrorForm(t, got.err)
	if got := daemonRun(t, "status"); got.out != "no daemon runs at "+address+"\n" {
		t.Errorf("status: %+v", got)
	}
}
