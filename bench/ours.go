package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// side is our side of a benchmark in a process of its own. It takes the words and prints the lines
// that mullama-oracle does.
type side struct {
	runtime *mullama.Runtime
	model   *mullama.Model
	text    []mullama.Token
	load    time.Duration
	options map[string]int
	out     io.Writer
}

// oursCommand is the hidden command the throughput command starts.
func oursCommand() *cobra.Command {
	var library string
	cmd := &cobra.Command{
		Use:    "ours throughput|cold|rss MODEL TEXT [name=number …]",
		Short:  "Do our side's work of a benchmark and print what it took",
		Hidden: true,
		Args:   cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			options, err := parseOptions(args[3:])
			if err != nil {
				return err
			}
			s := &side{options: options, out: cmd.OutOrStdout()}
			defer func() { err = errors.Join(err, s.close()) }()
			if err := s.open(cmd.Context(), library, args[1], args[2]); err != nil {
				return err
			}
			return s.stage(cmd.Context(), args[0])
		},
	}
	cmd.Flags().StringVar(&library, "library", "", "folder of the native library")
	return cmd
}

// parseOptions reads words of the form name=number.
func parseOptions(words []string) (map[string]int, error) {
	options := map[string]int{
		"prompt": 512, "generate": 128, "reps": 3, "threads": 2, "ctx": 4096, "slots": 1,
	}
	for _, word := range words {
		name, number, _ := strings.Cut(word, "=")
		value, err := strconv.Atoi(number)
		if _, known := options[name]; !known || err != nil || value < 1 {
			return nil, fmt.Errorf("%q is no option: want prompt, generate, reps, threads, ctx or"+
				" slots and a number of at least 1, as in reps=3", word)
		}
		options[name] = value
	}
	return options, nil
}

func (s *side) open(ctx context.Context, library, path, text string) error {
	start := time.Now()
	var err error
	if s.runtime, err = mullama.Open(mullama.Options{LibraryDir: library}); err != nil {
		return err
	}
	s.model, err = s.runtime.Load(ctx, path, &mullama.LoadOptions{
		ContextSize:  s.options["ctx"],
		Slots:        s.options["slots"],
		Threads:      s.options["threads"],
		BatchThreads: s.options["threads"],
	})
	if err != nil {
		return err
	}
	s.load = time.Since(start)
	s.text, err = s.model.Tokenize(text, mullama.TokenizeOptions{AddSpecial: true})
	return err
}

func (s *side) close() error {
	var errs []error
	if s.model != nil {
		errs = append(errs, s.model.Close())
	}
	if s.runtime != nil {
		errs = append(errs, s.runtime.Close())
	}
	return errors.Join(errs...)
}

func (s *side) stage(ctx context.Context, name string) error {
	switch name {
	case "throughput":
		return s.throughput(ctx)
	case "cold":
		return s.cold(ctx)
	case "rss":
		return s.memory(ctx)
	}
	return fmt.Errorf("there is no stage %q: want throughput, cold or rss", name)
}

func (s *side) throughput(ctx context.Context) error {
	lines := json.NewEncoder(s.out)
	err := lines.Encode(Header{
		Program: "mullama",
		Engine:  s.runtime.Engine().Version,
		Threads: s.options["threads"],
		Context: s.model.ContextSize(),
		Load:    s.load.Seconds(),
	})
	if err != nil {
		return err
	}
	for rep := range s.options["reps"] + 1 { // repetition 0 warms up and is not printed
		r, err := s.repetition(ctx, rep)
		if err != nil {
			return err
		}
		if rep == 0 {
			continue
		}
		if err := lines.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *side) repetition(ctx context.Context, rep int) (Repetition, error) {
	n := s.options["prompt"]
	prompt := pseudoTokens(n, s.model.Info().Vocab, 1+uint64(rep))
	start := time.Now()
	if _, err := s.generate(ctx, prompt, 1); err != nil {
		return Repetition{}, err
	}
	took := time.Since(start)
	r, err := s.generate(ctx, s.text, s.options["generate"]+1)
	r.Rep, r.PromptTokens, r.PromptSeconds = rep, n, took.Seconds()
	return r, err
}

// generate continues prompt greedily by want tokens. The time runs from the first token to the end.
func (s *side) generate(
	ctx context.Context, prompt []mullama.Token, want int,
) (Repetition, error) {
	stream, err := s.model.GenerateTokens(ctx, prompt, greedy(want))
	if err != nil {
		return Repetition{}, err
	}
	r := Repetition{TextTokens: len(prompt)}
	sum := fnv.New64a()
	var start time.Time
	for chunk, err := range stream.All() {
		if err != nil {
			return r, err
		}
		addTokens(sum, chunk.Tokens)
		switch {
		case !start.IsZero():
			r.Generated += len(chunk.Tokens)
		case len(chunk.Tokens) > 0:
			start = time.Now()
			r.Generated = len(chunk.Tokens) - 1
		}
		if chunk.Done && chunk.Stats != nil {
			r.Steps, r.Overhead = chunk.Stats.Steps, chunk.Stats.StepOverhead.Seconds()
		}
	}
	r.Seconds = time.Since(start).Seconds()
	r.Sum = fmt.Sprintf("%016x", sum.Sum64())
	return r, nil
}

// cold prints the first token's text. The caller times the way from starting the process to it.
func (s *side) cold(ctx context.Context) error {
	stream, err := s.model.GenerateTokens(ctx, s.text, greedy(1))
	if err != nil {
		return err
	}
	for chunk, err := range stream.All() {
		if err != nil {
			return err
		}
		if _, err := io.WriteString(s.out, chunk.Text); err != nil {
			return err
		}
	}
	_, err = io.WriteString(s.out, "\n")
	return err
}

// memory prints this process's memory after a short generation.
func (s *side) memory(ctx context.Context) error {
	if _, err := s.generate(ctx, s.text, s.options["generate"]+1); err != nil {
		return err
	}
	return json.NewEncoder(s.out).Encode(ownMemory(os.DirFS("/")))
}

func greedy(tokens int) *mullama.GenerateOptions {
	sampling := mullama.DefaultSampling()
	sampling.Temperature = 0
	return &mullama.GenerateOptions{Sampling: &sampling, MaxTokens: tokens}
}

// pseudoTokens returns the same token ids as pseudo_tokens of native/oracle/bench.c. No two seeds
// share a prefix that a cache could keep.
func pseudoTokens(n, vocab int, seed uint64) []mullama.Token {
	tokens := make([]mullama.Token, n)
	state := seed
	for i := range tokens {
		state = state*6364136223846793005 + 1442695040888963407
		tokens[i] = mullama.Token((state >> 33) % uint64(vocab))
	}
	return tokens
}

// sumOf is the sum of tokens as both sides print it.
func sumOf(tokens []mullama.Token) string {
	sum := fnv.New64a()
	addTokens(sum, tokens)
	return fmt.Sprintf("%016x", sum.Sum64())
}

// addTokens adds tokens to a sum, as sum_token of native/oracle/bench.c does.
func addTokens(sum hash.Hash64, tokens []mullama.Token) {
	var b [4]byte
	for _, t := range tokens {
		binary.LittleEndian.PutUint32(b[:], uint32(t))
		sum.Write(b[:]) // a hash's Write never returns an error
	}
}
