// Command nativebuild builds libmullama-native, which is llama.cpp behind our C++ facade.
//
// It works in two stages. The engine is llama.cpp as libraries: it depends only on the pin, the
// options, the compiler and the CPU, takes minutes, and is built once per machine. The facade is
// what native/ holds, linked with the engine: it takes seconds and ends as a folder lib-KEY, to
// which the link native/current of the cache folder points.
//
// Both are named by a hash of everything they depend on, so a finished build is recognised without
// running any build tool, and a half-built one is continued. One build runs at a time: a lock in
// the cache folder makes a second one wait.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// options are the command line and the environment, read once.
type options struct {
	repo     string   // root of this repository
	cache    string   // the folder native/ of the cache
	checkout string   // LLAMA_CPP_DIR, or empty for the pinned package
	backends []string // further ggml backends: cuda, vulkan, …
	cuda     string   // architectures of CUDA, as CMake wants them; empty: those of ggml
	jobs     int
	portable bool
	clean    bool
	printDir bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := mainErr(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "native: %v\n", err)
		os.Exit(1)
	}
}

func mainErr(ctx context.Context, args []string, out io.Writer) error {
	opts, err := readOptions(args)
	if err != nil {
		return err
	}
	if opts.clean {
		return cleanCache(ctx, opts.cache, out)
	}
	b, err := newBuilder(opts, out)
	if err != nil {
		return err
	}
	if opts.printDir {
		return b.printDir()
	}
	return b.run(ctx)
}

func readOptions(args []string) (options, error) {
	var opts options
	var backends string
	flags := flag.NewFlagSet("nativebuild", flag.ContinueOnError)
	flags.StringVar(&opts.repo, "repo", ".", "root of the Mullama repository")
	flags.BoolVar(&opts.portable, "portable", false,
		"build every CPU variant as a plug-in, for machines other than this one")
	flags.StringVar(&backends, "backends", "",
		"further backends, by comma: cuda, vulkan, hip; they are plug-ins, so with --portable")
	flags.StringVar(&opts.cuda, "cuda-archs", "",
		"CUDA architectures to build for, by comma, such as 90a (default: those of ggml)")
	flags.IntVar(&opts.jobs, "jobs", runtime.NumCPU(), "compilers to run at once")
	flags.BoolVar(&opts.clean, "clean", false, "remove all native builds from the cache, then stop")
	flags.BoolVar(&opts.printDir, "print-dir", false, "print the folder of the library, then stop")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q; see --help", flags.Arg(0))
	}
	if opts.jobs < 1 {
		return options{}, fmt.Errorf("--jobs %d: at least one compiler must run", opts.jobs)
	}
	return opts.resolve(backends)
}

// resolve fills in what comes from the environment and makes the paths absolute.
func (o options) resolve(backends string) (options, error) {
	var err error
	if o.backends, err = parseBackends(backends); err != nil {
		return options{}, err
	}
	// A build for this machine alone loads no plug-ins.
	o.portable = o.portable || len(o.backends) > 0
	if o.cuda != "" && !slices.Contains(o.backends, "cuda") {
		return options{}, errors.New("--cuda-archs is for --backends cuda")
	}
	if !cudaArchs.MatchString(o.cuda) {
		return options{}, fmt.Errorf("--cuda-archs %q: want numbers by comma, such as 80,90a",
			o.cuda)
	}
	o.cuda = strings.ReplaceAll(o.cuda, ",", ";")
	if o.repo, err = filepath.Abs(o.repo); err != nil {
		return options{}, err
	}
	if dir := os.Getenv("LLAMA_CPP_DIR"); dir != "" {
		if o.checkout, err = filepath.Abs(dir); err != nil {
			return options{}, err
		}
	}
	cache := os.Getenv("MULLAMA_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return options{}, fmt.Errorf("no cache folder (%w); set MULLAMA_CACHE to one", err)
		}
		cache = filepath.Join(base, "mullama")
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return options{}, err
	}
	o.cache = filepath.Join(cache, "native")
	return o, nil
}

// cudaArchs are such as "80,90a", or nothing.
var cudaArchs = regexp.MustCompile(`^([0-9]+[af]?(-real|-virtual)?(,|$))*$`)

// knownBackends are the ggml backends that can be asked for, with their CMake option.
var knownBackends = map[string]string{
	"cuda": "GGML_CUDA", "vulkan": "GGML_VULKAN", "hip": "GGML_HIP",
}

func parseBackends(list string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "" {
			continue
		}
		if knownBackends[name] == "" {
			return nil, fmt.Errorf("backend %q is unknown; known are cuda, vulkan, hip", name)
		}
		names = append(names, name)
	}
	return names, nil
}
