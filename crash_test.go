package mullama_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testregistry"
)

const (
	// writerVariable makes the test program change a store until it is killed: "SEED FOLDER NAME
	// FILE".
	writerVariable = "MULLAMA_TEST_WRITER"
	// crashesVariable says how often it is killed.
	crashesVariable = "MULLAMA_TEST_CRASHES"
	// faultsVariable has the writer say its errors.
	faultsVariable = "MULLAMA_TEST_FAULTS"
)

// writer changes a store in random ways, without an end.
func writer() int {
	parts := strings.SplitN(os.Getenv(writerVariable), " ", 4)
	seed, _ := strconv.ParseUint(parts[0], 10, 64)
	folder, name, file := parts[1], parts[2], parts[3]
	rt, err := mullama.Open(mullama.Options{ModelsDir: folder, KeyDir: filepath.Dir(folder)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	random := rand.New(rand.NewPCG(seed, 1))
	fmt.Println("ready")
	for {
		if err := change(rt, random, name, file); err != nil && os.Getenv(faultsVariable) != "" {
			fmt.Printf("%s %q\n", mullama.ErrorName(err), err.Error())
		}
	}
}

// change changes a store in a random way. Errors are of models that are not there, or of the disk.
func change(rt *mullama.Runtime, random *rand.Rand, name, file string) error {
	ctx, model, err := context.Background(), fmt.Sprintf("m%d", random.IntN(3)), error(nil)
	switch random.IntN(6) {
	case 0:
		_, err = rt.Pull(ctx, name, &insecure)
	case 1:
		_, err = rt.Create(ctx, model, &mullama.CreateOptions{TransferOptions: insecure,
			From: name, System: fmt.Sprint("Be number ", random.IntN(1000))})
	case 2:
		err = rt.Delete([]string{model, name}[random.IntN(2)])
	case 3:
		err = rt.Copy(name, model)
	case 4:
		_, err = rt.Import(ctx, model, file)
	case 5:
		_, err = rt.Prune(time.Duration(random.IntN(2)) * time.Hour)
	}
	return err
}

// crashes is how many times the writer is killed, unless a variable says.
func crashes(t *testing.T, usual int) int {
	text := os.Getenv(crashesVariable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pushedModel returns the name of a small model in a registry of its own.
func pushedModel(t *testing.T) (name string) {
	t.Helper()
	registry := testregistry.New(t)
	name = registry.Host() + "/some/model:1"
	maker, _, _ := withStore(t)
	digest := addFile(t, maker, tinyFile(t, synth.Options{}))
	_, err := maker.Create(t.Context(), name, full(map[string]string{"tiny.gguf": digest}))
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.Push(t.Context(), name, &insecure); err != nil {
		t.Fatal(err)
	}
	return name
}

// crash starts a writer and kills it at a random time after it has begun.
func crash(t *testing.T, seed int, after time.Duration, folder, name, file string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(),
		fmt.Sprintf("%s=%d %s %s %s", writerVariable, seed, folder, name, file))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the writer said %q, %v", line, err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func TestAStoreOutlivesTheEndOfItsWriterAtAnyPoint(t *testing.T) {
	name := pushedModel(t)
	rt, dir, log := withStore(t)
	file := tinyFile(t, synth.Options{Seed: 3})
	random, seen := rand.New(rand.NewPCG(7, 7)), map[string]int{}
	for i := range crashes(t, 60) {
		after := time.Duration(random.Int64N(int64(40 * time.Millisecond)))
		crash(t, i, after, dir, name, file)
		if _, err := os.Stat(dir); err != nil {
			continue // it had no time to make it
		}
		if bad, err := rt.Verify(t.Context(), nil); err != nil || len(bad) > 0 {
			t.Fatalf("kill %d, after %s: %+v, %v", i, after, bad, err)
		}
		models, err := rt.List()
		if err != nil || log.Len() > 0 {
			t.Fatalf("kill %d, after %s: %v, %s", i, after, err, log)
		}
		for _, m := range models {
			seen[m.Name]++
		}
	}
	if len(seen) < 3 {
		t.Errorf("only %v were ever there", seen)
	}
	if _, err := rt.Prune(0); err != nil {
		t.Errorf("prune after all: %v", err)
	}
	if _, err := rt.Pull(t.Context(), name, &insecure); err != nil {
		t.Errorf("pull after all: %v", err)
	}
	if err := rt.Delete(name); err != nil {
		t.Errorf("delete after all: %v", err)
	}
}
