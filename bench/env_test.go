package bench

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestConditionsSayWhatToSet(t *testing.T) {
	root := testRoot()
	root["sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"].Data = []byte("powersave\n")
	root["sys/devices/system/cpu/cpufreq/boost"] = &fstest.MapFile{Data: []byte("1\n")}
	m := readMachine(root)
	for _, c := range []struct {
		condition
		is, fix string
	}{
		{governor(m), "powersave", "sudo cpupower frequency-set -g performance"},
		{turbo(root), "on", "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"},
		{virtual(m), "yes", ""},
	} {
		if c.Is != c.is || c.Fix != c.fix || c.Wants == "" {
			t.Errorf("%+v, want %q and %q", c.condition, c.is, c.fix)
		}
	}
}

func TestAMachineThatIsSetWantsNothing(t *testing.T) {
	root := testRoot()
	root["sys/devices/system/cpu/intel_pstate/no_turbo"] = &fstest.MapFile{Data: []byte("1\n")}
	all := []condition{governor(readMachine(root)), turbo(root)}
	var out strings.Builder
	if err := printConditions(&out, all); err != nil {
		t.Fatal(err)
	}
	want := "governor  performance\nturbo     off\n\nNothing stands in the way of a measurement" +
		" that others are to repeat.\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	if c := turbo(testRoot()); c.Is != "not known" || c.Wants != "" {
		t.Errorf("turbo of a machine that does not tell is %+v", c)
	}
}

func TestClocksOfGPUsAreRead(t *testing.T) {
	got := nvidiaConditions("0, NVIDIA H200, 570.1, Enabled, 345, 1980, 0, 512\n" +
		"1, NVIDIA RTX 4090, 560.2, Disabled, 210, 3105, 97, 20000\nno such line\n")
	if len(got) != 2 || got[0].Wants != "" || got[0].Is != "NVIDIA H200, driver 570.1, clock 345 "+
		"of 1980 MHz, persistence mode enabled, 0 % used, 512 MiB taken" {
		t.Fatalf("conditions are %+v", got)
	}
	want := "persistence mode, and a fixed clock, and no other program on it"
	if got[1].Wants != want {
		t.Errorf("a busy GPU wants %q, not %q", got[1].Wants, want)
	}
	if fix := got[1].Fix; !strings.HasSuffix(fix, "--lock-gpu-clocks=3105") {
		t.Errorf("the fix is %q", fix)
	}
}

func TestTheClockOfTheProcessorIsRead(t *testing.T) {
	root := testRoot()
	if c := clock(root); c.Is != "not known" {
		t.Errorf("a machine that does not tell: %+v", c)
	}
	root["proc/cpuinfo"].Data = []byte("cpu MHz\t\t: 2596.140\n")
	if c := clock(root); c.Is != "2596 MHz" {
		t.Errorf("of cpuinfo: %+v", c)
	}
	const where = "sys/devices/system/cpu/cpu0/cpufreq/"
	root[where+"scaling_cur_freq"] = &fstest.MapFile{Data: []byte("1200000\n")}
	root[where+"cpuinfo_max_freq"] = &fstest.MapFile{Data: []byte("3700000\n")}
	if c := clock(root); c.Is != "1200 of 3700 MHz" {
		t.Errorf("of cpufreq: %+v", c)
	}
}

func TestEnvPrintsTheEngine(t *testing.T) {
	out, _, err := runCommand(t, "bench", "env")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"processor ", "llama.cpp ", "other programs "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}
