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
	got := nvidiaConditions("0, NVIDIA H200, 570.1, Enabled, 345, 1980\n" +
		"1, NVIDIA RTX 4090, 560.2, Disabled, 210, 3105\nno such line\n")
	if len(got) != 2 || got[0].Wants != "" ||
		got[0].Is != "NVIDIA H200, driver 570.1, clock 345 of 1980 MHz, persistence mode enabled" {
		t.Fatalf("conditions are %+v", got)
	}
	if fix := got[1].Fix; !strings.HasSuffix(fix, "--lock-gpu-clocks=3105") {
		t.Errorf("the fix is %q", fix)
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
