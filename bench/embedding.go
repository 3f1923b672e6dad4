package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// embeddingOptions are the flags of bench embedding.
type embeddingOptions struct {
	options
	lengths, batches, documents []int
	heaviest                    int
	peerRounds, peerTokens      int
	peers                       map[string]string
	python, torch               string
}

const embeddingLong = `Measure how many texts are embedded in a second: by package mullama in this
process, by the daemon over HTTP, and by a C program that has llama.cpp alone do it, in calls of one
and more texts of exact lengths, and for whole collections of documents of 8 to 24 tokens. All take
turns in another order each round. With --peer other servers take turns too, and with --python, a
Python of make peers-embedding, ONNX Runtime; with --torch, that of make peers-torch, FastEmbed and
sentence-transformers, which always computes in f32. A peer that is not measured is named in the
result.

Works of more tokens than --heaviest are done in the first round alone. Peers do a part of about
--peer-tokens of what has more, and with --peer-rounds take part in the first rounds alone: they are
slower, and their lead or distance is larger. Collections of more than 10,000 documents come in
calls of 256 only.`

func embeddingCommand() *cobra.Command {
	var o embeddingOptions
	cmd := &cobra.Command{
		Use:   "embedding",
		Short: "Measure embeddings beside llama.cpp alone and other servers",
		Long:  embeddingLong,
		Example: `  mullama bench embedding --model minilm.gguf --quick
  mullama bench embedding --model minilm.gguf --peer llama-server=./llama-server`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return embedding(cmd, o)
		},
	}
	o.define(cmd)
	f := cmd.Flags()
	f.IntSliceVar(&o.lengths, "lengths", []int{16, 64, 256, 512}, "tokens of a text")
	f.IntSliceVar(&o.batches, "batches", []int{1, 32, 256}, "texts of a call")
	f.IntSliceVar(&o.documents, "documents", []int{100, 1000, 10000},
		"sizes of collections, embedded one by one and in calls of 256")
	f.IntVar(&o.Rounds, "rounds", 3, "turns of every side and work")
	f.IntVar(&o.heaviest, "heaviest", 8000,
		"most tokens of a work that is done in each round")
	f.IntVar(&o.peerTokens, "peer-tokens", 8000,
		"about how many tokens of a work peers do at most")
	f.IntVar(&o.peerRounds, "peer-rounds", 0, "rounds in which peers take turns; 0: all")
	f.StringToStringVar(&o.peers, "peer", nil,
		"measure this server as well: llama-server=PROGRAM or ollama=PROGRAM (repeatable)")
	f.StringVar(&o.python, "python", "", "Python with onnxruntime, tokenizers and the weights")
	f.StringVar(&o.torch, "torch", "", "Python with sentence-transformers and fastembed as well")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the texts and of the order of the sides")
	return cmd
}

func (o *embeddingOptions) check() error {
	numbers := slices.Concat(o.lengths, o.batches, o.documents,
		[]int{o.Rounds, o.Threads, o.heaviest, o.peerTokens})
	if slices.Min(numbers) < 1 || len(o.lengths)*len(o.batches)+len(o.documents) == 0 {
		return errors.New("rounds, threads, lengths, batches, documents, heaviest and " +
			"peer-tokens must be at least 1")
	}
	if o.peerRounds < 0 {
		return errors.New("peer-rounds must be at least 0")
	}
	if slices.Max(append([]int{3}, o.lengths...)) > embeddingLongest {
		return fmt.Errorf("lengths are at most %d tokens", embeddingLongest)
	}
	return nil
}

// embedding runs the group and writes its result.
func embedding(cmd *cobra.Command, o embeddingOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	o.Slots, o.Context = 1, embeddingLongest
	o.Reps, o.ColdStarts, o.MaxForeign, o.PromptTokens, o.GenerateTokens = 1, 1, 1, 1, 1
	model, err := describeModel(o.model)
	if err != nil {
		return err
	}
	m := &embeddingMeter{o: o, random: rand.New(rand.NewPCG(o.Seed, 1)),
		result: newResult("embedding", commandLine(cmd, model.File), model, o.Config),
		say: func(format string, args ...any) {
			fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
		}}
	defer func() { err = errors.Join(err, m.stop()) }()
	if err := m.start(cmd.Context()); err != nil {
		return err
	}
	if err := m.run(cmd.Context()); err != nil {
		return err
	}
	m.result.Finished = time.Now().UTC()
	m.result.Rows = embeddingRows(m.result.Points)
	return o.write(cmd.OutOrStdout(), m.result)
}

// embeddingRows are those of the points, with the goal of our sides.
func embeddingRows(points []Point) []Row {
	rows := pointRows("embedding", points)
	for i := range rows {
		r := &rows[i]
		ours := strings.HasPrefix(r.Name, daemonName+"_") ||
			strings.HasPrefix(r.Name, libraryName+"_")
		if ours && r.Ratio != nil {
			r.Goal = &Goal{RatioAtLeast, 0.95}
			r.compare()
		}
	}
	return rows
}

