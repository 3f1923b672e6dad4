package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// serveRPC runs the command until it has said that it listens.
func serveRPC(t *testing.T, fake *fakeEngine, args ...string) outcome {
	t.Helper()
	a, out, errOut := testApp(fake, "")
	ctx, cancel := context.WithCancel(t.Context())
	fake.onServed = cancel
	code := a.execute(ctx, append([]string{"rpc-server"}, args...))
	return outcome{code, out.String(), errOut.String()}
}

func TestRPCServerSaysWhatItOffersAndEndsWithoutError(t *testing.T) {
	fake := newFake()
	got := serveRPC(t, fake, "--port", "50100", "--threads", "3", "--cache", "/tmp/c")
	want := "listening on 127.0.0.1:50100, offering:\n" +
		"  CPU: A Processor, 4.00 GB of 8.00 GB free\n"
	if got != (outcome{0, want, ""}) {
		t.Errorf("got %+v", got)
	}
	if s := fake.served; s == nil || s.Threads != 3 || s.CacheDir != "/tmp/c" {
		t.Errorf("the engine serves %+v", s)
	}
}

func TestRPCServerWarnsWhereOthersReachIt(t *testing.T) {
	got := serveRPC(t, newFake(), "--host", "0.0.0.0")
	if got.code != 0 || strings.Count(got.err, "\n") != 1 ||
		!strings.HasPrefix(got.err, "warning: whoever can reach 0.0.0.0:50052") {
		t.Errorf("got %+v", got)
	}
	if got := serveRPC(t, newFake(), "--host", "localhost"); got.err != "" {
		t.Errorf("on this machine alone it says %q", got.err)
	}
}

func TestRPCServerRefusesWhatCannotBe(t *testing.T) {
	for _, tt := range []struct{ flags, says string }{
		{"--host ::1", `"::1" is no IPv4 address`},
		{"--host gpu-box", `"gpu-box" is no IPv4 address`},
		{"--port 0", "at least 1"},
		{"--port 65536", "65536 is not from 1 to 65535"},
		{"--device CUDA7", `no device is named "CUDA7"`},
		{"file.gguf", "rpc-server takes no"},
	} {
		args := append([]string{"rpc-server"}, strings.Fields(tt.flags)...)
		checkRefusal(t, run(newFake(), "", args...), exitUsage, tt.says)
	}
	fake := newFake()
	fake.loadErr = fmt.Errorf("listen: %w", syscall.EADDRINUSE)
	checkRefusal(t, run(fake, "", "rpc-server"), exitFailed, "127.0.0.1:50052 is in use")
}

func TestRPCServersOfALoadAreChecked(t *testing.T) {
	fake := newFake()
	run(fake, "", "run", "m.gguf", "Hi", "--rpc", "10.0.0.2:50052,gpu-box:1")
	if want := []string{"10.0.0.2:50052", "gpu-box:1"}; !slices.Equal(fake.load.RPC, want) {
		t.Errorf("the model is loaded on %v, want %v", fake.load.RPC, want)
	}
	for _, tt := range []struct{ servers, says string }{
		{"10.0.0.2", `"10.0.0.2" is not host:port`},
		{":50052", `":50052" is not host:port`},
		{"a:b", "not a number from 1 to 65535"},
		{"a:70000", "not a number from 1 to 65535"},
		{"[fe80::1]:50052", "has an IPv6 address"},
		{"a:1,a:1", "a:1 is named twice"},
	} {
		for _, args := range [][]string{{"run", "m.gguf", "Hi"}, {"serve"}} {
			got := run(newFake(), "", append(args, "--rpc", tt.servers)...)
			checkRefusal(t, got, exitUsage, tt.says)
		}
	}
}

func TestDoctorAsksTheRPCServers(t *testing.T) {
	env := environment{serve: map[string]serveVariable{
		"RPC": {"MULLAMA_RPC", "10.0.0.2:50052,10.0.0.3:50052"}}}
	got := runWith(newFake(), env, "", "doctor")
	for _, want := range []string{
		"RPC[10.0.0.2:50052]", "4.00 GB of 8.00 GB free", "10.0.0.3:50052 cannot be reached",
		"start mullama rpc-server there",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in\n%s", want, got.out)
		}
	}
	if got.code != exitFailed {
		t.Errorf("code %d", got.code)
	}
}
