package mullama

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// shelf counts what a pool of numbered values loads and frees.
type shelf struct {
	pool   pool[int64]
	loads  atomic.Int64
	freed  sync.Map
	frees  atomic.Int64
	delay  time.Duration
	broken atomic.Bool
	spoilt atomic.Int64 // values up to this are no longer usable
}

var errBroken = errors.New("broken")

func (s *shelf) get(ctx context.Context, key string) (int64, func(), error) {
	return s.pool.get(ctx, key, func(ctx context.Context) (int64, error) {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if s.broken.Load() {
			return 0, errBroken
		}
		return s.loads.Add(1), nil
	}, func(v int64) bool { return v > s.spoilt.Load() }, func(v int64) {
		if _, twice := s.freed.LoadOrStore(v, true); twice {
			panic(fmt.Sprintf("value %d is freed twice", v))
		}
		s.frees.Add(1)
	})
}

func (s *shelf) want(t *testing.T, loads, frees, entries int64) {
	t.Helper()
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if l, f, e := s.loads.Load(), s.frees.Load(), int64(len(s.pool.entries)); l != loads ||
		f != frees || e != entries {
		t.Errorf("got %d loads, %d frees, %d entries; want %d, %d, %d", l, f, e, loads, frees,
			entries)
	}
}

func TestPoolReplacesWhatIsNoLongerUsable(t *testing.T) {
	var s shelf
	a, giveA, _ := s.get(t.Context(), "x")
	s.spoilt.Store(a)
	b, giveB, _ := s.get(t.Context(), "x")
	if b == a {
		t.Errorf("value %d is handed out though it is not usable", a)
	}
	c, giveC, _ := s.get(t.Context(), "x")
	if c != b {
		t.Errorf("the new value is %d for one and %d for another", b, c)
	}
	giveB()
	giveC()
	s.want(t, 2, 1, 0)
	giveA()
	s.want(t, 2, 2, 0)
}

func TestPoolSharesByKeyAndFreesAfterTheLastUser(t *testing.T) {
	var s shelf
	a, giveA, _ := s.get(t.Context(), "x")
	b, giveB, _ := s.get(t.Context(), "x")
	c, giveC, _ := s.get(t.Context(), "y")
	if a != b || a == c {
		t.Errorf("values are %d, %d and %d; want the first two to be the same", a, b, c)
	}
	s.want(t, 2, 0, 2)
	giveA()
	giveA() // giving back twice must not take another's share
	s.want(t, 2, 0, 2)
	giveB()
	s.want(t, 2, 1, 1)
	d, giveD, _ := s.get(t.Context(), "x")
	if d == a {
		t.Error("a freed value was handed out again")
	}
	giveC()
	giveD()
	s.want(t, 3, 3, 0)
}

func TestPoolLoadsOnceForManyWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shelf{delay: time.Second}
		var users sync.WaitGroup
		for range 50 {
			users.Go(func() {
				v, give, err := s.get(t.Context(), "x")
				if v != 1 || err != nil {
					t.Errorf("got %d, %v; want value 1", v, err)
					return
				}
				time.Sleep(time.Minute)
				give()
			})
		}
		time.Sleep(30 * time.Second)
		s.want(t, 1, 0, 1)
		users.Wait()
		s.want(t, 1, 1, 0)
	})
}

func TestPoolForgetsAFailedLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shelf{delay: time.Second}
		s.broken.Store(true)
		var users sync.WaitGroup
		for range 10 {
			users.Go(func() {
				if _, _, err := s.get(t.Context(), "x"); !errors.Is(err, errBroken) {
					t.Errorf("got %v; want the error of the load", err)
				}
			})
		}
		users.Wait()
		s.want(t, 0, 0, 0)
		s.broken.Store(false)
		_, give, err := s.get(t.Context(), "x")
		if err != nil {
			t.Fatalf("a load after one that failed: %v", err)
		}
		give()
		s.want(t, 1, 1, 0)
	})
}

func TestPoolWaiterLoadsAgainWhenTheFirstLoaderIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shelf{delay: time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		var users sync.WaitGroup
		users.Go(func() {
			if _, _, err := s.get(ctx, "x"); !errors.Is(err, context.Canceled) {
				t.Errorf("the cancelled loader got %v; want context.Canceled", err)
			}
		})
		time.Sleep(time.Millisecond)
		for range 5 {
			users.Go(func() {
				v, give, err := s.get(t.Context(), "x")
				if err != nil {
					t.Errorf("a waiter got %v; want a value", err)
					return
				}
				time.Sleep(time.Minute)
				if v != 1 {
					t.Errorf("a waiter got value %d; want 1", v)
				}
				give()
			})
		}
		time.Sleep(100 * time.Millisecond)
		cancel()
		users.Wait()
		s.want(t, 1, 1, 0)
	})
}

func TestPoolWaiterCanGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shelf{delay: time.Hour}
		var users sync.WaitGroup
		users.Go(func() {
			_, give, err := s.get(t.Context(), "x")
			if err != nil {
				t.Errorf("the loader got %v", err)
				return
			}
			give()
		})
		time.Sleep(time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, _, err := s.get(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the waiter got %v; want context.DeadlineExceeded", err)
		}
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("the waiter waited %v; want 1m", waited)
		}
		users.Wait()
		s.want(t, 1, 1, 0)
	})
}

func TestPoolUnderRandomUseFreesEachValueOnce(t *testing.T) {
	var s shelf
	var users sync.WaitGroup
	for user := range 8 {
		users.Go(func() {
			for round := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if (user+round)%5 == 0 {
					cancel()
				}
				s.broken.Store(round%7 == 3)
				v, give, err := s.get(ctx, fmt.Sprint(round%3))
				cancel()
				if err != nil {
					continue
				}
				if _, freed := s.freed.Load(v); freed {
					t.Errorf("value %d is in use and freed", v)
				}
				give()
			}
		})
	}
	users.Wait()
	s.want(t, s.loads.Load(), s.loads.Load(), 0)
}
