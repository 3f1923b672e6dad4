package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/coder/websocket"
	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/bench/load"
)

// streamingPrompt is what every answer of the group continues: the same for all, so that it is
// cached after the first time.
const streamingPrompt = defaultText

func streamingCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "streaming",
		Short: "Measure how evenly tokens arrive: callback, channel, WebSocket, events",
		Long: `Measure the time between the tokens of an answer where a program gets them: in a
callback and from a channel in this process, and from the daemon over a WebSocket and as
server-sent events. All continue the same text with the same model, one answer at a time, in an
order that is drawn anew for each round, and after a pause, so that what one way leaves behind does
not slow the next. Jitter is the standard deviation of the gaps.`,
		Example: "  mullama bench streaming --model smollm2.gguf",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return streaming(cmd, o) },
	}
	o.define(cmd)
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", 10, "turns of every way")
	f.IntVar(&o.GenerateTokens, "generate-tokens", 128, "length of the answers")
	return cmd
}

// streaming runs the group and writes its result.
func streaming(cmd *cobra.Command, o options) (err error) {
	if o.Rounds < 1 || o.GenerateTokens < 3 || o.Threads < 1 {
		return errors.New("rounds and threads must be at least 1, and generate-tokens 3")
	}
	o.Slots, o.Context, o.PromptTokens = 1, o.GenerateTokens+128, 1
	o.Reps, o.ColdStarts, o.MaxForeign, o.Text = 1, 1, 1, streamingPrompt
	p, err := newProbes(cmd, "streaming", o)
	if err != nil {
		return err
	}
	served := streamOptions{options: o}
	work, err := served.serving()
	if err != nil {
		return err
	}
	m := &deliveries{probes: p, random: rand.New(rand.NewPCG(o.Seed, 1))}
	if m.library, err = openInProcess(cmd.Context(), work); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.library.close()) }()
	if m.daemon, err = startDaemon(cmd.Context(), work, false); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.daemon.stop()) }()
	if err := p.rounds(func() error { return m.turn(cmd.Context()) }); err != nil {
		return err
	}
	p.result.Calls = m.gaps
	return p.finish(cmd.OutOrStdout())
}

// deliveries takes the times at which tokens arrive in each way.
type deliveries struct {
	*probes
	library *inProcess
	daemon  *served
	random  *rand.Rand
	gaps    []Calls
}

// calm is how long an answer waits for what the one before it left running: llama.cpp's threads
// spin for 0.2 s before they sleep, unless whoever starts them says otherwise.
const calm = 300 * time.Millisecond

// streamingWays are the ways in which tokens get to a program.
var streamingWays = []struct {
	name, title string
	answer      func(*deliveries, context.Context) (*delivery, error)
}{
	{"callback", "callback", (*deliveries).callback},
	{"channel", "channel", (*deliveries).channel},
	{"websocket", "WebSocket", (*deliveries).socket},
	{"sse", "server-sent events", (*deliveries).events},
}

// delivery is one answer: when it was asked for, and when each part arrived.
type delivery struct {
	start time.Time
	parts []time.Time
}

func (d *delivery) part() { d.parts = append(d.parts, time.Now()) }

