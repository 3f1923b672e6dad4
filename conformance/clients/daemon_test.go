// Package clients drives the daemon with the official clients of other projects.
package clients

import (
	"fmt"
	"os"
	"testing"

	"github.com/mullama/mullama/internal/testdaemon"
	"github.com/mullama/mullama/internal/testmodels"
)

const (
	model = "smollm2"
	// keenerModel is for the tests that need an answer to be of use.
	keenerModel = "qwen05"
	embedModel  = "minilm-q8"
)

// shared is the daemon that all tests use, so that the model is imported and loaded once. It is nil
// until a test needs it.
var (
	shared   *testdaemon.Daemon
	imported = map[string]bool{}
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		if err := shared.End(); err != nil {
			fmt.Fprintf(os.Stderr, "%v; its log:\n%s", err, shared.Log())
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// serving gives the address of the daemon, which has these models.
func serving(t *testing.T, models ...string) (url string) {
	t.Helper()
	testdaemon.RequireLibrary(t)
	files := make(map[string]string)
	for _, name := range models {
		files[name] = testmodels.Path(t, name)
	}
	if shared == nil {
		d, err := testdaemon.New()
		if err != nil {
			t.Fatal(err)
		}
		shared = d
		if err := d.Serve(); err != nil {
			t.Fatal(err)
		}
	}
	for name, file := range files {
		if imported[name] {
			continue
		}
		if err := shared.Import(file, name); err != nil {
			t.Fatal(err)
		}
		imported[name] = true
	}
	return shared.URL()
}
