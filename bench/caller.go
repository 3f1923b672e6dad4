package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// What the callers do; bench/callers/README.md describes it, and those of the other languages have
// the same numbers.
const (
	callerText          = "Hello, world!"
	callerSamples       = 10_000
	callerCalls         = 10 // in a sample
	callerWarm          = 10 // samples that are not kept
	callerStreamTokens  = 256
	callerStreamReps    = 3
	callerRequests      = 16
	callerRequestTokens = 64
	callerRequestReps   = 2
)

// callerCommand is the hidden command that does in Go what bench/callers does in other languages.
func callerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "caller calls|stream|concurrent MODEL",
		Short:  "Do what bench overhead measures, in Go",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return call(cmd.Context(), cmd.OutOrStdout(), args[0], args[1])
		},
	}
}

func call(ctx context.Context, out io.Writer, work, path string) (err error) {
	do, options := callTimes, mullama.LoadOptions{VocabOnly: true}
	switch work {
	case "calls":
	case "stream":
		do, options = streamPace, mullama.LoadOptions{Slots: 1}
	case "concurrent":
		do, options = concurrentPace, mullama.LoadOptions{Slots: callerRequests, ContextSize: 512}
	default:
		return fmt.Errorf("there is no work %q: want calls, stream or concurrent", work)
	}
	rt, err := mullama.Open(mullama.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	m, err := rt.Load(ctx, path, &options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	result, err := do(ctx, m)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result)
}

// callTimes has tokens made of a text, and of none: the core is Go, so that is the call that does
// nothing.
func callTimes(_ context.Context, m *mullama.Model) (r callerResult, err error) {
	tokens := make([]mullama.Token, 0, len(callerText))
	tokenize := func(text string) func() error {
		return func() error {
			_, err := m.AppendTokens(tokens, text, mullama.TokenizeOptions{})
			return err
		}
	}
	if r.Noop, err = callSamples(tokenize("")); err != nil {
		return r, err
	}
	r.Tokenize, err = callSamples(tokenize(callerText))
	return r, err
}

// callSamples are the nanoseconds that a call takes, the mean of each ten.
func callSamples(call func() error) ([]float64, error) {
	samples := make([]float64, 0, callerSamples)
	for sample := range callerWarm + callerSamples {
		start := time.Now()
		for range callerCalls {
			if err := call(); err != nil {
				return nil, err
			}
		}
		took := time.Since(start)
		if sample >= callerWarm {
			samples = append(samples, float64(took.Nanoseconds())/callerCalls)
		}
	}
	return samples, nil
}

// repeat does some work once to warm up and then some times more.
func repeat(reps int, work func() (tokens int, err error)) (r callerResult, err error) {
	for rep := range 1 + reps {
		start := time.Now()
		tokens, err := work()
		if err != nil {
			return r, err
		}
		if rep > 0 {
			r.Tokens = append(r.Tokens, float64(tokens))
			r.Seconds = append(r.Seconds, time.Since(start).Seconds())
		}
	}
	return r, nil
}

func streamPace(ctx context.Context, m *mullama.Model) (callerResult, error) {
	return repeat(callerStreamReps, func() (int, error) {
		return continuation(ctx, m, defaultText, callerStreamTokens)
	})
}

func concurrentPace(ctx context.Context, m *mullama.Model) (callerResult, error) {
	type answer struct {
		tokens int
		err    error
	}
	return repeat(callerRequestReps, func() (tokens int, err error) {
		answers := make(chan answer)
		for i := range callerRequests {
			go func() {
				text := fmt.Sprintf("%d. %s", i, defaultText)
				n, err := continuation(ctx, m, text, callerRequestTokens)
				answers <- answer{n, err}
			}()
		}
		for range callerRequests {
			a := <-answers
			tokens, err = tokens+a.tokens, errors.Join(err, a.err)
		}
		return tokens, err
	})
}

// continuation reads a continuation to its end, and counts its tokens.
func continuation(ctx context.Context, m *mullama.Model, text string, most int) (int, error) {
	sampling := mullama.DefaultSampling()
	sampling.Temperature = 0
	stream, err := m.Generate(ctx, text, &mullama.GenerateOptions{
		Sampling: &sampling, MaxTokens: most})
	if err != nil {
		return 0, err
	}
	tokens := 0
	for {
		chunk, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return tokens, stream.Close()
		}
		if err != nil {
			return 0, errors.Join(err, stream.Close())
		}
		tokens += len(chunk.Tokens)
	}
}
