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
	for ctx := context.Background(); ; {
		model := fmt.Sprintf("m%d", random.IntN(3))
		switch random.IntN(6) { // errors are of models that are not there
		case 0:
			_, _ = rt.Pull(ctx, name, &insecure)
		case 1:
			_, _ = rt.Create(ctx, model, &mullama.CreateOptions{TransferOptions: insecure,
				From: name, System: fmt.Sprint("Be number ", random.IntN(1000))})
		case 2:
			_ = rt.Delete([]string{model, name}[random.IntN(2)])
		case 3:
			_ = rt.Copy(name, model)
		case 4:
			_, _ = rt.Import(ctx, model, file)
		case 5:
			_, _ = rt.Prune(time.Duration(random.IntN(2)) * time.Hour)
		}
	}
}

// crashes is how many times the writer is killed.
func crashes(t *testing.T) int {
	text := os.Getenv(crashesVariable)
	if text == "" {
		return 60
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
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
	registry := testregistry.New(t)
	name := registry.Host() + "/some/model:1"
	maker, _, _ := withStore(t)
	digest := addFile(t, maker, tinyFile(t, synth.Options{}))
	_, err := maker.Create(t.Context(), name, full(map[string]string{"tiny.gguf": digest}))
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.Push(t.Context(), name, &insecure); err != nil {
		t.Fatal(err)
	}
	rt, dir, log := withStore(t)
	file := tinyFile(t, synth.Options{Seed: 3})
	random, seen := rand.New(rand.NewPCG(7, 7)), map[string]int{}
	for i := range crashes(t) {
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
