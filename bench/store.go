package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/process"
	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

type storeOptions struct {
	options
	models, megabytes  int
	quantized, program string
}

func storeCommand() *cobra.Command {
	o := storeOptions{models: 1000, megabytes: 512}
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Measure lists of many models, a pull beside curl, create and quantize",
		Long: `Measure how long the list of a store of many small models takes, the first time in a
program and then, how fast a model comes from a registry on this machine, beside curl for the same
file from the same server, alone, with SHA-256 after it and beside it, and beside SHA-256 alone, and
how long a model made of a file takes beyond the hash of the file. With --llama-quantize, also how
long a model takes from F16 to Q4_K_M, here and with that program, which must write the same file.`,
		Example: `  mullama bench store --json store.json
  mullama bench store --quantize qwen.gguf --llama-quantize ./llama-quantize`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return measureStore(cmd, o) },
	}
	f := cmd.Flags()
	f.IntVar(&o.models, "models", o.models, "models of the store")
	f.IntVar(&o.megabytes, "megabytes", o.megabytes, "size of the model that is pulled")
	f.IntVar(&o.Rounds, "rounds", 5, "turns of every case")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the model that is pulled")
	f.StringVar(&o.quantized, "quantize", "", "`MODEL` to quantise: a GGUF file, of any type")
	f.StringVar(&o.program, "llama-quantize", "", "`PROGRAM` to quantise the model with as well")
	cmd.MarkFlagsRequiredTogether("quantize", "llama-quantize")
	f.StringVar(&o.json, "json", "", "write the result to this file; - for standard output alone")
	return cmd
}

