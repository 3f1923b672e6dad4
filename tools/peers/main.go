// Command peers runs test suites that others wrote for their servers against ours.
//
//	go run ./tools/peers ollama|llama|store|build
//
// ollama: the integration tests of Ollama, from its Go module at a pinned version, with a small
// real model under a name of the store. They are built in the cache folder and run against
// bin/mullama, which must be built and have its native library. What they pull comes from a
// registry on this machine that stands in for Ollama's.
//
// llama: llama.cpp's tests of llama-server, from a Python package with the whole tree at the
// revision of our engine. The tests start servers; what they start is this program under the name
// llama-server, which starts the daemon with flags that mean the same.
//
// store: Ollama serves a store that bin/mullama has made, and the other way round; lists, models
// and the bytes of manifests must be the same.
//
// build: no tests. It builds llama-server and Ollama in the cache folder, to measure beside ours.
//
// The exit status is 0 when every test passed, was skipped by itself, or is in
// conformance/peers/SUITE.txt with the reason why it does not pass.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if filepath.Base(os.Args[0]) == wrapperName {
		fmt.Fprintln(os.Stderr, "peers:", runWrapper(os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// suites are the foreign test suites by name.
var suites = map[string]func(ctx context.Context, log io.Writer) ([]outcome, error){
	"ollama": runOllama,
	"llama":  runLlama,
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	switch {
	case len(args) == 1 && args[0] == "build":
		return fail(errOut, buildPeers(ctx, out, errOut))
	case len(args) == 1 && args[0] == "store":
		return fail(errOut, checkStores(ctx, out, errOut))
	case len(args) != 1 || suites[args[0]] == nil:
		fmt.Fprintln(errOut, "usage: go run ./tools/peers ollama|llama|store|build")
		return 2
	}
	return runSuite(ctx, args[0], out, errOut)
}

// fail reports an error, if there is one, and returns the exit status.
func fail(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(w, "peers:", err)
	return 1
}

func runSuite(ctx context.Context, name string, out, errOut io.Writer) int {
	reasons, err := readReasons("conformance/peers/" + name + ".txt")
	if err != nil {
		return fail(errOut, err)
	}
	outcomes, err := suites[name](ctx, errOut)
	if err != nil {
		return fail(errOut, err)
	}
	r := account(outcomes, reasons)
	r.print(out, name)
	if len(r.unexplained)+len(r.stale) > 0 {
		return 1
	}
	return 0
}
