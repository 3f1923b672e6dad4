package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/testmodels"
)

func TestWorksHaveTheTextsThatTheyName(t *testing.T) {
	works := embeddingWorks(embeddingOptions{
		lengths: []int{16, 512}, batches: []int{1, 32}, documents: []int{300, 100},
	})
	want := []struct {
		name                string
		calls, first, texts int
	}{
		{"16 tokens, calls of 1", 256, 1, 256},
		{"16 tokens, calls of 32", 8, 32, 256},
		{"512 tokens, calls of 1", 8, 1, 8},
		{"512 tokens, calls of 32", 1, 32, 32},
		{"300 documents, one by one", 300, 1, 300},
		{"300 documents, calls of 256", 2, 256, 300},
		{"100 documents, one by one", 300, 1, 300},
		{"100 documents, calls of 256", 3, 100, 300},
	}
	for i, w := range works {
		calls := w.calls(rand.New(rand.NewPCG(1, 2)))
		texts := slices.Concat(calls...)
		if w.name != want[i].name || len(calls) != want[i].calls ||
			len(calls[0]) != want[i].first || len(texts) != want[i].texts ||
			w.texts() != want[i].texts {
			t.Errorf("%q has %d calls of %d, %d texts, want %+v", w.name, len(calls),
				len(calls[0]), len(texts), want[i])
		}
		for _, text := range texts {
			n := len(strings.Fields(text)) + 2
			if w.length > 0 && n != w.length || w.length == 0 && (n < 8 || n > 24) {
				t.Errorf("%s: a text has %d tokens", w.name, n)
			}
		}
	}
}

func TestPeersDoThePartOfAWorkThatTheyAreGiven(t *testing.T) {
	calls := [][]string{{"a", "b", "c"}, {"d", "e", "f"}, {"g"}}
	for n, want := range map[int]string{
		0: "[[a]]", 2: "[[a b]]", 3: "[[a b c]]", 4: "[[a b c] [d]]", 9: "[[a b c] [d e f] [g]]",
	} {
		if got := fmt.Sprint(firstTexts(calls, n)); got != want {
			t.Errorf("the first %d texts are in the calls %s, want %s", n, got, want)
		}
	}
	for _, w := range embeddingWorks(embeddingOptions{documents: []int{10_000, 10_001}}) {
		if w.name == "10001 documents, one by one" {
			t.Error("a large collection is embedded one by one")
		}
	}
}

// countingSide counts the texts it is given in each turn after the first ones.
type countingSide struct {
	side  string
	turns *[]string
	warm  bool
}

func (s *countingSide) name() string { return s.side }

func (s *countingSide) stop() error { return nil }

func (s *countingSide) embed(_ context.Context, calls [][]string) (float64, error) {
	if s.warm = !s.warm; !s.warm {
		*s.turns = append(*s.turns, fmt.Sprint(s.side, " ", len(slices.Concat(calls...))))
	}
	return 1, nil
}

func TestPeersTakePartInTheFirstRoundsAndDoAPart(t *testing.T) {
	var turns []string
	o := embeddingOptions{lengths: []int{16}, batches: []int{300}, heaviest: 5000,
		peerTokens: 160, peerRounds: 1, options: options{work: work{Config: Config{Rounds: 2}}}}
	m := &embeddingMeter{o: o, result: testResult(), random: rand.New(rand.NewPCG(1, 1)),
		say: func(string, ...any) {}}
	for _, side := range []string{aloneName, libraryName, "ollama"} {
		m.sides = append(m.sides, &countingSide{side: side, turns: &turns})
	}
	if err := m.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(turns)
	want := []string{"library 300", "library 300", "llama.cpp 300", "llama.cpp 300", "ollama 10"}
	if !slices.Equal(turns, want) {
		t.Errorf("turns are %q, want %q", turns, want)
	}
	if len(m.result.Points) != 5 || len(m.result.Warnings) != 2 {
		t.Errorf("%d points and warnings %q", len(m.result.Points), m.result.Warnings)
	}
}

func TestSidesTakeTurnsForPartsOfALongWork(t *testing.T) {
	var turns []string
	o := embeddingOptions{documents: []int{2560}, peerTokens: 160,
		options: options{work: work{Config: Config{Rounds: 1}}}}
	m := &embeddingMeter{o: o, result: testResult(), random: rand.New(rand.NewPCG(1, 1)),
		say: func(string, ...any) {}}
	for _, side := range []string{aloneName, "ollama"} {
		m.sides = append(m.sides, &countingSide{side: side, turns: &turns})
	}
	works := embeddingWorks(o)
	if err := m.turn(t.Context(), 1, works[len(works)-1]); err != nil {
		t.Fatal(err)
	}
	want := slices.Repeat([]string{"llama.cpp 256"}, 10)
	slices.Sort(turns)
	if !slices.Equal(turns, append(want, "ollama 10")) || len(m.result.Points) != 2 {
		t.Fatalf("turns are %q, want %q and one of the peer; %d points", turns, want,
			len(m.result.Points))
	}
	for _, p := range m.result.Points { // a turn takes a second
		speed := map[bool]float64{true: 256, false: 10}[strings.HasPrefix(p.Case, aloneName)]
		if p.Values["texts"] != speed {
			t.Errorf("%s: %g texts a second, want %g", p.Case, p.Values["texts"], speed)
		}
	}
}

