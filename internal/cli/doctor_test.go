package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

func TestVersion(t *testing.T) {
	want := fmt.Sprintf(
		"mullama  %s\nengine   llama.cpp b1\nlibrary  /lib/libmullama-native.so\n",
		mullama.Version(),
	)
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if got := run(newFake(), "", args...); got != (outcome{0, want, ""}) {
			t.Errorf("%v: got %+v", args, got)
		}
	}
	fake := newFake()
	fake.openErr = mullama.ErrLibraryMissing
	got := run(fake, "", "version")
	if got.code != 0 || !strings.Contains(got.out, mullama.Version()) ||
		!strings.Contains(got.out, "not found") {
		t.Errorf("without the library: %+v", got)
	}
	got = run(fake, "", "version", "--json")
	if got.out != fmt.Sprintf(`{"version":%q,"engine":"","library":""}`+"\n", mullama.Version()) {
		t.Errorf("as JSON: %+v", got)
	}
	if got := run(fake, "", "version", "x"); got.code != exitUsage {
		t.Errorf("with an argument: %+v", got)
	}
}

func TestDoctor(t *testing.T) {
	got := run(newFake(), "", "doctor")
	for _, want := range []string{
		"/lib/libmullama-native.so", "llama.cpp b1", "A Processor, 4.00 GB of 8.00 GB free",
		"cmake", "cargo",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in\n%s", want, got.out)
		}
	}
	if got.code != 0 || got.err != "" {
		t.Errorf("code %d, err %q", got.code, got.err)
	}
}

func TestDoctorSaysWhyAPluginOffersNoDevice(t *testing.T) {
	fake := newFake()
	const problem = "the CUDA plug-in was found but no NVIDIA driver answers: no libcuda.so.1"
	fake.plugins = []mullama.Plugin{{Name: "cuda", Problem: problem}, {Name: "rpc"},
		{Name: "vulkan", Devices: 2}}
	got := run(fake, "", "doctor")
	if got.code != 0 {
		t.Errorf("code %d for a GPU that is missing", got.code)
	}
	words := strings.Join(strings.Fields(got.out), " ")
	for _, want := range []string{"cuda plug-in unused " + problem, "rpc plug-in ok no devices",
		"vulkan plug-in ok 2 devices", "To do cuda plug-in install the driver"} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in\n%s", want, got.out)
		}
	}
}

func TestDoctorSaysHowToMendAMissingLibrary(t *testing.T) {
	fake := newFake()
	fake.openErr = &mullama.Error{
		Kind: mullama.ErrLibraryMissing, Op: "open the engine", Hint: "make native",
		Err: errors.New("the native library is not there"),
	}
	got := run(fake, "", "doctor")
	if got.code != exitFailed || !strings.Contains(got.out, "the native library is not there") ||
		!strings.Contains(got.out, "make native") || got.err != "" {
		t.Errorf("got %+v", got)
	}
	got = run(fake, "", "doctor", "--json")
	var report doctorReport
	if err := json.Unmarshal(
		[]byte(got.out),
		&report,
	); err != nil || report.OK ||
		got.code != exitFailed {
		t.Errorf("as JSON: %+v, %v", got, err)
	}
}

func TestDoctorNamesMissingTools(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, tt := range []struct {
		needed bool
		state  string
	}{{true, stateMissing}, {false, stateAbsent}} {
		for _, f := range examineTools("", tt.needed) {
			if f.State != tt.state || f.Fix == "" {
				t.Errorf("needed %v: %+v", tt.needed, f)
			}
		}
	}
}

func TestDoctorCountsTheCache(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "models", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(
		filepath.Join(dir, "models", "deep", "x"),
		make([]byte, 1500),
		0o644,
	); err != nil {
		t.Fatal(err)
	}
	got := examineCache(dir)
	want := []finding{{"folder", stateOK, dir, ""}, {"models", stateOK, "1.5 kB", ""}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := examineCache(
		filepath.Join(dir, "no"),
	); !strings.Contains(
		got[0].Detail,
		"not there yet",
	) {
		t.Errorf("got %+v", got)
	}
}
