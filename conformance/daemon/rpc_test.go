package daemon

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testdaemon"
	"github.com/mullama/mullama/internal/testmodels"
)

// rpcServer is a running `mullama rpc-server`.
type rpcServer struct {
	address string
	cmd     *exec.Cmd
	text    *bufio.Reader // its standard output
}

// startRPC runs an RPC server until the test ends. command is what starts the program, with what
// stands in front of it.
func startRPC(t *testing.T, address string, command ...string) *rpcServer {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	command = append(command, "rpc-server", "--host", host, "--port", port)
	s := &rpcServer{address: address, cmd: exec.Command(command[0], command[1:]...)}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.text = bufio.NewReader(out)
	var complaints bytes.Buffer
	s.cmd.Stderr = &complaints
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	line, err := s.text.ReadString('\n')
	if want := "listening on " + address + ", offering:\n"; err != nil || line != want {
		s.kill()
		t.Fatalf("the RPC server says %q, %v, want %q; %s", line, err, want, &complaints)
	}
	return s
}

// kill ends the server as a power cut would.
func (s *rpcServer) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// ask posts a request for greedy text. layers 0 keeps the model on the machine of the daemon. The
// caller closes the response's body.
func ask(t *testing.T, url, prompt string, tokens, layers int, stream bool) *http.Response {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"model": "smollm2", "prompt": prompt, "raw": true, "stream": stream,
		"options": map[string]any{"temperature": 0, "num_predict": tokens, "num_gpu": layers},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url+"/api/generate", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// answer is the text of 64 greedy tokens.
func answer(t *testing.T, url, prompt string, layers int) string {
	t.Helper()
	resp := ask(t, url, prompt, 64, layers, false)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	var reply struct{ Response string }
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, &reply)
	}
	if err != nil || resp.StatusCode != http.StatusOK || reply.Response == "" {
		t.Fatalf("status %d, %v: %s", resp.StatusCode, err, text)
	}
	return reply.Response
}

const here, onPeer = 0, -1 // layers

var rpcPrompts = []string{
	"The capital of France is", "Once upon a time, there was a little", "def fibonacci(n):",
	"Water boils at a temperature of", "The three primary colours are",
}

// plainWeights keep a model's weights as they are sent to another machine: here they would be
// packed anew for this CPU, which rounds otherwise.
var plainWeights = []string{"--no-repack"}

// wantSameText compares the greedy text of a model on another machine with that of one here.
func wantSameText(t *testing.T, alone, url string) {
	t.Helper()
	for _, prompt := range rpcPrompts {
		near, far := answer(t, alone, prompt, here), answer(t, url, prompt, onPeer)
		if near != far {
			t.Errorf("%q goes on with\n%q on another machine, and with\n%q here", prompt, far, near)
		}
	}
}

// wantUnreachable has a request refused because the server cannot be reached.
func wantUnreachable(t *testing.T, url, address string) {
	t.Helper()
	began := time.Now()
	resp := ask(t, url, "Hello", 8, onPeer, false)
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	var reply struct{ Error, Kind string }
	_ = json.Unmarshal(text, &reply)
	if resp.StatusCode != http.StatusBadGateway || reply.Kind != "unreachable" ||
		!strings.Contains(reply.Error, "the RPC server "+address+" cannot be reached") {
		t.Errorf("without the RPC server the status is %d: %s", resp.StatusCode, text)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the refusal took %s", took)
	}
}

func TestAModelOnAnotherMachineAnswersAsHereAndComesBackWithIt(t *testing.T) {
	address := freePort(t)
	d := testdaemon.Start(t, map[string]string{"smollm2": "smollm2"}, "--rpc", address)
	alone := testdaemon.Start(t, map[string]string{"smollm2": "smollm2"}, plainWeights...)
	wantUnreachable(t, d.URL(), address)
	answer(t, d.URL(), "Others go on:", here)
	peer := startRPC(t, address, d.Program)
	wantSameText(t, alone.URL(), d.URL())

	stream := ask(t, d.URL(), "Count: 1, 2, 3,", 2000, onPeer, true)
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	for i := 0; i < 5 && lines.Scan(); i++ {
		if !strings.Contains(lines.Text(), `"done":false`) {
			t.Fatalf("a part of the answer is %s", lines.Text())
		}
	}
	peer.kill()
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if !strings.Contains(last, `"error"`) || !strings.Contains(last, address+" broke off") {
		t.Errorf("the answer whose machine went away ends with %s", last)
	}
	wantUnreachable(t, d.URL(), address)
	answer(t, d.URL(), "Others still go on:", here)

	startRPC(t, address, d.Program)
	wantSameText(t, alone.URL(), d.URL())
}

