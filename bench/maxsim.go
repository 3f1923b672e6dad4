package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

//go:embed callers/maxsim.py
var maxsimPeers string

//go:embed callers/latescores.py
var latePeer string

var maxsimKinds = []mullama.VectorKind{
	mullama.VectorsF32, mullama.VectorsF16, mullama.VectorsInt8,
}

type maxsimOptions struct {
	options
	docs, threads []int
	heaviest      int
	python, torch string
	// A device of ggml's, and a Python with kernels for it.
	device, gpuPython string
}

func maxsimCommand() *cobra.Command {
	var o maxsimOptions
	cmd := &cobra.Command{
		Use:     "maxsim",
		Aliases: []string{"colbert"},
		Short:   "Measure late interaction beside NumPy and others, and the machine's limits",
		Long: `Measure how long a search of an index of random vectors takes: 32 query tokens,
documents of 128 tokens, 128 numbers each, kept as f32, f16 and int8. In the same round the
machine's limits are measured, and with --python, a Python that has numpy and maxsim-cpu (make
peers-maxsim), these two, and with --torch, that of make peers-torch, PyLate. The share of the limit
is that of the fastest search, as the limit is the fastest of several turns too.

With --device, a device searches the indexes of f32 and f16 as well, for one query and for 16 in a
call. Its limit is the speed at which it copies its own memory. With --gpu-python, a Python that has
torch, flash-maxsim and late-interaction-kernels (bench/callers/requirements-gpu.txt), those do the
same.`,
		Example: "  mullama bench maxsim --docs 1000,10000 --python venv/bin/python",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return maxsim(cmd, o) },
	}
	f := cmd.Flags()
	f.IntSliceVar(&o.docs, "docs", []int{1000, 10000}, "numbers of documents")
	f.IntSliceVar(&o.threads, "thread-counts", []int{1, runtime.GOMAXPROCS(0)},
		"numbers of threads")
	f.IntVar(&o.Rounds, "rounds", 3, "turns of every case")
	f.IntVar(&o.heaviest, "heaviest", 20000, "most documents of a case that has more than one turn")
	f.IntVar(&o.Reps, "reps", 5, "searches in a turn, which has at least 0.3 s of them")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the vectors")
	f.StringVar(&o.python, "python", "", "Python with numpy and maxsim-cpu")
	f.StringVar(&o.torch, "torch", "", "Python with pylate")
	f.StringVar(&o.device, "device", "", "device to search on, by the name that doctor prints")
	f.StringVar(&o.gpuPython, "gpu-python", "",
		"Python with flash-maxsim and late-interaction-kernels, for --device")
	f.StringVar(&o.oracle, "oracle", "", "mullama-oracle (default: beside the native library)")
	f.StringVar(&o.json, "json", "", "write the result to this file; - for standard output alone")
	return cmd
}

