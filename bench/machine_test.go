package bench

import (
	"slices"
	"testing"
	"testing/fstest"
)

func testRoot() fstest.MapFS {
	root := fstest.MapFS{}
	for name, data := range map[string]string{
		"proc/cpuinfo": "processor\t: 0\nmodel name\t: Fast CPU\n" +
			"flags\t\t: fpu hypervisor avx2 amx_int8 sse\n\nprocessor\t: 1\nmodel name\t: Other\n",
		"proc/meminfo":              "MemTotal:       2048 kB\nMemFree:  1 kB\n",
		"proc/sys/kernel/osrelease": "6.1.0\n",
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
		"proc/loadavg": "0.75 0.50 0.25 1/90 100\n",
		"proc/stat":    "cpu  100 20 30 5000 60 7 8 35 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n",
		"proc/self/status": "VmPeak: 9 kB\nVmHWM:\t 30 kB\nVmRSS:\t 20 kB\n" +
			"RssAnon: 15 kB\nRssFile: 5 kB\n",
	} {
		root[name] = &fstest.MapFile{Data: []byte(data)}
	}
	return root
}

func TestTheDriverOfAGPUIsRead(t *testing.T) {
	const closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\nGCC\n"
	const open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release"
	for text, want := range map[string]string{closed: "550.54.15", open: "580.95.05", "": ""} {
		if got := driverVersion(text); got != want {
			t.Errorf("%.40q has the driver %q, want %q", text, got, want)
		}
	}
}

func TestMachineIsReadFromProc(t *testing.T) {
	m := readMachine(testRoot())
	if m.CPU != "Fast CPU" || !m.Virtual || m.MemoryBytes != 2048*1024 || m.Kernel != "6.1.0" ||
		m.Governor != "performance" || m.Cores < 1 {
		t.Errorf("machine is %+v", m)
	}
	if want := []string{"avx2", "amx_int8"}; !slices.Equal(m.Features, want) {
		t.Errorf("features %v, want %v", m.Features, want)
	}
}

func TestMachineWithoutProcIsEmpty(t *testing.T) {
	root := fstest.MapFS{}
	m := readMachine(root)
	if m.CPU != "" || m.MemoryBytes != 0 || m.OS == "" || m.Features == nil {
		t.Errorf("machine is %+v", m)
	}
	if busySeconds(root) != 0 || loadAverage(root) != 0 || ownMemory(root) != (Memory{}) {
		t.Error("numbers came from nowhere")
	}
}

func TestLoadAndBusyTime(t *testing.T) {
	if got := loadAverage(testRoot()); got != 0.75 {
		t.Errorf("load average %v, want 0.75", got)
	}
	if got, want := busySeconds(testRoot()), 2.0; got != want { // idle and I/O wait do not count
		t.Errorf("busy for %v s, want %v", got, want)
	}
}

func TestOwnMemoryIsReadFromStatus(t *testing.T) {
	want := Memory{RSS: 20, Peak: 30, Anonymous: 15, File: 5}
	if got := ownMemory(testRoot()); got != want {
		t.Errorf("memory %+v, want %+v", got, want)
	}
}
