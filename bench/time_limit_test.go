package bench

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestATimeLimitLeavesWhatWasMeasured(t *testing.T) {
	broken := errors.New("a process that was ended complains")
	for name, c := range map[string]struct {
		limit    time.Duration
		said     string
		want     string // of the error; "" for none
		measured func(*cobra.Command) error
	}{
		"with a result": {time.Millisecond, "a table", "", nil},
		"without one":   {time.Millisecond, "", "raise --time-limit", nil},
		"no limit": {0, "a table", broken.Error(),
			func(*cobra.Command) error { return broken }},
		"an error before it": {time.Hour, "a table", broken.Error(),
			func(*cobra.Command) error { return broken }},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := &cobra.Command{}
			cmd.SetContext(t.Context())
			cmd.SetOut(io.Discard)
			cmd.SetErr(io.Discard)
			err := limited(func(cmd *cobra.Command, _ []string) error {
				if c.said != "" {
					_, _ = io.WriteString(cmd.OutOrStdout(), c.said)
				}
				if c.measured != nil {
					return c.measured(cmd)
				}
				<-cmd.Context().Done()
				return broken
			}, &c.limit)(cmd, nil)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("it fails with %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("it ends with %v, want %q", err, c.want)
			}
		})
	}
}

func TestQuickLeavesTimeForTheGroupsThatFollow(t *testing.T) {
	s := testSuite(t)
	r := &suiteRun{suite: s}
	var names []string
	for i := range s.groups {
		names = append(names, s.groups[i].name)
	}
	if limit := r.limit(time.Now().Add(quickTime), names); limit != 0 {
		t.Errorf("without --quick there is a limit of %s", limit)
	}
	s.quick = true
	left := quickTime
	for i, name := range names {
		limit := r.limit(time.Now().Add(left), names[i:])
		if own := s.group(name).quickly; limit < own {
			t.Errorf("%s has %s, and takes about %s", name, limit, own)
		}
		left -= limit // the worst case
	}
	if left < -time.Second*time.Duration(len(names)) {
		t.Errorf("groups that use all their time end %s late", -left)
	}
}