func TestAMachineThatGoesAwayBetweenRequestsIsNoticed(t *testing.T) {
	address := freePort(t)
	d := testdaemon.Start(t, map[string]string{"smollm2": "smollm2"}, "--rpc", address)
	peer := startRPC(t, address, d.Program)
	want := answer(t, d.URL(), "The sea is", onPeer)
	peer.kill()
	wantUnreachable(t, d.URL(), address)
	startRPC(t, address, d.Program)
	if got := answer(t, d.URL(), "The sea is", onPeer); got != want {
		t.Errorf("the text is %q after the machine came back, and was %q", got, want)
	}
}

// serveTCP answers every connection with what handle does, until the test ends.
func serveTCP(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
	return listener.Addr().String()
}

// notServing is a daemon's program and folder, in which nothing runs.
func notServing(t *testing.T) *testdaemon.Daemon {
	t.Helper()
	d, err := testdaemon.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.End() })
	return d
}

func TestWhatIsNoRPCServerIsNamed(t *testing.T) {
	testdaemon.RequireLibrary(t)
	model := testmodels.Path(t, "smollm2")
	d := notServing(t)
	silent := serveTCP(t, func(net.Conn) {})
	closing := serveTCP(t, func(c net.Conn) { _ = c.Close() })
	web := serveTCP(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
	})
	nobody := freePort(t)
	for _, c := range []struct {
		name, rpc string
		code      int
		want      string
	}{
		{"nobody", nobody, 7, nobody + " cannot be reached: Connection refused"},
		{"silent", silent, 7, silent + " does not answer as one of llama.cpp: no answer within"},
		{"closing", closing, 7, closing + " does not answer as one of llama.cpp: "},
		{"web", web, 7, "what listens on " + web + " is no RPC server of llama.cpp"},
		{"unknown", "nowhere.invalid:50052", 7, "nowhere.invalid:50052 cannot be reached"},
		{"no port", "127.0.0.1", 2, `--rpc: the RPC server "127.0.0.1" is not host:port`},
		{"a bad port", "127.0.0.1:0", 2, "is not a number from 1 to 65535"},
		{"IPv6", "[::1]:50052", 2, "IPv6"},
		{"twice", nobody + "," + nobody, 2, "is named twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			cmd := exec.CommandContext(t.Context(), d.Program, "run", model, "--rpc", c.rpc, "Hi")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			exit := (*exec.ExitError)(nil)
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != c.code {
				t.Errorf("it ends with %v, want exit code %d", err, c.code)
			}
			text := stderr.String()
			if !strings.HasPrefix(text, "mullama: ") || !strings.Contains(text, c.want) ||
				strings.Count(text, "\n") > 2 {
				t.Errorf("it says %q, want one sentence with %q, and a hint", text, c.want)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestWhatTheDevicesOfOtherMachinesCannotMeetIsRefused(t *testing.T) {
	testdaemon.RequireLibrary(t)
	model := testmodels.Path(t, "smollm2")
	d := notServing(t)
	peer := startRPC(t, freePort(t), d.Program)
	for flags, want := range map[string]string{
		"--tensor-split 1,1": "the tensor split is for 2, and there is 1 device with those",
		"--tensor-split 0":   "tensor split is 0 for every device",
		"--main-gpu 1":       "main GPU is 1, counted from 0, and there is 1 device with those",
		"--device CUDA0":     "no device named CUDA0; this machine has CPU",
	} {
		args := append([]string{"run", model, "--rpc", peer.address, "Hi"},
			strings.Fields(flags)...)
		out, err := exec.CommandContext(t.Context(), d.Program, args...).CombinedOutput()
		exit, failed := errors.AsType[*exec.ExitError](err)
		if !failed || exit.ExitCode() != 2 || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s, want exit code 2 and %q", flags, err, out, want)
		}
	}
}

// TestDevicesOfThisMachineLeaveOthersInUse names none of this machine's.
func TestDevicesOfThisMachineLeaveOthersInUse(t *testing.T) {
	address := freePort(t)
	d := testdaemon.Start(t, map[string]string{"smollm2": "smollm2"}, "--rpc", address,
		"--device", "CPU")
	startRPC(t, address, d.Program)
	answer(t, d.URL(), "The sea is", onPeer)
	resp, err := http.Get(d.URL() + "/api/ps")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var loaded struct {
		Models []struct{ Plan mullama.Plan }
	}
	if err := json.NewDecoder(resp.Body).Decode(&loaded); err != nil || len(loaded.Models) != 1 {
		t.Fatalf("%+v, %v", loaded, err)
	}
	plan := loaded.Models[0].Plan
	if len(plan.Devices) != 2 || plan.Devices[0].Weights == 0 || plan.Layers == 0 ||
		plan.GPULayers != plan.Layers {
		t.Errorf("the model is %+v", plan)
	}
}

// TestAnRPCServerOutlivesBadClients sends it what no client would.
func TestAnRPCServerOutlivesBadClients(t *testing.T) {
	d := testdaemon.Start(t, map[string]string{"smollm2": "smollm2"})
	peer := startRPC(t, freePort(t), d.Program)
	hello := append([]byte{14, 24, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 24)...)
	size := func(n int) string { return string([]byte{byte(n), byte(n >> 8), 0, 0, 0, 0, 0, 0}) }
	huge := "\xff\xff\xff\xff\xff\xff\xff\x7f"
	for name, sent := range map[string]string{
		"nothing":               "",
		"HTTP":                  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"an unknown command":    string(hello) + "\xc8",
		"a size that is wrong":  string(hello) + "\x00" + size(3) + "abc",
		"no end of a size":      string(hello) + "\x06" + huge,
		"an empty graph":        string(hello) + "\x0a" + size(12) + strings.Repeat("\x00", 12),
		"a graph without nodes": string(hello) + "\x0a" + size(8) + strings.Repeat("\xff", 8),
		"tensors of no type":    string(hello) + "\x0c" + size(300) + strings.Repeat("\xff", 300),
	} {
		c, err := net.Dial("tcp", peer.address)
		if err != nil {
			t.Fatalf("after %s: %v", name, err)
		}
		_, _ = io.WriteString(c, sent)
		_ = c.Close()
	}
	cmd := exec.CommandContext(t.Context(), d.Program, "run", testmodels.Path(t, "smollm2"),
		"--rpc", peer.address, "--temperature", "0", "-n", "8", "The capital of France is")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("after bad clients: %v\n%s", err, out)
	}
	if err := peer.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := peer.cmd.Wait(); err != nil {
		t.Errorf("told to end, the RPC server ends with %v", err)
	}
}

// TestAModelInAnotherNetworkNamespace has the two machines in network namespaces of their own,
// joined by a virtual cable. It needs root.
func TestAModelInAnotherNetworkNamespace(t *testing.T) {
	model := testmodels.Path(t, "smollm2")
	testdaemon.RequireLibrary(t)
	near, far := namespaces(t)
	d := notServing(t)
	peer := startRPC(t, far.address+":50052", "ip", "netns", "exec", far.name, d.Program)
	for _, prompt := range rpcPrompts {
		var texts [2]string
		for i, flags := range [][]string{plainWeights, {"--rpc", peer.address}} {
			args := append([]string{"netns", "exec", near.name, d.Program, "run", model,
				"--temperature", "0", "-n", "64", prompt}, flags...)
			cmd := exec.CommandContext(t.Context(), "ip", args...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil || len(out) == 0 {
				t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
			}
			texts[i] = string(out)
		}
		if texts[0] != texts[1] {
			t.Errorf("%q goes on with\n%q on another machine, and with\n%q alone", prompt,
				texts[1], texts[0])
		}
	}
}

// namespace is a network namespace with an address on the cable to the other.
type namespace struct{ name, address string }

func namespaces(t *testing.T) (near, far namespace) {
	t.Helper()
	id := time.Now().UnixNano() % 100_000
	near = namespace{fmt.Sprintf("mn%d", id), "10.213.7.1"}
	far = namespace{fmt.Sprintf("mf%d", id), "10.213.7.2"}
	for _, n := range []namespace{near, far} {
		if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
			t.Skipf("no network namespace can be made here: %v %s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n.name).Run() })
	}
	steps := []string{
		fmt.Sprintf("link add v%d netns %s type veth peer name w%d netns %s", id, near.name, id,
			far.name),
		fmt.Sprintf("-n %s addr add %s/30 dev v%d", near.name, near.address, id),
		fmt.Sprintf("-n %s addr add %s/30 dev w%d", far.name, far.address, id),
	}
	for _, n := range []namespace{near, far} {
		steps = append(steps, "-n "+n.name+" link set lo up")
	}
	steps = append(steps, fmt.Sprintf("-n %s link set v%d up", near.name, id),
		fmt.Sprintf("-n %s link set w%d up", far.name, id))
	for _, step := range steps {
		if out, err := exec.Command("ip", strings.Fields(step)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v %s", step, err, out)
		}
	}
	return near, far
}