// embeddingMeter measures all sides in turn.
type embeddingMeter struct {
	o       embeddingOptions
	sides   []embeddingSide
	cleanup []func() error
	random  *rand.Rand
	result  *Result
	say     func(format string, args ...any)

	afterPeer bool // the last turn was a peer's
}

// run measures every work in each round, or in the first alone if it is heavy.
func (m *embeddingMeter) run(ctx context.Context) error {
	works := embeddingWorks(m.o)
	m.sayWhatIsLess(works)
	for round := 1; round <= m.o.Rounds; round++ {
		for _, w := range works {
			if round > 1 && w.tokens > m.o.heaviest {
				continue
			}
			err := m.turn(ctx, round, w)
			if timeIsUp(ctx) && len(m.result.Points) > 0 {
				m.result.Warnings = append(m.result.Warnings, cutShort)
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// sayWhatIsLess names in the result what is done in fewer rounds, or in part.
func (m *embeddingMeter) sayWhatIsLess(works []embeddingWork) {
	warn := func(format string, n int) {
		m.result.Warnings = append(m.result.Warnings, fmt.Sprintf(format, n))
	}
	longer := func(tokens int) bool {
		return slices.ContainsFunc(works, func(w embeddingWork) bool { return w.tokens > tokens })
	}
	if m.o.Rounds > 1 && longer(m.o.heaviest) {
		warn("works of more than %d tokens were done in one round", m.o.heaviest)
	}
	if longer(m.o.peerTokens) {
		warn("peers did about %d tokens of works that have more", m.o.peerTokens)
	}
	if m.o.peerRounds > 0 && m.o.peerRounds < m.o.Rounds {
		warn("peers took turns in the first rounds alone, of which there are %d", m.o.peerRounds)
	}
}

// firstTexts returns calls with the first n texts, or one if n is less.
func firstTexts(calls [][]string, n int) [][]string {
	var some [][]string
	for n = max(n, 1); n > 0 && len(some) < len(calls); {
		call := calls[len(some)]
		call = call[:min(n, len(call))]
		some, n = append(some, call), n-len(call)
	}
	return some
}

func isPeer(side string) bool {
	return side != aloneName && side != libraryName && side != daemonName
}

// turn has each side do a work, but for peers whose rounds are over. Work that takes long is done
// in parts, for which the sides take turns: a machine that others use as well is not as fast from
// one minute to the next.
func (m *embeddingMeter) turn(ctx context.Context, round int, w embeddingWork) error {
	seed := m.o.Seed + uint64(round)
	all := w.calls(rand.New(rand.NewPCG(seed, uint64(w.tokens))))
	texts, seconds := map[string]int{}, map[string]float64{}
	for at, part := range w.parts(all) {
		for _, i := range m.random.Perm(len(m.sides)) {
			side, calls := m.sides[i], part
			if isPeer(side.name()) {
				if at > 0 || m.o.peerRounds > 0 && round > m.o.peerRounds {
					continue
				}
				calls = firstTexts(all, w.texts()*m.o.peerTokens/w.tokens)
			}
			took, err := m.seconds(ctx, side, calls)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", side.name(), w.name, err)
			}
			texts[side.name()] += len(slices.Concat(calls...))
			seconds[side.name()] += took
		}
	}
	m.add(round, w, func(side string) float64 { return float64(texts[side]) / seconds[side] },
		slices.Sorted(maps.Keys(texts)))
	return nil
}

// add adds the points of a turn.
func (m *embeddingMeter) add(
	round int, w embeddingWork, speed func(side string) float64, sides []string,
) {
	alone := speed(aloneName)
	for _, name := range sides {
		p := Point{Round: round, Case: name + ": " + w.name,
			Values: map[string]float64{"texts": speed(name)}}
		if name != aloneName {
			p.Baseline = map[string]float64{"texts": alone}
		}
		m.result.Points = append(m.result.Points, p)
		m.say("round %d, %s: %.1f texts/s, %.2f of llama.cpp", round, p.Case, speed(name),
			speed(name)/alone)
	}
}

// settle is how long the threads of peers may still wait awake after a turn: those of llama-server
// and of Ollama do so for 0.2 s, on the cores of the side that is next.
const settle = 250 * time.Millisecond

// seconds is how long a side takes to embed texts, once a few are embedded.
func (m *embeddingMeter) seconds(
	ctx context.Context, side embeddingSide, calls [][]string,
) (float64, error) {
	if m.afterPeer {
		time.Sleep(settle)
	}
	m.afterPeer = isPeer(side.name())
	warm := [][]string{calls[0][:min(len(calls[0]), 8)]}
	if _, err := side.embed(ctx, warm); err != nil {
		return 0, err
	}
	return side.embed(ctx, calls)
}