// turn has every way give one answer, in the first round after one that warms up.
func (m *deliveries) turn(ctx context.Context) error {
	for _, i := range m.random.Perm(len(streamingWays)) {
		way := streamingWays[i]
		if m.round == 1 {
			if _, err := way.answer(m, ctx); err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
		}
		time.Sleep(calm)
		d, err := way.answer(m, ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		if len(d.parts) < m.o.GenerateTokens/2 {
			return fmt.Errorf("%s: an answer came in %d parts, which are too few", way.name,
				len(d.parts))
		}
		m.book(way.name, d)
	}
	return nil
}

// book adds an answer to the result.
func (m *deliveries) book(way string, d *delivery) {
	var gaps []float64 // milliseconds
	sum := 0.0
	for i := 1; i < len(d.parts); i++ {
		gap := milliseconds(d.parts[i].Sub(d.parts[i-1]))
		gaps, sum = append(gaps, gap), sum+gap
	}
	mean, squares := sum/float64(len(gaps)), 0.0
	for _, gap := range gaps {
		squares += (gap - mean) * (gap - mean)
	}
	slices.Sort(gaps)
	last := d.parts[len(d.parts)-1]
	m.add(way, map[string]float64{
		"gap_p50_ms": quantile(gaps, 0.50), "gap_p95_ms": quantile(gaps, 0.95),
		"gap_p99_ms": quantile(gaps, 0.99), "jitter_ms": math.Sqrt(squares / float64(len(gaps))),
		"ttft_ms":  milliseconds(d.parts[0].Sub(d.start)),
		"tokens_s": float64(m.o.GenerateTokens-1) / last.Sub(d.parts[0]).Seconds(),
	}, nil)
	quantiles := make([]float64, 101)
	for i := range quantiles {
		quantiles[i] = 1e6 * quantile(gaps, float64(i)/100)
	}
	m.gaps = append(m.gaps, Calls{Round: m.round, Side: way, Call: "gap", Count: len(gaps),
		Quantiles: quantiles})
}

// generate begins an answer in this process.
func (m *deliveries) generate(ctx context.Context) (*delivery, *mullama.Stream, error) {
	o := greedy(m.o.GenerateTokens)
	o.Sampling.IgnoreEOS = true
	d := &delivery{start: time.Now()}
	stream, err := m.library.model.Generate(ctx, streamingPrompt, o)
	return d, stream, err
}

// callback gets the parts in a function that the stream calls.
func (m *deliveries) callback(ctx context.Context) (*delivery, error) {
	d, stream, err := m.generate(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Each(func(chunk mullama.Chunk) error {
		if chunk.Text != "" {
			d.part()
		}
		return nil
	})
	return d, err
}

// channel gets the parts from a channel.
func (m *deliveries) channel(ctx context.Context) (*delivery, error) {
	d, stream, err := m.generate(ctx)
	if err != nil {
		return nil, err
	}
	for chunk := range stream.Channel(ctx) {
		if chunk.Text != "" {
			d.part()
		}
	}
	return d, stream.Err()
}

// events gets the parts as server-sent events of OpenAI's completions.
func (m *deliveries) events(ctx context.Context) (*delivery, error) {
	w := load.Work{URL: m.daemon.url, Model: servedName, Requests: 1, Streams: 1,
		PromptTokens: 1, Text: streamingPrompt, Tokens: m.o.GenerateTokens}
	run, err := answered(ctx, w)
	if err != nil {
		return nil, err
	}
	a := run.Answers[0]
	at := func(s float64) time.Time { return run.Started.Add(time.Duration(s * 1e9)) }
	d := &delivery{start: at(a.Start)}
	for _, s := range a.Times {
		d.parts = append(d.parts, at(s))
	}
	return d, nil
}

// socket gets the parts over a WebSocket that was opened before.
func (m *deliveries) socket(ctx context.Context) (*delivery, error) {
	conn, _, err := websocket.Dial(ctx, m.daemon.url+"/ws", nil) //nolint:bodyclose // it has none
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.CloseNow() }()
	order, err := json.Marshal(map[string]any{"type": "generate", "id": "1",
		"body": map[string]any{"model": servedName, "prompt": streamingPrompt, "raw": true,
			"options": map[string]any{"temperature": 0, "num_predict": m.o.GenerateTokens,
				"ignore_eos": true}}})
	if err != nil {
		return nil, err
	}
	d := &delivery{start: time.Now()}
	if err := conn.Write(ctx, websocket.MessageText, order); err != nil {
		return nil, err
	}
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return nil, err
		}
		var message struct{ Type, Content, Error string }
		if err := json.Unmarshal(data, &message); err != nil {
			return nil, fmt.Errorf("a message is not JSON: %.100q", data)
		}
		switch {
		case message.Type == "token" && message.Content != "":
			d.part()
		case message.Type == "error":
			return nil, errors.New(message.Error)
		case message.Type == "done":
			return d, conn.Close(websocket.StatusNormalClosure, "")
		}
	}
}
