package mullama_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// storeRuntime opens a runtime whose store has tiny models of the given names.
func storeRuntime(t *testing.T, o mullama.Options, names ...string) *mullama.Runtime {
	t.Helper()
	openRuntime(t) // skips where there is no library
	o.ModelsDir = filepath.Join(t.TempDir(), "models")
	o.Defaults.Threads, o.Defaults.ContextSize = 1, 512
	rt, err := mullama.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		importModel(t, rt, name, synth.Options{Seed: uint64(i + 1)})
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := rt.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		rt.Close()
	})
	return rt
}

func acquire(
	t *testing.T, rt *mullama.Runtime, name string, o mullama.AcquireOptions,
) *mullama.Lease {
	t.Helper()
	lease, err := rt.Acquire(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// running waits until the models that are loaded are those.
func running(t *testing.T, rt *mullama.Runtime, want ...string) {
	t.Helper()
	var got []string
	for range 500 {
		got = got[:0]
		for _, m := range rt.Running() {
			got = append(got, m.Stored.Name)
		}
		if sameSet(got, want) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("running are %q, want %q", got, want)
}

func sameSet(a, b []string) bool {
	count := map[string]int{}
	for _, x := range a {
		count[x]++
	}
	for _, x := range b {
		count[x]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestAcquireLoadsAModelOnceForAll(t *testing.T) {
	rt := storeRuntime(t, mullama.Options{}, "a")
	var all sync.WaitGroup
	leases := make([]*mullama.Lease, 8)
	for i := range leases {
		all.Go(func() { leases[i], _ = rt.Acquire(t.Context(), "a", mullama.AcquireOptions{}) })
	}
	all.Wait()
	for _, l := range leases {
		if l == nil || l.Model != leases[0].Model || l.Stored.Name != "a:latest" {
			t.Fatalf("lease %+v; the first is %+v", l, leases[0])
		}
		generate(t, l.Model, "once", mullama.GenerateOptions{Sampling: greedy(), MaxTokens: 3})
	}
	list := rt.Running()
	if len(list) != 1 || list[0].Busy != 8 || list[0].ContextSize != 512 || list[0].Slots == 0 ||
		!list[0].Expires.IsZero() {
		t.Errorf("running: %+v", list)
	}
	for _, l := range leases {
		l.Release()
		l.Release() // does nothing
	}
	list = rt.Running()
	if len(list) != 1 || list[0].Busy != 0 || time.Until(list[0].Expires) < 4*time.Minute {
		t.Errorf("after the last release: %+v", list)
	}
	again := acquire(t, rt, "A", mullama.AcquireOptions{})
	defer again.Release()
	if again.Model != leases[0].Model || again.LoadTime <= 0 {
		t.Errorf("a loaded model was loaded again: %+v", again)
	}
}

func TestAcquireUnloadsAfterTheKeepAliveTime(t *testing.T) {
	rt := storeRuntime(t, mullama.Options{}, "a")
	short, none := 30*time.Millisecond, time.Duration(0)
	acquire(t, rt, "a", mullama.AcquireOptions{KeepAlive: &short}).Release()
	running(t, rt)
	acquire(t, rt, "a", mullama.AcquireOptions{KeepAlive: &none}).Release()
	running(t, rt)
}

func TestAcquireEvictsTheModelUsedLongestAgo(t *testing.T) {
	rt := storeRuntime(t, mullama.Options{MaxModels: 2}, "a", "b", "c")
	acquire(t, rt, "a", mullama.AcquireOptions{}).Release()
	acquire(t, rt, "b", mullama.AcquireOptions{}).Release()
	busy := acquire(t, rt, "a", mullama.AcquireOptions{})
	defer busy.Release()
	acquire(t, rt, "c", mullama.AcquireOptions{}).Release()
	running(t, rt, "a:latest", "c:latest")
	generate(t, busy.Model, "once", mullama.GenerateOptions{Sampling: greedy(), MaxTokens: 3})
}

func TestAnotherContextSizeIsAnotherModel(t *testing.T) {
	rt := storeRuntime(t, mullama.Options{MaxModels: 1}, "a")
	first := acquire(t, rt, "a", mullama.AcquireOptions{})
	defer first.Release()
	larger := acquire(t, rt, "a",
		mullama.AcquireOptions{Load: &mullama.LoadOptions{ContextSize: 1024, Threads: 1}})
	defer larger.Release()
	if first.Model.ContextSize() != 512 || larger.Model.ContextSize() != 1024 {
		t.Errorf("contexts of %d and %d", first.Model.ContextSize(), larger.Model.ContextSize())
	}
	running(t, rt, "a:latest", "a:latest")
}

func TestAcquireSaysWhatIsWrong(t *testing.T) {
	rt := storeRuntime(t, mullama.Options{MaxQueue: 1}, "a")
	_, err := rt.Acquire(t.Context(), "no/such", mullama.AcquireOptions{})
	wantKind(t, err, mullama.ErrNotFound, `model "no/such" not found`)
	_, err = rt.Acquire(t.Context(), "/no/such.gguf", mullama.AcquireOptions{})
	wantKind(t, err, mullama.ErrNotFound)
	_, err = rt.Acquire(t.Context(), "a",
		mullama.AcquireOptions{Load: &mullama.LoadOptions{ContextSize: -1}})
	wantKind(t, err, mullama.ErrInvalidOption, "context size is -1")
	wantKind(t, rt.Unload("no/such"), mullama.ErrNotFound)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = rt.Acquire(ctx, "a", mullama.AcquireOptions{})
	wantKind(t, err, mullama.ErrCancelled)
	running(t, rt)
}

func TestAFullQueueIsBusy(t *testing.T) {
	rt := storeRuntime(t, mullama.Options{MaxQueue: 1}, "a")
	var leases []*mullama.Lease
	for range 100 {
		lease, err := rt.Acquire(t.Context(), "a", mullama.AcquireOptions{})
		if err == nil {
			leases = append(leases, lease)
			continue
		}
		wantKind(t, err, mullama.ErrBusy)
		busy := (*mullama.BusyError)(nil)
		if !errors.As(err, &busy) || busy.RetryAfter <= 0 {
			t.Errorf("error %v says not when to try again", err)
		}
		break
	}
	if n := len(leases); n != mullama.DefaultSlots+1 {
		t.Errorf("%d requests were let in; want one more than the slots", n)
	}
	for _, l := range leases {
		l.Release()
	}
	acquire(t, rt, "a", mullama.AcquireOptions{}).Release()
}

func TestUnloadWaitsForTheRequests(t *testing.T) {
	rt := storeRuntime(t, mullama.Options{}, "a")
	lease := acquire(t, rt, "a", mullama.AcquireOptions{})
	if err := rt.Unload("a"); err != nil {
		t.Fatal(err)
	}
	generate(t, lease.Model, "once", mullama.GenerateOptions{Sampling: greedy(), MaxTokens: 3})
	lease.Release()
	running(t, rt)
}

func TestShutdownCancelsWhatTakesTooLong(t *testing.T) {
	rt := storeRuntime(t, mullama.Options{}, "a")
	lease := acquire(t, rt, "a", mullama.AcquireOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := rt.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown returned %v", err)
	}
	if _, err := rt.Acquire(t.Context(), "a", mullama.AcquireOptions{}); !errors.Is(err,
		mullama.ErrClosed) {
		t.Errorf("a lease during shutdown: %v", err)
	}
	lease.Release()
}

func TestManyRequestsForManyModelsAreAllServed(t *testing.T) {
	noLeaks(t)
	rt := storeRuntime(t, mullama.Options{MaxModels: 2}, "a", "b", "c", "d")
	none := time.Duration(0)
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			o := mullama.AcquireOptions{}
			if i%5 == 0 {
				o.KeepAlive = &none
			}
			lease, err := rt.Acquire(t.Context(), string(rune('a'+i%4)), o)
			if err != nil {
				t.Error(err)
				return
			}
			defer lease.Release()
			stream, err := lease.Model.Generate(t.Context(), "once",
				&mullama.GenerateOptions{Sampling: greedy(), MaxTokens: 4})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := stream.Collect(); err != nil {
				t.Error(err)
			}
		})
	}
	within(t, time.Minute, "serving 60 requests", all.Wait)
}
