package mullama_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

func TestACancelledWaitGivesItsTurnUp(t *testing.T) {
	noLeaks(t)
	rt := storeRuntime(t, mullama.Options{MaxModels: 1}, "a", "b")
	busy := acquire(t, rt, "a", mullama.AcquireOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := rt.Acquire(ctx, "b", mullama.AcquireOptions{})
	wantKind(t, err, mullama.ErrCancelled)
	busy.Release()
	acquire(t, rt, "a", mullama.AcquireOptions{}).Release()
	running(t, rt, "a:latest") // nobody wants b any more, so a has stayed
}

func TestAFailedLoadFailsAllWhoWaitAndLeavesNothing(t *testing.T) {
	noLeaks(t)
	rt := storeRuntime(t, mullama.Options{MaxModels: 1}, "a")
	broken := tinyFile(t, synth.Options{})
	if err := synth.Truncate(broken, 100); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := rt.Acquire(t.Context(), broken, mullama.AcquireOptions{})
			if !errors.Is(err, mullama.ErrNotGGUF) {
				t.Errorf("a broken file: %v", err)
			}
		})
	}
	within(t, 20*time.Second, "failing", all.Wait)
	running(t, rt)
	acquire(t, rt, "a", mullama.AcquireOptions{}).Release()
}

func TestAFileIsAcquiredByItsPath(t *testing.T) {
	noLeaks(t)
	rt := storeRuntime(t, mullama.Options{})
	path := tinyFile(t, synth.Options{})
	lease := acquire(t, rt, path, mullama.AcquireOptions{})
	if lease.Stored != nil {
		t.Errorf("a file is of the store: %+v", lease.Stored)
	}
	lease.Release()
	running(t, rt, path)
	if err := rt.Unload(path); err != nil {
		t.Error(err)
	}
	running(t, rt)
}

func TestShutdownEndsStreamsThatTakeTooLong(t *testing.T) {
	noLeaks(t)
	rt := storeRuntime(t, mullama.Options{})
	path := tinyFile(t, synth.Options{Context: 1 << 17})
	lease := acquire(t, rt, path, mullama.AcquireOptions{
		Load: &mullama.LoadOptions{ContextSize: 1 << 17, Threads: 1},
	})
	defer lease.Release()
	stream := endless(t.Context(), t, lease.Model)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := rt.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown returned %v", err)
	}
	within(t, 10*time.Second, "the end of the stream", func() {
		result, err := stream.Collect()
		if err == nil && result.FinishReason != mullama.FinishCancelled {
			t.Errorf("the stream ended with %q", result.FinishReason)
		}
	})
}

func TestCancelsAtAnyMomentLoseNoLease(t *testing.T) {
	noLeaks(t)
	rt := storeRuntime(t, mullama.Options{MaxModels: 1}, "a", "b")
	none := time.Duration(0)
	var all sync.WaitGroup
	for i := range 80 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
			defer cancel()
			lease, err := rt.Acquire(ctx, string(rune('a'+i%2)),
				mullama.AcquireOptions{KeepAlive: &none})
			if err == nil {
				lease.Release()
			} else if !errors.Is(err, mullama.ErrCancelled) {
				t.Error(err)
			}
		})
	}
	within(t, 30*time.Second, "cancelling", all.Wait)
	running(t, rt) // a lost lease would keep its model
}