func measureStore(cmd *cobra.Command, o storeOptions) error {
	if o.Rounds < 1 || o.models < 1 || o.megabytes < 1 {
		return errors.New("rounds, models and megabytes must be at least 1")
	}
	dir, err := os.MkdirTemp("", "bench-store-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m := &storeMeter{o: o, dir: dir}
	r, err := serveBlob(m.o.Seed, o.megabytes)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	config := o.Config
	config.Threads, config.Context, config.Slots, config.Reps = 1, 1, 1, 1
	config.PromptTokens, config.GenerateTokens, config.ColdStarts = 1, 1, 1
	result := newResult("store", commandLine(cmd, ""), ModelFile{File: "random bytes",
		SHA256: r.digest, SizeBytes: int64(len(r.blob)), Architecture: "none"}, config)
	fmt.Fprintf(cmd.ErrOrStderr(), "make a store of %d models\n", o.models)
	if err := m.makeStore(cmd.Context()); err != nil {
		return err
	}
	if o.quantized != "" {
		rt, err := m.open("quantized")
		if err != nil {
			return err
		}
		defer rt.Close()
		m.quantizer, err = newQuantizer(cmd.Context(), rt, o.quantized, o.program, dir)
		if err != nil {
			return err
		}
	}
	for round := range o.Rounds {
		fmt.Fprintf(cmd.ErrOrStderr(), "round %d of %d\n", round+1, o.Rounds)
		if err := m.round(cmd.Context(), round+1, r); err != nil {
			return err
		}
	}
	result.Finished = time.Now().UTC()
	result.Points, result.Rows = m.points, pointRows(result.Group, m.points)
	return o.write(cmd.OutOrStdout(), result)
}

// storeMeter collects the points.
type storeMeter struct {
	o      storeOptions
	dir    string
	points []Point

	quantizer *quantizer // nil: nothing is quantised
}

func (m *storeMeter) open(folder string) (*mullama.Runtime, error) {
	return mullama.Open(mullama.Options{ModelsDir: filepath.Join(m.dir, folder), KeyDir: m.dir})
}

// makeStore makes models that differ in their weights, as those of a user do.
func (m *storeMeter) makeStore(ctx context.Context) error {
	rt, err := m.open("many")
	if err != nil {
		return err
	}
	defer rt.Close()
	for i := range m.o.models {
		file := filepath.Join(m.dir, "tiny.gguf")
		if err := synth.TinyFile(file, synth.Options{Seed: uint64(i) + 1}); err != nil {
			return err
		}
		if _, err := rt.Import(ctx, fmt.Sprintf("model-%d", i), file); err != nil {
			return err
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

func (m *storeMeter) round(ctx context.Context, round int, r *blobServer) error {
	rt, err := m.open("many")
	if err != nil {
		return err
	}
	defer rt.Close()
	for _, name := range []string{"first", "next"} {
		start := time.Now()
		models, err := rt.List()
		if err != nil || len(models) != m.o.models {
			return fmt.Errorf("the list has %d models of %d: %w", len(models), m.o.models, err)
		}
		m.add(round, fmt.Sprintf("%s list of %d models", name, m.o.models), "list_ms",
			milliseconds(time.Since(start)))
	}
	pulled, err := m.pull(ctx, r)
	if err != nil {
		return err
	}
	hashed, err := spend(func() (time.Duration, error) {
		sha256.Sum256(r.blob)
		return 0, nil
	})
	if err != nil {
		return err
	}
	m.addSpeed(round, "sha-256 by one core", r, hashed)
	m.addSpeed(round, "pull by mullama", r, pulled)
	for _, way := range curlWays {
		took, err := m.curl(ctx, r, way.script)
		if err != nil {
			return err
		}
		m.addSpeed(round, way.name, r, took)
	}
	if err := m.create(ctx, round, r); err != nil || m.quantizer == nil {
		return err
	}
	p, err := m.quantizer.round(ctx, round)
	m.points = append(m.points, p)
	return err
}

// spent is what a transfer takes: of the clock, and of all cores, the server's part included.
type spent struct{ wall, cpu time.Duration }

// spend measures do, which returns the time that other processes computed for it.
func spend(do func() (time.Duration, error)) (spent, error) {
	before, start := ownCPU(), time.Now()
	others, err := do()
	return spent{time.Since(start), ownCPU() - before + others}, err
}

// ownCPU is how long this process has computed.
func ownCPU() time.Duration {
	p, err := process.NewProcess(int32(os.Getpid())) //nolint:gosec // fits
	if err != nil {
		return 0
	}
	times, err := p.Times()
	if err != nil {
		return 0
	}
	return time.Duration((times.User + times.System) * float64(time.Second))
}

// curlWays are how a file comes by the program of that name, for a shell that has the address as
// URL, the file as FILE and a program that computes SHA-256 as HASH.
var curlWays = []struct{ name, script string }{
	{"the same file by curl", `curl -sf -o "$FILE" "$URL"`},
	{"by curl, then its sha-256", `curl -sf -o "$FILE" "$URL" && $HASH "$FILE"`},
	{"by curl, sha-256 beside it", `curl -sf "$URL" | tee "$FILE" | $HASH`},
}

// hashProgram is the one that computes SHA-256 faster, where it is there.
func hashProgram() string {
	if _, err := exec.LookPath("openssl"); err == nil {
		return "openssl dgst -sha256 -r"
	}
	return "sha256sum"
}

// create makes a model of a file on the disk of the store, and hashes the file just before.
func (m *storeMeter) create(ctx context.Context, round int, r *blobServer) error {
	rt, err := m.open("created")
	if err != nil {
		return err
	}
	defer rt.Close()
	defer os.RemoveAll(filepath.Join(m.dir, "created"))
	file := filepath.Join(m.dir, "large.gguf")
	defer os.Remove(file)
	if err := r.writeModel(file); err != nil {
		return err
	}
	start := time.Now()
	if err := hashFile(file); err != nil {
		return err
	}
	hashed := time.Since(start)
	start = time.Now()
	if _, err := rt.Import(ctx, "large", file); err != nil {
		return err
	}
	took := time.Since(start)
	name := fmt.Sprintf("create from a file of %d MB", m.o.megabytes)
	m.points = append(m.points, Point{Round: round, Case: name, Values: map[string]float64{
		"mbs":       float64(len(r.blob)) / 1e6 / took.Seconds(),
		"beyond_ms": milliseconds(took - hashed),
	}})
	return nil
}

func hashFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(sha256.New(), f)
	return err
}

// writeModel writes a model, and the random bytes behind it.
func (r *blobServer) writeModel(file string) error {
	if err := synth.TinyFile(file, synth.Options{Seed: 1}); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(r.blob)
	return errors.Join(err, f.Close())
}

func (m *storeMeter) add(round int, name, key string, value float64) {
	m.points = append(m.points, Point{Round: round, Case: name,
		Values: map[string]float64{key: value}})
}

func (m *storeMeter) addSpeed(round int, name string, r *blobServer, took spent) {
	megabytes := float64(len(r.blob)) / 1e6
	m.points = append(m.points, Point{Round: round, Case: name, Values: map[string]float64{
		"mbs": megabytes / took.wall.Seconds(), "cpu_s_gb": took.cpu.Seconds() / megabytes * 1000,
	}})
}

// pull fetches the model into an empty store.
func (m *storeMeter) pull(ctx context.Context, r *blobServer) (spent, error) {
	rt, err := m.open("pulled")
	if err != nil {
		return spent{}, err
	}
	defer rt.Close()
	defer os.RemoveAll(filepath.Join(m.dir, "pulled"))
	return spend(func() (time.Duration, error) {
		_, err := rt.Pull(ctx, r.host()+"/some/model", &mullama.TransferOptions{Insecure: true})
		if errors.Is(err, mullama.ErrStore) {
			err = nil // it is there, and is no model, as the weights are random bytes
		}
		return 0, err
	})
}

// curl fetches the model's file with the program of that name. A digest that it prints is checked.
func (m *storeMeter) curl(
	ctx context.Context, r *blobServer, script string,
) (spent, error) {
	file := filepath.Join(m.dir, "curl.bin")
	defer os.Remove(file)
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Env = append(os.Environ(), "FILE="+file, "HASH="+hashProgram(),
		"URL=http://"+r.host()+"/v2/some/model/blobs/sha256:"+r.digest)
	var out []byte
	took, err := spend(func() (_ time.Duration, err error) {
		if out, err = cmd.CombinedOutput(); err != nil {
			return 0, err
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
	})
	if err == nil && len(out) > 0 && !strings.HasPrefix(string(out), r.digest) {
		err = errors.New("the digest is another")
	}
	if err != nil {
		return spent{}, fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return took, nil
}

// blobServer is a registry of one model.
type blobServer struct {
	*http.Server
	listener net.Listener
	blob     []byte
	digest   string
}

// serveBlob serves a model of random bytes.
func serveBlob(seed uint64, megabytes int) (*blobServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &blobServer{listener: listener, blob: make([]byte, megabytes*1e6)}
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(r.blob)
	sum := sha256.Sum256(r.blob)
	r.digest = hex.EncodeToString(sum[:])
	r.Server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = r.Serve(listener) }() // ends with Close
	return r, nil
}

func (r *blobServer) host() string { return r.listener.Addr().String() }

func (r *blobServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case strings.Contains(req.URL.Path, "/manifests/"):
		fmt.Fprintf(w, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"","digest":"",`+
			`"size":0},"layers":[{"mediaType":"application/vnd.ollama.image.model",`+
			`"digest":"sha256:%s","size":%d}]}`,
			"application/vnd.docker.distribution.manifest.v2+json", r.digest, len(r.blob))
	case strings.HasSuffix(req.URL.Path, r.digest):
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(r.blob))
	default:
		http.NotFound(w, req)
	}
}
