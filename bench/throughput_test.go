package bench

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

// runCommand runs the program's command line and returns what it printed.
func runCommand(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, messages bytes.Buffer
	root := testRootCommand()
	root.SetOut(&out)
	root.SetErr(&messages)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), messages.String(), err
}

func TestThroughputOfARealModelComparesEqualWork(t *testing.T) {
	path := testmodels.Path(t, "smollm2")
	t.Setenv(fakeSide, "real") // this test binary is our side
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	file := filepath.Join(t.TempDir(), "result.json")
	// One thread: several wait for each other spinning, which takes minutes beside other tests.
	stdout, stderr, err := runCommand(t, "bench", "throughput", "--model", path, "--quick",
		"--rounds", "1", "--patience", "0s", "--prompt-tokens", "32", "--generate-tokens", "12",
		"--context", "256", "--max-foreign", "1", "--threads", "1", "--json", file)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	if !strings.Contains(stdout, "tg12 (tokens/s)") || !strings.Contains(stderr, "1 of 1 quiet") {
		t.Errorf("printed\n%s\nand said\n%s", stdout, stderr)
	}
	r := readResult(t, file)
	if !r.SameText {
		t.Error("the program and libllama generated different tokens")
	}
	for _, row := range r.Rows {
		if row.Value <= 0 {
			t.Errorf("%s is %v", row.Name, row.Value)
		}
	}
	if ours, base := r.Rounds[0].Ours.Header, r.Rounds[0].Baseline.Header; ours.Context !=
		base.Context || ours.Threads != base.Threads {
		t.Errorf("unequal terms: %+v and %+v", ours, base)
	}
}

func TestJSONOnStandardOutputIsAlone(t *testing.T) {
	var out bytes.Buffer
	o := options{json: "-"}
	if err := o.write(&out, testResult()); err != nil {
		t.Fatal(err)
	}
	if err := validate(t, out.Bytes()); err != nil {
		t.Error(err)
	}
}

func TestAMissingModelIsNotFound(t *testing.T) {
	_, _, err := runCommand(t, "bench", "throughput", "--model", "no-such.gguf")
	if !errors.Is(err, mullama.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func TestWrongNumbersAreRefused(t *testing.T) {
	for flag, want := range map[string]string{
		"--rounds=0":    "at least 1, not 0",
		"--threads=-1":  "at least 1, not -1",
		"--context=300": "raise --context",
	} {
		_, _, err := runCommand(t, "bench", "throughput", "--model", "m.gguf", flag)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", flag, err, want)
		}
	}
}

func TestAMissingBaselineProgramSaysWhatToDo(t *testing.T) {
	_, err := oracleProgram(filepath.Join(t.TempDir(), oracleName), "")
	if err == nil || !strings.Contains(err.Error(), "run 'make native'") {
		t.Errorf("error is %v", err)
	}
}

func TestCommandLineNamesNoFolder(t *testing.T) {
	for _, tt := range []struct {
		group, want string
		flags       []string
	}{
		{"throughput", `mullama bench throughput --model m.gguf --rounds=5 --text "To be"`,
			[]string{"--rounds", "5", "--text", "To be"}},
		{"embedding", "mullama bench embedding --model m.gguf",
			[]string{"--python", "/c/python", "--torch", "/d/python"}},
		{"maxsim", "mullama bench maxsim --model m.gguf",
			[]string{"--python", "/c/python", "--torch", "/d/python", "--gpu-python", "/e/python"}},
		{"store", "mullama bench store --model m.gguf --quantize=m.gguf",
			[]string{"--quantize", "/a/m.gguf", "--llama-quantize", "/c/llama-quantize"}},
		{"draft", "mullama bench draft --model m.gguf --draft=s.gguf",
			[]string{"--draft", "/a/s.gguf"}},
	} {
		cmd, _, err := testRootCommand().Find([]string{"bench", tt.group})
		if err != nil {
			t.Fatal(err)
		}
		flags := append(tt.flags, "--json", "/b/r.json")
		if cmd.Flags().Lookup("model") != nil {
			flags = append(flags, "--model", "/a/m.gguf")
		}
		if err := cmd.ParseFlags(flags); err != nil {
			t.Fatal(err)
		}
		if got := commandLine(cmd, "m.gguf"); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}
