package mullama_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

// smolLM2 is the path of SmolLM2-135M-Instruct, the model of the examples.
var smolLM2 string

func TestMain(m *testing.M) {
	if os.Getenv(writerVariable) != "" {
		os.Exit(writer())
	}
	flag.Parse()
	if reason := findExampleModel(); reason != "" && os.Getenv(testmodels.RequireEnv) != "1" {
		fmt.Fprintln(os.Stderr, "the examples are skipped:", reason)
		skip := flag.Lookup("test.skip").Value.String()
		if skip != "" {
			skip += "|"
		}
		if err := flag.Set("test.skip", skip+"^Example"); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if err := endDaemon(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// findExampleModel says what the examples lack, or "".
func findExampleModel() string {
	rt, err := mullama.Open(mullama.Options{})
	if err != nil {
		return err.Error()
	}
	rt.Close()
	dir, err := testmodels.Dir()
	if err != nil {
		return err.Error()
	}
	set, ok := testmodels.Find("smollm2")
	if !ok || !set.Complete(dir) {
		return "they need SmolLM2; go run ./tools/fetchmodels smollm2 fetches it"
	}
	smolLM2 = set.Path(dir)
	return ""
}
