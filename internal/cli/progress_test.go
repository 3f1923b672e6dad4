package cli

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestProgressBarShowsOnlySlowLoadsOnATerminal(t *testing.T) {
	for _, tt := range []struct {
		name     string
		slow     time.Duration
		terminal bool
		env      environment
		want     bool
	}{
		{"slow on a terminal", 400 * time.Millisecond, true, environment{}, true},
		{"without colour", 400 * time.Millisecond, true, environment{plain: true}, true},
		{"fast", 20 * time.Millisecond, true, environment{}, false},
		{"no terminal", 400 * time.Millisecond, false, environment{}, false},
		{"a dumb terminal", 400 * time.Millisecond, true, environment{dumb: true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := newFake()
			fake.slow = tt.slow
			a, _, errOut := testApp(fake, "")
			a.stderrIsTerminal, a.env = tt.terminal, tt.env
			if code := a.execute(context.Background(), []string{"run", "m.gguf", "Hi"}); code != 0 {
				t.Fatalf("code %d, err %q", code, errOut)
			}
			got := errOut.String()
			if shown := strings.Contains(got, "loading the model"); shown != tt.want {
				t.Errorf("stderr %q", got)
			}
			if tt.want && !strings.HasSuffix(got, "\r\x1b[K") {
				t.Errorf("the bar is left on the screen: %q", got)
			}
			if coloured := strings.Contains(
				got,
				"\x1b[36m",
			); coloured != (tt.want && !tt.env.plain) {
				t.Errorf("colour in %q", got)
			}
		})
	}
}
