package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mullama/mullama/internal/engine/scripted"
)

// A GPU with nothing to do reads two prompts in one step if the second is known to be on its way.
func TestAGPUWaitsForExpectedPrompts(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration // until the second request comes
		lost  bool          // it does not come
		want  string
		first time.Duration // until the first request has its token
	}{
		{"soon", time.Millisecond, false, "0:3* 1:3*", tick + time.Millisecond},
		{"never", time.Millisecond, true, "0:3*", tick + time.Millisecond},
		{"late", 7 * time.Millisecond, false, "0:3*\n0:3*", tick + 5*time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limits(2, 512, 1000)
				l.Device = true
				e, model := start(t, scripted.Config{Limits: l, Record: true, Fault: slow})
				begun := time.Now()
				arrived := e.Expect()
				first := submit(t, e, askFor(1, "one"))
				go func() {
					time.Sleep(tt.after)
					if tt.lost {
						arrived()
						return
					}
					second := submit(t, e, askFor(1, "two"))
					arrived()
					read(t, second)
				}()
				read(t, first)
				took := time.Since(begun)
				time.Sleep(time.Second)
				expect(t, "time to the first token", took, tt.first)
				expect(t, "steps", shape(model.Plans()), tt.want)
			})
		})
	}
}

// Who comes alone need not wait; where several came together, the next ones are waited for although
// nobody has told of them.
func TestAGPUWaitsForMoreWhereSeveralCameTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limits(3, 512, 1000)
		l.Device = true
		e, model := start(t, scripted.Config{Limits: l, Record: true, Fault: slow})
		first := func(want time.Duration) {
			t.Helper()
			begun := time.Now()
			read(t, submit(t, e, askFor(1, "one")))
			expect(t, "time to the first token", time.Since(begun), want)
			time.Sleep(time.Second)
		}
		two := func(after time.Duration) {
			other := make(chan struct{})
			go func() {
				defer close(other)
				time.Sleep(after)
				read(t, submit(t, e, askFor(2, "two")))
			}()
			read(t, submit(t, e, askFor(2, "one")))
			<-other
			time.Sleep(time.Second)
		}
		first(tick)
		first(tick)
		two(tick / 2) // the second joins the first in its second step
		two(gatherQuiet / 2)
		first(tick + gatherQuiet)
		first(tick)
		expect(t, "steps", shape(model.Plans()), "0:3*\n0:3*\n"+
			"0:3*\n0:1* 1:3*\n1:1*\n"+
			"1:3* 0:3*\n1:1* 0:1*\n"+
			"0:3*\n0:3*")
	})
}

const gatherQuiet = time.Millisecond
