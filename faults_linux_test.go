package mullama_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// badDisk is a folder that is mounted at another place, where what is done fails.
type badDisk struct {
	t     *testing.T
	place string
	in    io.WriteCloser
	out   *bufio.Reader
}

// mountBadDisk mounts a folder, where the user may.
func mountBadDisk(t *testing.T, folder string) *badDisk {
	t.Helper()
	program := filepath.Join(t.TempDir(), "faultfs")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("testdata", "faultfs")
	build.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build faultfs: %v\n%s", err, out)
	}
	d := &badDisk{t: t, place: filepath.Join(t.TempDir(), "disk")}
	if err := os.Mkdir(d.place, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, folder, d.place)
	var err error
	if d.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errOut strings.Builder
	cmd.Stderr = &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.in.Close() // ends it
		_ = cmd.Wait()
	})
	d.out = bufio.NewReader(out)
	if line, _ := d.out.ReadString('\n'); line != "mounted\n" {
		_ = cmd.Wait()
		t.Skipf("a file system cannot be mounted here: %s", &errOut)
	}
	return d
}

// fail says what is to fail from now on.
func (d *badDisk) fail(how string) {
	d.t.Helper()
	fmt.Fprintln(d.in, how)
	if line, err := d.out.ReadString('\n'); line != "ok\n" {
		d.t.Fatalf("%s: the disk says %q, %v", how, line, err)
	}
}

// faults are what fails in a round, for a part of its time.
func faults(random *rand.Rand) string {
	switch random.IntN(4) {
	case 0:
		return fmt.Sprint("full ", random.IntN(200_000))
	case 1:
		return "readonly"
	default:
		return fmt.Sprint("eio ", 2+random.IntN(60))
	}
}

// suffer starts a writer, has the disk fail, and kills the writer. It returns the errors that the
// writer saw.
func (d *badDisk) suffer(seed int, random *rand.Rand, name, file string) []string {
	d.t.Helper()
	program, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), faultsVariable+"=1",
		fmt.Sprintf("%s=%d %s %s %s", writerVariable, seed, d.place, name, file))
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	said := bufio.NewReader(out)
	if line, err := said.ReadString('\n'); line != "ready\n" {
		d.t.Fatalf("the writer said %q, %v", line, err)
	}
	lines := make(chan []string)
	go func() { // ends with the writer
		text, _ := io.ReadAll(said)
		lines <- strings.Split(strings.TrimSpace(string(text)), "\n")
	}()
	pause := func() { time.Sleep(time.Duration(random.Int64N(int64(30 * time.Millisecond)))) }
	pause()
	d.fail(faults(random))
	pause()
	if random.IntN(2) == 0 {
		d.fail("none")
		pause()
	}
	_ = cmd.Process.Kill()
	errors := <-lines
	_ = cmd.Wait()
	d.fail("none")
	if cmd.ProcessState.Exited() || errOut.Len() > 0 {
		d.t.Fatalf("the writer ended by itself: %s\n%s", cmd.ProcessState, &errOut)
	}
	return errors
}

func TestAStoreOutlivesABadDiskAndTheEndOfItsWriter(t *testing.T) {
	name := pushedModel(t)
	rt, dir, log := withStore(t)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	disk, file := mountBadDisk(t, dir), tinyFile(t, synth.Options{Seed: 3})
	random, said := rand.New(rand.NewPCG(8, 8)), map[string]int{}
	for i := range crashes(t, 30) {
		for _, line := range disk.suffer(i, random, name, file) {
			kind, _, _ := strings.Cut(line, " ")
			said[kind]++
			failed := strings.Contains(line, "input/output") || strings.Contains(line, "no space")
			if kind == "internal" || failed && kind != "store" || strings.Contains(line, `\n`) {
				t.Errorf("round %d: %s", i, line)
			}
		}
		if bad, err := rt.Verify(t.Context(), nil); err != nil || len(bad) > 0 {
			t.Fatalf("round %d: %+v, %v", i, bad, err)
		}
		if _, err := rt.List(); err != nil || log.Len() > 0 {
			t.Fatalf("round %d: %v, %s", i, err, log)
		}
	}
	t.Logf("the writers' errors by kind: %v", said)
	if said[mullama.ErrorName(mullama.ErrStore)] == 0 {
		t.Error("the disk never failed")
	}
	if _, err := rt.Prune(0); err != nil {
		t.Errorf("prune after all: %v", err)
	}
	if _, err := rt.Pull(t.Context(), name, &insecure); err != nil {
		t.Errorf("pull after all: %v", err)
	}
}
