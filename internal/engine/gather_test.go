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
		{"late", 5 * time.Millisecond, false, "0:3*\n0:3*", tick + 3*time.Millisecond},
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
