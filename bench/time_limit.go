package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// errTimeUp is why a measurement ends at its --time-limit.
var errTimeUp = errors.New("the time limit was reached")

// timeIsUp tells whether a measurement is to end with what it has.
func timeIsUp(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errTimeUp) }

// cutShort is the warning of a result that lacks what there was no time for.
const cutShort = "the time limit was reached, so only a part was measured"

// limited has a group's command end after a time with what it has measured. Processes that the
// group started end with the time too, and complain; that counts only where there is no result.
func limited(measure func(*cobra.Command, []string) error, limit *time.Duration,
) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if *limit <= 0 {
			return measure(cmd, args)
		}
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), *limit, errTimeUp)
		defer cancel()
		cmd.SetContext(ctx)
		out := &noted{Writer: cmd.OutOrStdout()}
		cmd.SetOut(out)
		err := measure(cmd, args)
		switch {
		case err == nil || !timeIsUp(ctx):
			return err
		case !out.written:
			return fmt.Errorf("the time limit of %s was reached before anything was measured: "+
				"raise --time-limit, or close other programs", *limit)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", cutShort)
		return nil
	}
}

// noted remembers whether anything was written.
type noted struct {
	io.Writer
	written bool
}

func (n *noted) Write(p []byte) (int, error) {
	n.written = true
	return n.Writer.Write(p)
}
