package bench

import (
	"bufio"
	"bytes"
	"context"
	"io/fs"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mullama/mullama"
)

// Machine describes the computer, as far as speed depends on it. What the system does not tell is
// empty or zero.
type Machine struct {
	OS          string   `json:"os"`
	Arch        string   `json:"arch"`
	CPU         string   `json:"cpu"`
	Features    []string `json:"features"` // instruction sets that matter to the kernels
	Virtual     bool     `json:"virtual"`  // runs under a hypervisor
	Cores       int      `json:"cores"`
	MemoryBytes int64    `json:"memory_bytes"`
	Kernel      string   `json:"kernel"`
	Governor    string   `json:"governor"`
	GPUs        []GPU    `json:"gpus,omitempty"`   // that the engine can use
	Driver      string   `json:"driver,omitempty"` // of NVIDIA's GPUs
}

// GPU is a device beside the CPU.
type GPU struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	MemoryBytes uint64 `json:"memory_bytes"`
}

// gpusOf returns the devices beside the CPU.
func gpusOf(devices []mullama.Device) []GPU {
	var gpus []GPU
	for _, d := range devices {
		if d.Kind != mullama.DeviceCPU {
			gpus = append(gpus, GPU{d.Name, d.Description, d.MemoryTotal})
		}
	}
	return gpus
}

// readGPUs opens the native library of a folder, or the one that is found, for [gpusOf].
func readGPUs(library string) ([]GPU, error) {
	runtime, err := mullama.Open(mullama.Options{LibraryDir: library})
	if err != nil {
		return nil, err
	}
	return gpusOf(runtime.Devices()), runtime.Close()
}

// features are the CPU flags llama.cpp has kernels for, as Linux spells them.
var features = []string{
	"avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
	"avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
	"asimd", "asimddp", "i8mm", "sve", "sve2", "sme",
}

// readMachine describes the machine whose root file system is root.
func readMachine(root fs.FS) Machine {
	m := Machine{
		OS:          runtime.GOOS,
		Arch:        runtime.GOARCH,
		Cores:       runtime.NumCPU(),
		Features:    []string{},
		MemoryBytes: 1024 * fieldKB(read(root, "proc/meminfo"), "MemTotal"),
		Kernel:      strings.TrimSpace(string(read(root, "proc/sys/kernel/osrelease"))),
		Governor: strings.TrimSpace(
			string(read(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))),
	}
	m.Driver = driverVersion(string(read(root, "proc/driver/nvidia/version")))
	cpuinfo := read(root, "proc/cpuinfo")
	m.CPU = field(cpuinfo, "model name")
	flags := strings.Fields(field(cpuinfo, "flags") + " " + field(cpuinfo, "Features"))
	m.Virtual = slices.Contains(flags, "hypervisor")
	for _, f := range features {
		if slices.Contains(flags, f) {
			m.Features = append(m.Features, f)
		}
	}
	return m
}

var driverNumber = regexp.MustCompile(`^NVRM version:.*?\s(\d+\.[\d.]+)\s`)

// driverVersion reads the first line of what NVIDIA's driver says of itself; "" for none.
func driverVersion(text string) string {
	if found := driverNumber.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// read returns a file's contents, or nothing: systems other than Linux have none of these files.
func read(root fs.FS, name string) []byte {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return nil
	}
	return data
}

// field returns what follows "name :" on the first such line.
func field(data []byte, name string) string {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, value, found := strings.Cut(lines.Text(), ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fieldKB returns the number of a line "name: 123 kB".
func fieldKB(data []byte, name string) int64 {
	number, _, _ := strings.Cut(field(data, name), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// loadAverage returns how many threads wanted to run over the last minute.
func loadAverage(root fs.FS) float64 {
	first, _, _ := strings.Cut(string(read(root, "proc/loadavg")), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return load
}

// ticksPerSecond is the unit of /proc/stat, which Linux fixes for user space.
const ticksPerSecond = 100

// busySeconds returns the CPU seconds the whole machine has spent working since it started, with
// the time a hypervisor took away.
func busySeconds(root fs.FS) float64 {
	line, _, _ := bytes.Cut(read(root, "proc/stat"), []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0
	}
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7, 8} { // user nice system irq softirq steal
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return float64(ticks) / ticksPerSecond
}

// mostForeign is the share of the CPUs that other programs may use while something is measured.
const mostForeign = 0.05

// foreignShare watches the machine for a moment in which this program does nothing, and returns the
// share of the CPUs that others use.
func foreignShare(ctx context.Context, root fs.FS) float64 {
	start, busy := time.Now(), busySeconds(root)
	select {
	case <-ctx.Done():
	case <-time.After(200 * time.Millisecond):
	}
	all := time.Since(start).Seconds() * float64(runtime.NumCPU())
	return min(1, (busySeconds(root)-busy)/all) // ticks are whole
}

// ownMemory returns this process's memory.
func ownMemory(root fs.FS) Memory {
	status := read(root, "proc/self/status")
	return Memory{
		RSS:       fieldKB(status, "VmRSS"),
		Peak:      fieldKB(status, "VmHWM"),
		Anonymous: fieldKB(status, "RssAnon"),
		File:      fieldKB(status, "RssFile"),
	}
}
