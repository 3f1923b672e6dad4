package bench

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mullama/mullama"
)

//go:embed callers/gpuscores.py
var gpuPeers string

// A device searches indexes of these kinds, and for so many queries in one call.
var (
	maxsimDeviceKinds   = []mullama.VectorKind{mullama.VectorsF32, mullama.VectorsF16}
	maxsimDeviceQueries = []int{1, 16}
)

// onDevice is in the cases that a device computed.
const onDevice = " on "

// checkDevice returns the device if it is a GPU, and refuses one that this machine does not have,
// before there are indexes.
func (m *maxsimMeter) checkDevice() ([]GPU, error) {
	if m.o.device == "" {
		return nil, nil
	}
	rt, err := mullama.Open(mullama.Options{LibraryDir: m.o.library})
	if err != nil {
		return nil, err
	}
	defer func() { _ = rt.Close() }()
	var names []string
	for i, d := range rt.Devices() {
		if d.Name == m.o.device {
			return gpusOf(rt.Devices()[i : i+1]), nil
		}
		names = append(names, d.Name)
	}
	return nil, fmt.Errorf("no device named %s; this machine has %s", m.o.device,
		strings.Join(names, ", "))
}

// deviceCase names what so many queries in one call are.
func deviceCase(who, device string, docs, queries int) string {
	noun := "queries"
	if queries == 1 {
		noun = "query"
	}
	return fmt.Sprintf("%s%s%s, %d documents, %d %s", who, onDevice, device, docs, queries, noun)
}

// deviceRound measures the device, and its peers.
func (m *maxsimMeter) deviceRound(ctx context.Context, round, docs int) error {
	copied, err := m.bandwidth(ctx, docs)
	if err != nil {
		return err
	}
	for _, kind := range maxsimDeviceKinds {
		if err := m.searchDevice(ctx, kind, round, docs, copied); err != nil {
			return err
		}
	}
	if m.o.gpuPython == "" {
		return nil
	}
	peers, err := m.peers(ctx, m.o.gpuPython, gpuPeers, docs, slices.Max(m.o.threads))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(peers)) {
		who, queries, _ := strings.Cut(name, " ")
		n, err := strconv.Atoi(queries)
		if err != nil {
			return fmt.Errorf("measure peers with %s: a case is named %q", m.o.gpuPython, name)
		}
		m.points = append(m.points, Point{Round: round, Case: deviceCase(who+" f16", m.o.device,
			docs, n), Values: map[string]float64{"search_ms": peers[name],
			"a_query_ms": peers[name] / float64(n)}})
	}
	return nil
}

// searchDevice searches with one query, and with many.
func (m *maxsimMeter) searchDevice(ctx context.Context, kind mullama.VectorKind, round, docs int,
	copied float64) error {
	start := time.Now()
	x, err := mullama.OpenIndex(m.path(kind), mullama.IndexOptions{
		Threads: slices.Max(m.o.threads), Device: m.o.device, LibraryDir: m.o.library})
	if err != nil {
		return err
	}
	defer func() { _ = x.Close() }()
	upload := time.Since(start)
	info, err := x.Info()
	if err != nil {
		return err
	}
	macs := float64(info.Tokens) * maxsimQueryTokens * maxsimDim
	for _, n := range maxsimDeviceQueries {
		times, warm, err := m.timeSearches(ctx, x, n)
		if err != nil {
			return err
		}
		first, times := times[0], times[warm:]
		ms := median(times)
		read := float64(info.DeviceBytes) / 1e6
		values := map[string]float64{"search_ms": ms, "a_query_ms": ms / float64(n),
			"first_ms": first, "gbs": read / ms, "bandwidth_gbs": copied, "device_mb": read,
			"of_bandwidth_percent": 100 * read / slices.Min(times) / copied,
			"gmacs":                macs * float64(n) / ms / 1e6,
		}
		if n == 1 {
			values["upload_s"] = upload.Seconds()
		}
		m.points = append(m.points, Point{Round: round, Values: values,
			Case: deviceCase(kind.String(), m.o.device, docs, n)})
	}
	return nil
}

// bandwidth is how many gigabytes a second the device reads and writes when it copies its memory.
func (m *maxsimMeter) bandwidth(ctx context.Context, docs int) (float64, error) {
	size := min(max(2*docs*maxsimTokens*maxsimDim*2, 64<<20), 4<<30)
	out, err := exec.CommandContext(ctx, m.oracle, "device-limits", m.o.device,
		"bytes="+strconv.Itoa(size)).Output()
	if err != nil {
		return 0, fmt.Errorf("measure the memory of %s with %s: %w", m.o.device,
			filepath.Base(m.oracle), err)
	}
	var limits struct {
		Copy float64 `json:"copy_gbs"`
	}
	if err := json.Unmarshal(out, &limits); err != nil {
		return 0, fmt.Errorf("measure the memory of %s: %w", m.o.device, err)
	}
	return limits.Copy, nil
}