func maxsim(cmd *cobra.Command, o maxsimOptions) error {
	if o.Rounds < 1 || o.Reps < 1 || slices.Min(append(o.docs, o.threads...)) < 1 {
		return fmt.Errorf("rounds, reps, docs and thread-counts must be at least 1")
	}
	if o.gpuPython != "" && o.device == "" {
		return fmt.Errorf("gpu-python is for a device, and none is named; add --device")
	}
	dir, err := os.MkdirTemp("", "bench-maxsim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m := &maxsimMeter{o: o, dir: dir}
	oracle, err := oracleProgram(o.oracle, o.library)
	if err != nil {
		return err
	}
	m.oracle = oracle[0]
	gpus, err := m.checkDevice()
	if err != nil {
		return err
	}
	result := m.newResult(cmd)
	result.Machine.GPUs = gpus
	for _, docs := range o.docs {
		if err := m.documents(cmd, docs); timeIsUp(cmd.Context()) && len(m.points) > 0 {
			result.Warnings = append(result.Warnings, cutShort)
			break
		} else if err != nil {
			return err
		}
	}
	result.Finished = time.Now().UTC()
	result.Points, result.Rows = m.points, pointRows(result.Group, m.points)
	return o.write(cmd.OutOrStdout(), result)
}

// maxsimMeter collects the points.
type maxsimMeter struct {
	o      maxsimOptions
	dir    string
	oracle string
	points []Point
}

// newResult describes the vectors where other groups describe a model.
func (m *maxsimMeter) newResult(cmd *cobra.Command) *Result {
	name := fmt.Sprintf("random vectors of seed %d", m.o.Seed)
	sum := sha256.Sum256([]byte(name))
	config := m.o.Config
	config.Threads, config.Context, config.Slots = slices.Max(m.o.threads), maxsimTokens, 1
	config.PromptTokens, config.GenerateTokens, config.ColdStarts = maxsimQueryTokens, 1, 1
	return newResult("maxsim", commandLine(cmd, ""), ModelFile{File: name,
		SHA256: hex.EncodeToString(sum[:]), SizeBytes: 1, Architecture: "late interaction"}, config)
}

func (m *maxsimMeter) path(kind mullama.VectorKind) string {
	return filepath.Join(m.dir, kind.String())
}

func (m *maxsimMeter) makeIndexes(ctx context.Context, docs int) error {
	for _, kind := range maxsimKinds {
		o := mullama.IndexOptions{Dim: maxsimDim, Vectors: kind}
		x, err := mullama.OpenIndex(m.path(kind), o)
		if err != nil {
			return err
		}
		if err := fillIndex(ctx, x, docs, m.o.Seed); err != nil {
			return err
		}
		if err := x.Close(); err != nil {
			return err
		}
	}
	return nil
}

// documents measures all rounds of so many documents.
func (m *maxsimMeter) documents(cmd *cobra.Command, docs int) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "%d documents: make indexes\n", docs)
	if err := m.makeIndexes(cmd.Context(), docs); err != nil {
		return err
	}
	rounds := m.o.Rounds
	if docs > m.o.heaviest {
		rounds = 1
	}
	for round := range rounds {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d documents: round %d of %d\n", docs, round+1, rounds)
		for _, threads := range m.o.threads {
			if err := m.round(cmd.Context(), round+1, docs, threads); err != nil {
				return err
			}
		}
		if m.o.device != "" {
			if err := m.deviceRound(cmd.Context(), round+1, docs); err != nil {
				return err
			}
		}
	}
	for _, kind := range maxsimKinds {
		os.Remove(m.path(kind))
	}
	return nil
}

// round measures all kinds and the peers with so many threads.
func (m *maxsimMeter) round(ctx context.Context, round, docs, threads int) error {
	for _, kind := range maxsimKinds {
		values, fastest, bytes, err := m.search(ctx, kind, threads)
		if err != nil {
			return err
		}
		limit, err := m.limit(ctx, kind, docs, threads, bytes)
		if err != nil {
			return err
		}
		values["limit_ms"] = limit
		values["of_limit_percent"] = 100 * limit / fastest
		m.points = append(m.points, Point{Round: round, Values: values, Case: fmt.Sprintf(
			"%s, %d documents, %d threads", kind, docs, threads)})
	}
	for _, p := range []struct{ python, script string }{
		{m.o.python, maxsimPeers}, {m.o.torch, latePeer},
	} {
		if p.python == "" {
			continue
		}
		peers, err := m.peers(ctx, p.python, p.script, docs, threads)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(peers)) {
			m.points = append(m.points, Point{Round: round,
				Values: map[string]float64{"search_ms": peers[name]},
				Case:   fmt.Sprintf("%s f32, %d documents, %d threads", name, docs, threads)})
		}
	}
	slices.SortStableFunc(m.points, func(a, b Point) int { return a.Round - b.Round })
	return nil
}

// timeSearches returns the milliseconds of searches with n queries each, of which the first few
// warm up. The first of all is a value of its own.
func (m *maxsimMeter) timeSearches(ctx context.Context, x *mullama.Index, n int) (times []float64,
	warm int, err error) {
	r := rand.New(rand.NewPCG(m.o.Seed, 2))
	queries := make([][][]float32, n)
	for i := range queries {
		queries[i] = unitRows(r, maxsimQueryTokens)
	}
	warm = 1 + min(9, m.o.Reps)
	for began := time.Now(); len(times) < warm+m.o.Reps || time.Since(began) < searchTurn; {
		start := time.Now()
		if _, err := x.Search(ctx, queries, 10, mullama.SearchOptions{}); err != nil {
			return nil, 0, err
		}
		times = append(times, milliseconds(time.Since(start)))
	}
	return times, warm, nil
}

