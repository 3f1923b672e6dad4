package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// servedName is the model's name at every server under test.
const servedName = "bench"

// serving is what every server under test is asked to do.
type serving struct {
	model   string // GGUF file
	slots   int    // requests at once
	context int    // tokens of each
	threads int
	unified bool   // one KV cache for all requests
	batch   int    // prompt tokens per step; 0: the server's own
	ubatch  int    // prompt tokens computed at once; 0: the server's own
	library string // folder of our native library; "": searched for

	embedding bool // the model embeds texts
}

// batches are the flags of the sizes of batches, which ours and llama-server share.
func (s serving) batches() (flags []string) {
	if s.batch > 0 {
		flags = append(flags, "--batch-size", strconv.Itoa(s.batch))
	}
	if s.ubatch > 0 {
		flags = append(flags, "--ubatch-size", strconv.Itoa(s.ubatch))
	}
	return flags
}

// served is a server under test with files of its own.
type served struct {
	url     string
	address string // of TCP, or the path of a socket
	dir     string // removed at the end
	cmd     *exec.Cmd
	log     bytes.Buffer
}

// start runs the program until stop, and returns when it listens.
func (d *served) start(ctx context.Context, cmd *exec.Cmd) error {
	d.cmd = cmd
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	if err := cmd.Start(); err != nil {
		return errors.Join(err, os.RemoveAll(d.dir))
	}
	network := "tcp"
	if filepath.IsAbs(d.address) {
		network = "unix"
	}
	const limit = 60 * time.Second
	for end := time.Now().Add(limit); time.Now().Before(end) && ctx.Err() == nil; {
		if conn, err := net.Dial(network, d.address); err == nil {
			return conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.Join(fmt.Errorf("%s does not listen on %s: %s", filepath.Base(cmd.Path),
		d.address, d.log.String()), d.stop())
}

// stop ends the server and removes its files.
func (d *served) stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	ended := time.AfterFunc(20*time.Second, func() { _ = d.cmd.Process.Kill() })
	defer ended.Stop()
	err := d.cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil // the way it ends when told to is its own affair
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

// newServed makes the folder of a server and finds it a free port.
func newServed() (*served, error) {
	dir, err := os.MkdirTemp("", "mullama-bench-")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	address := listener.Addr().String()
	return &served{address: address, url: "http://" + address, dir: dir}, listener.Close()
}

// startDaemon starts the daemon of this very program. With socket it listens on a Unix socket.
func startDaemon(ctx context.Context, s serving, socket bool) (*served, error) {
	d, cmd, err := prepareDaemon(ctx, s, socket)
	if err != nil {
		return nil, err
	}
	return d, d.start(ctx, cmd)
}

// store is the folder of a daemon's models.
func (d *served) store() string { return filepath.Join(d.dir, "models") }

// prepareDaemon makes the store of a daemon, and returns how to start it.
func prepareDaemon(ctx context.Context, s serving, socket bool) (*served, *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	d, err := newServed()
	if err != nil {
		return nil, nil, err
	}
	host := d.address
	if socket {
		d.address = filepath.Join(d.dir, "socket")
		host, d.url = "unix:"+d.address, "http://localhost"
	}
	out, err := exec.CommandContext(ctx, self, "import", s.model, servedName,
		"--models", d.store()).CombinedOutput()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("import the model: %w: %s", err, out),
			os.RemoveAll(d.dir))
	}
	args := []string{
		"serve", "--host", host, "--models", d.store(), "--parallel", strconv.Itoa(s.slots),
		"--ctx-size", strconv.Itoa(s.context), "--threads", strconv.Itoa(s.threads),
		"--kv-layout", "split",
	}
	if s.unified {
		args[len(args)-1] = "unified"
		args = append(args, "--cache-tokens", strconv.Itoa(s.slots*s.context))
	}
	cmd := exec.Command(self, append(args, s.batches()...)...)
	if s.library != "" {
		cmd.Env = append(os.Environ(), "MULLAMA_LIBRARY="+s.library)
	}
	return d, cmd, nil
}

// startLlamaServer starts llama.cpp's own server.
func startLlamaServer(ctx context.Context, program string, s serving) (*served, error) {
	d, err := newServed()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(d.address)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "--model", s.model, "--alias", servedName,
		"--host", "127.0.0.1", "--port", port, "--parallel", strconv.Itoa(s.slots),
		"--ctx-size", strconv.Itoa(s.slots*s.context), "--threads", strconv.Itoa(s.threads))
	if s.unified {
		cmd.Args = append(cmd.Args, "--kv-unified")
	}
	if s.embedding {
		cmd.Args = append(cmd.Args, "--embeddings")
	}
	cmd.Args = append(cmd.Args, s.batches()...)
	if err := d.start(ctx, cmd); err != nil {
		return d, err
	}
	if err := d.healthy(ctx); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// healthy waits until a llama-server, which listens before that, has loaded its model.
func (d *served) healthy(ctx context.Context) error {
	const limit = 5 * time.Minute
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/health", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("llama-server has not loaded the model after %s: %s", limit,
				resp.Status)
		}
	}
}

// startOllama starts Ollama and gives it the model.
func startOllama(ctx context.Context, program string, s serving) (*served, error) {
	d, err := newServed()
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), "OLLAMA_HOST="+d.address, "HOME="+d.dir,
		"OLLAMA_MODELS="+filepath.Join(d.dir, "models"), "OLLAMA_KEEP_ALIVE=-1",
		"OLLAMA_NUM_PARALLEL="+strconv.Itoa(s.slots),
		"OLLAMA_CONTEXT_LENGTH="+strconv.Itoa(s.context))
	cmd := exec.Command(program, "serve")
	cmd.Env = env
	if err := d.start(ctx, cmd); err != nil {
		return nil, err
	}
	file := filepath.Join(d.dir, "Modelfile")
	text := fmt.Sprintf("FROM %s\nPARAMETER num_thread %d\n", s.model, s.threads)
	if s.batch > 0 {
		text += fmt.Sprintf("PARAMETER num_batch %d\n", s.batch)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	create := exec.CommandContext(ctx, program, "create", servedName, "-f", file)
	create.Env = env
	if out, err := create.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("ollama create: %w: %s", err, out), d.stop())
	}
	return d, nil
}
