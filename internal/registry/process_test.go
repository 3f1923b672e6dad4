package registry

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/store"
)

// childVariable makes the test program pull a model: "FOLDER NAME".
const childVariable = "MULLAMA_TEST_PULL"

// child is a process that pulls, to be killed or to compete with others.
func child() int {
	dir, text, _ := strings.Cut(os.Getenv(childVariable), " ")
	n, err := store.ParseName(text)
	if err == nil {
		c := New(store.New(dir), Options{KeyDir: dir, Insecure: true, Parallel: 3, timing: quick})
		_, err = c.Pull(background(), n)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func startChild(t *testing.T, dir string, n store.Name, env ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), append(env, childVariable+"="+dir+" "+n.String())...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestAPullThatIsKilledGoesOnWhereItWas(t *testing.T) {
	p, n, want := pushed(t)
	dir := t.TempDir()
	p.spoilWith(always(spoiling{pause: 4 * time.Millisecond}))
	p.counts()
	kills := 0
	for _, fraction := range []int64{0, 7, 29, 55, 83} {
		cmd := startChild(t, dir, n)
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		for ended := false; !ended; {
			select {
			case <-exited:
				ended = true
			case <-time.After(time.Millisecond):
				p.mu.Lock()
				reached := p.served >= modelBytes*fraction/100
				p.mu.Unlock()
				if reached {
					_ = cmd.Process.Kill()
					<-exited
					kills++
					ended = true
				}
			}
		}
		checkBlobs(t, dir)
	}
	if kills < 3 {
		t.Fatalf("only %d pulls were killed", kills)
	}
	cmd := startChild(t, dir, n)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	checkStore(t, dir, n, want)
	// At each kill 3 requests may have been within a piece, and the proxy ahead of the reader.
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.paths["/v2/some/model/blobs/"+want.Manifest.Layers[0].Digest]
	if most := modelBytes + int64(kills)*3*2*quick.piece; got > most {
		t.Errorf("%d bytes were fetched of a blob of %d, with %d kills", got, modelBytes, kills)
	}
}

func TestTwoProcessesFetchABlobOnce(t *testing.T) {
	p, n, want := pushed(t)
	dir := t.TempDir()
	p.spoilWith(always(spoiling{pause: time.Millisecond}))
	p.counts()
	children := []*exec.Cmd{startChild(t, dir, n), startChild(t, dir, n), startChild(t, dir, n)}
	for _, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	checkStore(t, dir, n, want)
	if got := p.counts(); got != want.Manifest.Size() {
		t.Errorf("%d bytes were fetched of %d", got, want.Manifest.Size())
	}
}

// The host has no address, so that only a proxy can have asked the registry.
func TestAPullGoesThroughTheProxyOfTheEnvironment(t *testing.T) {
	p, _, want := pushed(t)
	p.counts()
	dir, n := t.TempDir(), mustName(t, "models.invalid/some/model:1")
	if err := startChild(t, dir, n, "HTTP_PROXY="+p.URL, "NO_PROXY=").Wait(); err != nil {
		t.Fatal(err)
	}
	checkStore(t, dir, n, want)
	if got := p.counts(); got != want.Manifest.Size() {
		t.Errorf("%d bytes came through the proxy, want %d", got, want.Manifest.Size())
	}
}