// searchTurn is how long searches go on at least: of a few milliseconds each, the ones that are
// asked for all fall into the same moment, in which something else may use the machine.
const searchTurn = 300 * time.Millisecond

// search opens an index and searches it, some times to warm up and then as often as is asked for.
// It returns the fastest search in milliseconds and the bytes of the index, too.
func (m *maxsimMeter) search(ctx context.Context, kind mullama.VectorKind,
	threads int) (values map[string]float64, fastest float64, bytes int64, err error) {
	before := filePages()
	start := time.Now()
	x, err := mullama.OpenIndex(m.path(kind), mullama.IndexOptions{Threads: threads})
	if err != nil {
		return nil, 0, 0, err
	}
	values = map[string]float64{"open_ms": milliseconds(time.Since(start)),
		"opened_mb": filePages() - before}
	defer func() { _ = x.Close() }()
	info, err := x.Info()
	if err != nil {
		return nil, 0, 0, err
	}
	times, warm, err := m.timeSearches(ctx, x, 1)
	if err != nil {
		return nil, 0, 0, err
	}
	values["first_ms"], values["search_ms"] = times[0], median(times[warm:])
	values["searched_mb"] = filePages() - before
	macs := float64(info.Tokens) * maxsimQueryTokens * maxsimDim
	values["gmacs"] = macs / values["search_ms"] / 1e6
	values["gbs"] = float64(info.Bytes) / values["search_ms"] / 1e6
	return values, slices.Min(times[1:]), info.Bytes, nil
}

// filePages is how many megabytes of files this process has mapped and in memory.
func filePages() float64 { return float64(ownMemory(os.DirFS("/")).File) * 1024 / 1e6 }

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// limit is the time in milliseconds that the machine needs at least: to read the vectors, or to
// multiply them.
func (m *maxsimMeter) limit(ctx context.Context, kind mullama.VectorKind, docs, threads int,
	size int64) (float64, error) {
	out, err := exec.CommandContext(ctx, m.oracle, "limits", "threads="+strconv.Itoa(threads),
		"bytes="+strconv.FormatInt(min(max(size, 16<<20), 1<<30), 10)).Output()
	if err != nil {
		return 0, fmt.Errorf("measure the machine's limits: %w", err)
	}
	var limits struct {
		Read   float64 `json:"read_gbs"`
		Floats float64 `json:"floats_gmacs"`
		Bytes  float64 `json:"bytes_gmacs"`
	}
	if err := json.Unmarshal(out, &limits); err != nil {
		return 0, fmt.Errorf("measure the machine's limits: %w", err)
	}
	speed := limits.Floats
	if kind == mullama.VectorsInt8 && limits.Bytes > 0 {
		speed = limits.Bytes
	}
	macs := float64(docs) * maxsimTokens * maxsimQueryTokens * maxsimDim
	return max(float64(size)/limits.Read, macs/speed) / 1e6, nil
}

// peers returns the medians of the peers that a script measures.
func (m *maxsimMeter) peers(
	ctx context.Context, python, script string, docs, threads int,
) (map[string]float64, error) {
	cmd := exec.CommandContext(ctx, python, "-", strconv.Itoa(docs), strconv.Itoa(m.o.Reps))
	cmd.Stdin = bytes.NewReader([]byte(script))
	n := strconv.Itoa(threads)
	cmd.Env = append(os.Environ(), "OPENBLAS_NUM_THREADS="+n, "RAYON_NUM_THREADS="+n,
		"OMP_NUM_THREADS="+n)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("measure peers with %s: %w\n%s", python, err, stderr.String())
	}
	var times map[string][]float64
	if err := json.Unmarshal(out, &times); err != nil {
		return nil, fmt.Errorf("measure peers with %s: %w", python, err)
	}
	medians := map[string]float64{}
	for name, list := range times {
		medians[name] = median(list)
	}
	return medians, nil
}
