package registry

import (
	"sync"
	"testing"
	"time"
)

func TestRunsAreAsLongAsAnswersLetWait(t *testing.T) {
	const piece = 8 << 20
	for _, tt := range []struct {
		name         string
		waited, took time.Duration
		want         int
	}{
		{"a server near by", 200 * time.Microsecond, 60 * time.Millisecond, 0},
		{"far away and slow", 100 * time.Millisecond, time.Second, 2},
		{"far away and fast", 100 * time.Millisecond, 100 * time.Millisecond, 8},
		{"no time at all", time.Millisecond, 0, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := pace{pieces: 1}
			p.learn(tt.waited, tt.took, 1, piece)
			if p.pieces != tt.want {
				t.Errorf("the next run has %d pieces, want %d", p.pieces, tt.want)
			}
		})
	}
}

func TestTheLeastWaitCounts(t *testing.T) {
	p := pace{pieces: 1}
	p.learn(time.Second, 100*time.Millisecond, 1, 1<<20)
	p.learn(10*time.Millisecond, 400*time.Millisecond, 4, 1<<20)
	p.learn(time.Second, 400*time.Millisecond, 4, 1<<20)
	if p.pieces != 2 {
		t.Errorf("the next run has %d pieces, want 2", p.pieces)
	}
}

// waiting is a blob of 100 pieces of which some are there and hashed, and 2 workers.
func waiting(done, hashed, had int) *blob {
	b := &blob{c: &Client{o: Options{Parallel: 2}}, pieces: make([]piece, 100),
		hashing: hashing{front: hashed}, had: had}
	b.more = sync.NewCond(&b.mu)
	for i := range done {
		b.pieces[i].done = true
	}
	return b
}

func TestFetchingWaitsForHashing(t *testing.T) {
	for _, tt := range []struct {
		name              string
		done, hashed, had int
		late              bool
	}{
		{"hashed as it comes", 10, 10, 0, false},
		{"close behind", 10, 8, 0, false},
		{"far behind", 10, 7, 0, true},
		{"far behind in what was there", 90, 1, 90, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := waiting(tt.done, tt.hashed, tt.had)
			if got := b.hashIsLate(tt.done, 1); got != tt.late {
				t.Errorf("late is %t, want %t", got, tt.late)
			}
		})
	}
	t.Run("a piece that hangs", func(t *testing.T) {
		b := waiting(90, 5, 0)
		b.pieces[5].done = false
		if b.hashIsLate(90, 1) {
			t.Error("all wait for one piece")
		}
	})
}

func TestWhoWaitsForHashingIsWoken(t *testing.T) {
	for name, wake := range map[string]func(b *blob){
		"by the hash": func(b *blob) {
			b.mu.Lock()
			b.front = 90
			b.more.Broadcast()
			b.mu.Unlock()
		},
		"by the end": func(b *blob) { b.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			b := waiting(90, 0, 0)
			taken := make(chan bool)
			go func() {
				_, _, ok := b.take(1)
				taken <- ok
			}()
			wake(b)
			if ok := <-taken; ok != (name == "by the hash") {
				t.Errorf("a piece was taken: %t", ok)
			}
		})
	}
}

func TestRequestsAreAddedWhileHashingWaits(t *testing.T) {
	waits := func(b *blob, d time.Duration) *blob { b.idle = d; return b }
	for _, tt := range []struct {
		name string
		b    *blob
		want bool
	}{
		{"most of the time", waits(waiting(0, 0, 0), 80*time.Millisecond), true},
		{"at times", waits(waiting(0, 0, 0), 20*time.Millisecond), false},
		{"not yet, as it reads what was there", waits(waiting(50, 10, 50), 0), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.b.isStarved(); got != tt.want {
				t.Errorf("starved is %t", got)
			}
			if tt.b.idle != 0 {
				t.Error("the time counts again")
			}
		})
	}
	b := waiting(0, 0, 0)
	b.since = time.Now().Add(-time.Second)
	if !b.isStarved() || b.isStarved() {
		t.Error("a wait that has not ended does not count, or counts twice")
	}
}
