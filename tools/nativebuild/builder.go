package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// builder holds what one build needs: where it stands in the cache and what to run.
type builder struct {
	opts   options
	tools  toolchain
	source source
	out    io.Writer
	live   bool // out is a terminal

	native string // folder of the facade's sources
	engine string // engine-KEY: llama.cpp's build
	facade string // facade-KEY: the build folder of this checkout's facade on that engine
	lib    string // lib-KEY: the finished library
}

func newBuilder(opts options, out io.Writer) (*builder, error) {
	b := &builder{opts: opts, out: out, live: isTerminal(out),
		native: filepath.Join(opts.repo, "native")}
	var err error
	if b.source, err = findSource(opts.checkout, b.native); err != nil {
		return nil, err
	}
	if b.tools, err = findTools(opts.checkout == ""); err != nil {
		return nil, fmt.Errorf("the build needs tools that are not there\n%w", err)
	}
	return b, b.nameFolders()
}

// nameFolders computes the keys, and with them the folders in the cache.
func (b *builder) nameFolders() error {
	recipe, err := readRecipe(b.native, b.opts.backends)
	if err != nil {
		return err
	}
	in := engineInputs{
		Pin:       b.source.pin,
		Portable:  b.opts.portable,
		Backends:  b.opts.backends,
		CUDA:      b.opts.cuda,
		Compilers: b.tools.compilerVersions(),
		Flags:     environment(),
		Recipe:    shortHash(recipe),
	}
	if !in.Portable {
		in.CPU = cpuIdentity()
	}
	engineKey := in.key()
	libKey, err := facadeKey(engineKey, b.native)
	if err != nil {
		return err
	}
	b.engine = filepath.Join(b.opts.cache, "engine-"+engineKey)
	b.lib = filepath.Join(b.opts.cache, "lib-"+libKey)
	// One build folder per checkout and engine, so that an edited file is all that is compiled.
	b.facade = filepath.Join(b.opts.cache, "facade-"+shortHash([]byte(engineKey+" "+b.native)))
	return nil
}

func (b *builder) printDir() error {
	if !b.finished() {
		return fmt.Errorf("the library is not built, or its sources have changed; run: make native")
	}
	_, err := fmt.Fprintln(b.out, filepath.Join(b.lib, "lib"))
	return err
}

func (b *builder) finished() bool {
	_, err := os.Stat(b.lib)
	return err == nil
}

// run builds what is missing and points current at the result.
func (b *builder) run(ctx context.Context) error {
	unlock, err := lockCache(ctx, b.opts.cache, b.out)
	if err != nil {
		return err
	}
	defer unlock()
	if err := b.nameFolders(); err != nil { // the wait may have been long
		return err
	}
	started := time.Now()
	built := false
	if !b.finished() || b.source.editable {
		if err := b.build(ctx); err != nil {
			return err
		}
		built = true
	}
	if err := b.publish(); err != nil {
		return err
	}
	if built {
		fmt.Fprintf(b.out, "native: built in %s: %s\n",
			seconds(time.Since(started)), filepath.Join(b.lib, "lib"))
		return nil
	}
	fmt.Fprintf(b.out, "native: up to date: %s\n", filepath.Join(b.lib, "lib"))
	return nil
}

func (b *builder) build(ctx context.Context) error {
	dir, err := b.source.dir(ctx, b.tools.cargo, b.native)
	if err != nil {
		return err
	}
	for range 3 {
		if err := b.buildEngine(ctx, dir); err != nil {
			return err
		}
		if err := b.buildFacade(ctx, dir); err != nil {
			return err
		}
		// The library must be what its name says, also when a file was saved while it was built.
		named := b.lib
		if err := b.nameFolders(); err != nil {
			return err
		}
		if b.lib == named {
			return b.install()
		}
	}
	return errors.New("the sources change faster than they are built")
}

// stamp is the file in an engine folder that says its build is whole.
const stamp = "complete"

func (b *builder) buildEngine(ctx context.Context, llama string) error {
	if isFile(b.engine, stamp) && !b.source.editable {
		return nil
	}
	fmt.Fprintf(b.out, "native: building llama.cpp from %s, once per machine; "+
		"this takes about 9 CPU minutes\n", b.source.label)
	source := filepath.Join(b.engine, "src")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return err
	}
	for _, name := range recipeFor(b.opts.backends) {
		err := copyFile(filepath.Join(source, name), filepath.Join(b.native, "engine", name))
		if err != nil {
			return err
		}
	}
	defines := []string{"LLAMA_CPP_DIR=" + llama, "MULLAMA_PORTABLE=" + onOff(b.opts.portable)}
	for _, name := range b.opts.backends {
		defines = append(defines, knownBackends[name]+"=ON")
	}
	if slices.Contains(b.opts.backends, "vulkan") {
		defines = append(defines, "CMAKE_PROJECT_mullama_engine_INCLUDE="+
			filepath.Join(source, "vulkan.cmake"))
	}
	if b.opts.cuda != "" {
		defines = append(defines, "CMAKE_CUDA_ARCHITECTURES="+b.opts.cuda)
	}
	err := b.runStage(ctx, stage{
		label: "llama.cpp", source: source, build: filepath.Join(b.engine, "build"),
		log: filepath.Join(b.engine, "build.log"), defines: defines, target: "engine",
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.engine, stamp), []byte(b.source.label+"\n"), 0o644)
}

func (b *builder) buildFacade(ctx context.Context, llama string) error {
	engineBuild := filepath.Join(b.engine, "build")
	return b.runStage(ctx, stage{
		label: "facade", source: b.native, build: filepath.Join(b.facade, "build"),
		log: filepath.Join(b.facade, "build.log"),
		defines: []string{
			"LLAMA_CPP_DIR=" + llama, "MULLAMA_ENGINE_DIR=" + engineBuild,
			"MULLAMA_PORTABLE=" + onOff(b.opts.portable), "MULLAMA_ENGINE_PIN=" + b.source.label,
		},
	})
}

// install copies the results into the library's folder. With plug-ins, ggml and its backends are
// shared libraries that must stand beside ours.
func (b *builder) install() error {
	lib := filepath.Join(b.facade, "build", "lib")
	if found, _ := filepath.Glob(filepath.Join(lib, "libmullama-native.*")); len(found) == 0 {
		return fmt.Errorf("the facade's build left no libmullama-native in %s", lib)
	}
	return installFiles(b.lib, filepath.Join(b.engine, "build", "lib"), lib)
}

// publish points current at the library, marks it as used and drops old ones.
func (b *builder) publish() error {
	now := time.Now()
	for _, dir := range []string{b.lib, b.facade, b.engine} {
		if err := os.Chtimes(dir, now, now); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := pointCurrent(b.opts.cache, filepath.Base(b.lib)); err != nil {
		return err
	}
	return errors.Join(
		prune(b.opts.cache, "lib-", filepath.Base(b.lib)),
		prune(b.opts.cache, "facade-", filepath.Base(b.facade)),
		prune(b.opts.cache, "engine-", filepath.Base(b.engine)))
}

func onOff(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