func TestSidesAreComparedInTheRoundTheyShare(t *testing.T) {
	r := testResult()
	r.Group, r.Rounds = "embedding", []Round{}
	for round, alone := range []float64{100, 200} {
		work := ": 16 tokens, calls of 1"
		r.Points = append(r.Points,
			Point{Round: round + 1, Case: "llama.cpp" + work,
				Values: map[string]float64{"texts": alone}},
			Point{Round: round + 1, Case: "library" + work,
				Values:   map[string]float64{"texts": 0.9 * alone},
				Baseline: map[string]float64{"texts": alone}},
			Point{Round: round + 1, Case: "ollama" + work,
				Values:   map[string]float64{"texts": 0.5 * alone},
				Baseline: map[string]float64{"texts": alone}})
	}
	r.Rows = embeddingRows(r.Points)
	got := Report([]*Result{r})
	for _, want := range []string{
		"| texts per second | llama.cpp alone | Mullama in process | Ollama |\n" +
			"|---|--:|--:|--:|\n" +
			"| 16 tokens, calls of 1 | 150 | 135 (0.90) | 75.0 (0.50) |\n",
		"Falls short: library_16_tokens_calls_of_1_texts is 0.900 where the goal is ratio ≥ 0.95.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, data); err != nil {
		t.Errorf("%v\n%s", err, data)
	}
}

func TestAnAnswerWithOtherEmbeddingsIsAnError(t *testing.T) {
	d := atServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"data":[{"embedding":[1]}]}`))
	})
	s := &embeddingServer{"ollama", d}
	if _, err := s.embed(t.Context(), [][]string{{"a"}, {"b"}}); err != nil {
		t.Errorf("one for one: %v", err)
	}
	_, err := s.embed(t.Context(), [][]string{{"a", "b"}})
	if err == nil || !strings.Contains(err.Error(), "has not 2 embeddings") {
		t.Errorf("one for two: %v", err)
	}
}

func TestAProgramThatEndsSaysWhy(t *testing.T) {
	var header any
	_, err := startWorker("some program",
		exec.Command("sh", "-c", "echo no weights >&2; exit 3"), &header)
	if err == nil || !strings.Contains(err.Error(), "some program") ||
		!strings.Contains(err.Error(), "no weights") {
		t.Errorf("error is %v", err)
	}
}

func TestEmbeddingsAreMeasuredInProcessAndAlone(t *testing.T) {
	path := testmodels.Path(t, "minilm-q8")
	l, err := openEmbeddingLibrary(t.Context(), serving{model: path, context: 512, threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	o := embeddingOptions{lengths: []int{16}, batches: []int{3}, options: options{
		work: work{model: path, Config: Config{Threads: 1}}}}
	m := &embeddingMeter{o: o, result: testResult()}
	alone, err := m.startAlone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.sides = []embeddingSide{l, alone}
	defer func() {
		if err := m.stop(); err != nil {
			t.Error(err)
		}
	}()
	works := embeddingWorks(o)
	if err := l.check(works); err != nil {
		t.Error(err)
	}
	calls := works[0].calls(rand.New(rand.NewPCG(1, 1)))[:2]
	for _, side := range m.sides {
		seconds, err := side.embed(t.Context(), calls)
		if err != nil || seconds <= 0 {
			t.Errorf("%s took %v s: %v", side.name(), seconds, err)
		}
	}
	if !strings.HasPrefix(alone.engine, "llama.cpp ") {
		t.Errorf("the baseline calls itself %q", alone.engine)
	}
}

func TestOtherVocabulariesAreRefused(t *testing.T) {
	l, err := openEmbeddingLibrary(t.Context(), serving{
		model: testmodels.Path(t, "smollm2"), context: 64, threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.stop() }()
	err = l.check(embeddingWorks(embeddingOptions{lengths: []int{16}, batches: []int{1}}))
	if err == nil || !strings.Contains(err.Error(), "BERT's vocabulary") {
		t.Errorf("error is %v", err)
	}
}

func TestLibrariesOfPythonThatAreNotThereAreNamed(t *testing.T) {
	m := &embeddingMeter{result: testResult()}
	if err := m.startPython(t.Context()); err != nil || len(m.sides) != 0 {
		t.Fatalf("error %v, %d sides", err, len(m.sides))
	}
	got := strings.Join(m.result.Warnings, "\n")
	for _, want := range []string{"onnxruntime-", "fastembed-",
		"sentence-transformers was not measured: --torch names no Python for it"} {
		if !strings.Contains(got, want) {
			t.Errorf("the warnings lack %q:\n%s", want, got)
		}
	}
}
