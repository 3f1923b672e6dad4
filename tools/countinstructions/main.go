// Command countinstructions counts the instructions of hot paths, which do not depend on how busy
// or how fast a machine is, and compares them with those that are written down.
//
//	go run ./tools/countinstructions [-update]
//
// It runs Go benchmarks under valgrind twice, with few and with more iterations: the difference is
// what the further iterations took. A benchmark fails that takes a tenth more than
// bench/instructions.txt has; -update writes what was counted there. Without valgrind, and on other
// processors than those of x86-64, for which the numbers are, nothing is counted.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// expectedFile has a line for each hot path: its name and its instructions.
const expectedFile = "bench/instructions.txt"

// tolerance is how much more than expected a path may take. Counts of two runs differ by less than
// a twentieth, since goroutines do not always wake in the same order.
const tolerance = 0.10

// path is a Go benchmark that needs nothing but Go.
type path struct {
	name, pkg, bench string
	iterations       int
}

var paths = []path{
	{"a step for 1 request", "./internal/engine", `StepOverhead/slots=1$/step=0s$`, 4000},
	{"a step for 16 requests", "./internal/engine", `StepOverhead/slots=16$/step=0s$`, 2000},
	{"a token of a stream as JSON", "./internal/server", `Part$`, 20000},
	{"a sentence into words", ".", `Words$`, 4000},
}

func main() {
	update := flag.Bool("update", false, "write the counts to "+expectedFile)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *update)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "countinstructions: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, update bool) error {
	if _, err := exec.LookPath("valgrind"); err != nil || runtime.GOARCH != "amd64" {
		fmt.Println("instructions are not counted: that needs valgrind on x86-64")
		return nil
	}
	expected, err := readExpected(expectedFile)
	if err != nil && !update {
		return err
	}
	dir, err := os.MkdirTemp("", "countinstructions-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	counted := map[string]int{}
	for _, p := range paths {
		if counted[p.name], err = p.count(ctx, dir); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Printf("%-30s %8d instructions\n", p.name, counted[p.name])
	}
	if update {
		return writeExpected(expectedFile, counted)
	}
	return compare(counted, expected)
}

// count returns the instructions of an iteration.
func (p path) count(ctx context.Context, dir string) (int, error) {
	program := filepath.Join(dir, "bench.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, p.pkg)
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build: %w\n%s", err, out)
	}
	few, err := p.total(ctx, program, p.iterations)
	if err != nil {
		return 0, err
	}
	more, err := p.total(ctx, program, 3*p.iterations)
	return (more - few) / (2 * p.iterations), err
}

var collected = regexp.MustCompile(`Collected : (\d+)`)

// total counts a whole run. One thread without a collector makes two runs alike.
func (p path) total(ctx context.Context, program string, iterations int) (int, error) {
	cmd := exec.CommandContext(ctx, "valgrind", "--tool=callgrind",
		"--callgrind-out-file=/dev/null", program, "-test.run", "^$", "-test.bench", p.bench,
		"-test.benchtime", strconv.Itoa(iterations)+"x")
	cmd.Dir = p.pkg
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1",
		"MULLAMA_LIBRARY="+program+".none") // valgrind does not know all of AVX-512
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	count := collected.FindSubmatch(out)
	if count == nil || !bytes.Contains(out, []byte("ns/op")) {
		return 0, fmt.Errorf("nothing was measured:\n%s", out)
	}
	return strconv.Atoi(string(count[1]))
}

// compare says which paths take more than they did.
func compare(counted, expected map[string]int) error {
	var all []error
	for _, p := range paths {
		was, ok := expected[p.name]
		switch is := counted[p.name]; {
		case !ok:
			all = append(all, fmt.Errorf("%s is not in %s; add it with -update", p.name,
				expectedFile))
		case float64(is) > float64(was)*(1+tolerance):
			all = append(all, fmt.Errorf("%s takes %d instructions, %d before; if that is meant, "+
				"write it down with -update", p.name, is, was))
		}
	}
	return errors.Join(all...)
}

// readExpected reads lines of a name and a number, and passes over those that begin with #.
func readExpected(file string) (map[string]int, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	expected := map[string]int{}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		cut := strings.LastIndexByte(line, ' ')
		n, err := strconv.Atoi(line[cut+1:])
		if cut < 0 || err != nil {
			return nil, fmt.Errorf("%s:%d: %q is not a name and a number", file, i+1, line)
		}
		expected[strings.TrimSpace(line[:cut])] = n
	}
	return expected, nil
}

func writeExpected(file string, counted map[string]int) error {
	var b strings.Builder
	b.WriteString("# Instructions of an iteration on x86-64, counted by make count-instructions.\n")
	for _, p := range paths {
		fmt.Fprintf(&b, "%-30s %8d\n", p.name, counted[p.name])
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
