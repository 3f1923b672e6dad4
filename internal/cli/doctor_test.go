package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/config"
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

func TestDoctorSaysThatAGPUHasADriverAndNoPlugin(t *testing.T) {
	driver := filepath.Join(t.TempDir(), "version")
	cpu := mullama.Device{Name: "CPU", Kind: mullama.DeviceCPU}
	gpu := mullama.Device{Name: "CUDA0", Kind: mullama.DeviceGPU}
	cuda, rpc := mullama.Plugin{Name: "cuda"}, mullama.Plugin{Name: "rpc"}
	if got := examineDriver(driver, []mullama.Device{cpu}, nil); got != nil {
		t.Errorf("without a driver: %+v", got)
	}
	if err := os.WriteFile(driver, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := examineDriver(driver, []mullama.Device{cpu}, []mullama.Plugin{rpc})
	if len(got) != 1 || got[0].State != stateUnused || got[0].Fix != "make native BACKENDS=cuda" {
		t.Errorf("with a driver: %+v", got)
	}
	for _, got := range [][]finding{
		examineDriver(driver, []mullama.Device{gpu, cpu}, nil),
		examineDriver(driver, []mullama.Device{cpu}, []mullama.Plugin{cuda}),
	} {
		if got != nil {
			t.Errorf("with a GPU or a plug-in: %+v", got)
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

// examined are the findings of a section.
func examined(t *testing.T, a *app, title string) []finding {
	t.Helper()
	for _, s := range a.examine().Sections {
		if s.Title == title {
			return s.Findings
		}
	}
	t.Fatalf("there is no section %s", title)
	return nil
}

func TestDoctorReadsTheConfigurationFile(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "config.yaml")
	for _, tt := range []struct{ text, state, want string }{
		{"host: 127.0.0.1:2\nmodels: " + folder + "\n", stateOK, file},
		{"hosts: x\n", stateWrong, ":1:1: there is no setting"},
		{"max_queue: many\n", stateWrong, "max_queue"},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, _, _ := testApp(newFake(), "")
		a.getenv = func(name string) string {
			return map[string]string{configVariable: file, "MULLAMA_NOSTART": "1"}[name]
		}
		f := examined(t, a, "Settings")[0]
		if f.State != tt.state || !strings.Contains(f.Detail, tt.want) ||
			(f.Fix == "") != (tt.state == stateOK) {
			t.Errorf("%s: %+v", tt.text, f)
		}
		if tt.state != stateOK {
			continue
		}
		if f := examined(t, a, "Daemon")[0]; !strings.Contains(f.Detail, "127.0.0.1:2") {
			t.Errorf("the daemon is looked for elsewhere: %+v", f)
		}
		if f := examined(t, a, "Models")[0]; !strings.Contains(f.Detail, folder+", 0 models") {
			t.Errorf("the store is looked for elsewhere: %+v", f)
		}
	}
}

func TestDoctorAsksTheDaemon(t *testing.T) {
	for _, tt := range []struct {
		version any
		status  int
		state   string
		want    string
	}{
		{map[string]string{"version": mullama.Version()}, 0, stateOK, "runs at"},
		{map[string]string{"version": "0.0.1"}, 0, stateUnused, "version 0.0.1"},
		{nil, 404, stateWrong, "no daemon for models"},
		{nil, 401, stateWrong, ""},
	} {
		server := httptest.NewServer(&fakeDaemon{
			answers: map[string]any{"/api/version": tt.version},
			status:  map[string]int{"/api/version": tt.status}})
		a, _, _ := testApp(newFake(), "")
		a.env.host = server.Listener.Addr().String()
		f := examined(t, a, "Daemon")[0]
		server.Close()
		if f.State != tt.state || !strings.Contains(f.Detail, tt.want) ||
			(f.Fix == "") != (tt.state == stateOK) {
			t.Errorf("%v, %d: %+v", tt.version, tt.status, f)
		}
	}
}

func TestDoctorLooksAtTheModelStore(t *testing.T) {
	a, _, _ := testApp(newFake(), "")
	a.env.config.values = map[string]config.Value{
		"models": {Texts: []string{filepath.Join(t.TempDir(), "none")}}}
	if f := examined(t, a, "Models"); len(f) != 2 || f[0].State != stateOK ||
		!strings.Contains(f[0].Detail, "not there yet") || !strings.Contains(f[1].Detail, "free") {
		t.Errorf("without a store: %+v", f)
	}
}
