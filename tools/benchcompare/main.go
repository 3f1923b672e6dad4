// Command benchcompare says what a change did to speed: it builds a commit and the one that is
// checked out, in folders outside the checkout, and has both run the same benchmarks in turn.
//
//	go run ./tools/benchcompare [-rounds N] [-only REGEXP] [-model FILE] REF
//
// The benchmarks are the Go ones of all packages, and `bench throughput --quick` if there is a
// model. In each round the two take turns, the other one first the next time, so that a machine
// that changes its speed changes that of both. benchstat compares the medians, and says which
// differences are more than chance. What is not committed takes no part.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// benchstat compares files of the form that `go test -bench` prints.
const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// options are the command line.
type options struct {
	ref    string
	rounds int
	only   string // Go benchmarks whose names match
	model  string // "": no throughput
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "benchcompare: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := readOptions(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "benchcompare-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := &comparison{o: o, dir: dir, out: out}
	defer func() { err = errors.Join(err, c.restore()) }()
	for _, s := range []struct{ name, ref string }{{"before", o.ref}, {"after", "HEAD"}} {
		side, err := c.build(ctx, s.name, s.ref)
		if err != nil {
			return err
		}
		c.sides = append(c.sides, side)
	}
	if err := c.measure(ctx); err != nil {
		return err
	}
	return c.compare(ctx)
}

func readOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("benchcompare", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 6, "turns of each side; benchstat wants at least 6")
	flags.StringVar(&o.only, "only", ".", "Go benchmarks whose names match; none: \"^$\"")
	flags.StringVar(&o.model, "model", "", "GGUF file for bench throughput; empty: not measured")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() != 1 || flags.Arg(0) == "" {
		return o, errors.New("name the commit to compare with, as in REF=main")
	}
	if o.rounds < 1 {
		return o, fmt.Errorf("-rounds %d: there must be at least 1", o.rounds)
	}
	o.ref = flags.Arg(0)
	if o.model == "" {
		return o, nil
	}
	var err error
	o.model, err = filepath.Abs(o.model)
	return o, err
}

// comparison is one run.
type comparison struct {
	o     options
	dir   string
	out   io.Writer
	sides []*side
}

// side is one of the two commits, built.
type side struct {
	name    string
	tree    string   // its checkout
	library string   // folder of its native library
	program string   // bin/mullama
	tests   []string // folders of its packages with benchmarks, relative to tree
	results []byte   // what its benchmarks printed
}

// command prepares a command in a folder of the side, with its native library.
func (s *side) command(ctx context.Context, folder, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = filepath.Join(s.tree, folder), os.Stderr
	cmd.Env = append(os.Environ(), "PWD="+cmd.Dir)
	if s.library != "" {
		cmd.Env = append(cmd.Env, "MULLAMA_LIBRARY="+s.library)
	}
	return cmd
}

// build checks a commit out and builds its library, its program and the tests with benchmarks.
func (c *comparison) build(ctx context.Context, name, ref string) (*side, error) {
	s := &side{name: name, tree: filepath.Join(c.dir, name)}
	fmt.Fprintf(c.out, "build %s (%s)\n", name, ref)
	add := exec.CommandContext(ctx, "git", "worktree", "add", "--quiet", "--detach", s.tree, ref)
	if said, err := add.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("check out %s: %w: %s", ref, err, strings.TrimSpace(string(said)))
	}
	if err := s.command(ctx, ".", "go", "run", "./tools/nativebuild").Run(); err != nil {
		return nil, fmt.Errorf("build the native library of %s: %w", ref, err)
	}
	library, err := s.command(ctx, ".", "go", "run", "./tools/nativebuild", "-print-dir").Output()
	if err != nil {
		return nil, fmt.Errorf("find the native library of %s: %w", ref, err)
	}
	s.library = strings.TrimSpace(string(library))
	s.program = filepath.Join(s.tree, "bin", "mullama")
	err = s.command(ctx, ".", "go", "build", "-o", s.program, "./cmd/mullama").Run()
	if err != nil {
		return nil, fmt.Errorf("build mullama of %s: %w", ref, err)
	}
	if s.tests, err = withBenchmarks(s.tree); err != nil {
		return nil, err
	}
	for _, folder := range s.tests {
		err := s.command(ctx, folder, "go", "test", "-c", "-o", testProgram, ".").Run()
		if err != nil {
			return nil, fmt.Errorf("build the benchmarks of %s in %s: %w", ref, folder, err)
		}
	}
	return s, nil
}

// restore removes the checkouts, and points the cache at this checkout's library again.
func (c *comparison) restore() error {
	var errs []error
	for _, name := range []string{"before", "after"} {
		tree := filepath.Join(c.dir, name)
		if _, err := os.Stat(tree); err == nil {
			errs = append(errs, exec.Command("git", "worktree", "remove", "--force", tree).Run())
		}
	}
	return errors.Join(append(errs, exec.Command("go", "run", "./tools/nativebuild").Run())...)
}

// measure has both sides run everything, in turns.
func (c *comparison) measure(ctx context.Context) error {
	for round := range c.o.rounds {
		fmt.Fprintf(c.out, "round %d of %d\n", round+1, c.o.rounds)
		for i := range c.sides {
			s := c.sides[(i+round)%len(c.sides)]
			if err := s.run(ctx, c.o); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// run runs the benchmarks once.
func (s *side) run(ctx context.Context, o options) error {
	for _, folder := range s.tests {
		out, err := s.command(ctx, folder, "./"+testProgram, "-test.run=^$",
			"-test.bench="+o.only, "-test.benchtime=200ms").Output()
		if err != nil {
			return fmt.Errorf("benchmarks in %s: %w", folder, err)
		}
		s.results = append(s.results, out...)
	}
	if o.model == "" {
		return nil
	}
	out, err := s.command(ctx, ".", s.program, "bench", "throughput", "--model", o.model,
		"--quick", "--json", "-").Output()
	if err != nil {
		return fmt.Errorf("bench throughput: %w", err)
	}
	lines, err := throughputLines(out)
	s.results = append(s.results, lines...)
	return err
}

// compare has benchstat compare the two.
func (c *comparison) compare(ctx context.Context) error {
	args := []string{"run", benchstat}
	for _, s := range c.sides {
		path := filepath.Join(c.dir, s.name+".txt")
		if err := os.WriteFile(path, s.results, 0o600); err != nil {
			return err
		}
		args = append(args, s.name+"="+path)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stdout, cmd.Stderr = c.out, os.Stderr
	return cmd.Run()
}
