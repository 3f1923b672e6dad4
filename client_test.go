package mullama_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testdaemon"
	"github.com/mullama/mullama/internal/testmodels"
)

// daemonOnce is the program with SmolLM2 in its store, for all tests. TestMain ends it.
var daemonOnce = sync.OnceValues(func() (*testdaemon.Daemon, error) {
	d, err := testdaemon.New()
	if err != nil {
		return nil, err
	}
	daemonStarted = d
	if err := d.Import(smolLM2, "smollm2"); err != nil {
		return nil, err
	}
	return d, d.Serve("--threads", "1")
})

var daemonStarted *testdaemon.Daemon

func endDaemon() error {
	if daemonStarted == nil {
		return nil
	}
	return daemonStarted.End()
}

// daemonClient returns a client of a daemon that has SmolLM2 as "smollm2".
func daemonClient(t testing.TB) *mullama.Client {
	t.Helper()
	testdaemon.RequireLibrary(t)
	testmodels.Path(t, "smollm2")
	d, err := daemonOnce()
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, d.URL())
}

func newClient(t testing.TB, url string) *mullama.Client {
	t.Helper()
	c, err := mullama.NewClient(url, mullama.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// opener is what programs need of a Runtime or a Client.
type opener interface {
	Load(ctx context.Context, name string, o *mullama.LoadOptions) (*mullama.Model, error)
	List() ([]mullama.StoredModel, error)
	Find(name string) (*mullama.StoredModel, error)
	Copy(src, dst string) error
	Delete(name string) error
	Running() []mullama.RunningModel
	Unload(name string) error
	Engine() mullama.EngineInfo
	Close() error
}

var _, _ opener = (*mullama.Runtime)(nil), (*mullama.Client)(nil)

// onBoth runs a test on SmolLM2 in this process and in a daemon.
func onBoth(t *testing.T, test func(t *testing.T, m *mullama.Model)) {
	t.Run("in this process", func(t *testing.T) { test(t, smolModel(t)) })
	t.Run("over a daemon", func(t *testing.T) {
		test(t, daemonModel(t))
	})
}

func daemonModel(t *testing.T) *mullama.Model { return loadFrom(t, daemonClient(t), "smollm2") }

func loadFrom(t *testing.T, e opener, name string) *mullama.Model {
	t.Helper()
	m, err := e.Load(t.Context(), name, &mullama.LoadOptions{ContextSize: 512, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// same is a check that both ways gave the same.
func same[T any](t *testing.T, what string, a, b T) {
	t.Helper()
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s: in this process %v, over a daemon %v", what, a, b)
	}
}

func collect(t *testing.T, s *mullama.Stream, err error) *mullama.Result {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Collect()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var capital = []mullama.Message{{Role: "system", Content: "You are a helpful assistant."},
	{Role: "user", Content: "What is the capital of France?"}}

func TestADaemonAnswersAsThisProcessDoes(t *testing.T) {
	here, there := smolModel(t), daemonModel(t)
	seed := uint32(7)
	begun := append(slices.Clone(capital), mullama.Message{Role: "assistant", Content: "The"})
	for name, opts := range map[string]mullama.ChatOptions{
		"greedy":       {GenerateOptions: mullama.GenerateOptions{Sampling: greedy()}},
		"a stop":       {GenerateOptions: mullama.GenerateOptions{Stop: []string{"France"}}},
		"logprobs":     {GenerateOptions: mullama.GenerateOptions{Logprobs: true, TopLogprobs: 3}},
		"a seed":       {GenerateOptions: mullama.GenerateOptions{Sampling: random(seed)}},
		"a grammar":    {GenerateOptions: mullama.GenerateOptions{Grammar: `root ::= "maybe"`}},
		"a schema":     {GenerateOptions: mullama.GenerateOptions{JSONSchema: `{"type":"number"}`}},
		"a bias":       {GenerateOptions: mullama.GenerateOptions{Sampling: biased(t, here)}},
		"a template":   {Template: "{{ messages[-1].content }} It is"},
		"a values":     {Template: "{{ x }}", TemplateValues: map[string]any{"x": "1, 2, 3,"}},
		"continuation": {Continue: true},
	} {
		t.Run(name, func(t *testing.T) {
			messages := capital
			if opts.Continue {
				messages = begun
			}
			if opts.Sampling == nil {
				opts.Sampling = greedy()
			}
			opts.MaxTokens = 12
			a, err := here.Chat(t.Context(), messages, &opts)
			one := collect(t, a, err)
			b, err := there.Chat(t.Context(), messages, &opts)
			two := collect(t, b, err)
			same(t, "text", one.Text, two.Text)
			same(t, "tokens", one.Tokens, two.Tokens)
			same(t, "finish reason", one.FinishReason, two.FinishReason)
			same(t, "stop string", one.StopString, two.StopString)
			same(t, "prompt", one.Stats.PromptTokens, two.Stats.PromptTokens)
			same(t, "generated", one.Stats.GeneratedTokens, two.Stats.GeneratedTokens)
			sameLogprobs(t, one.Logprobs, two.Logprobs)
			if two.Stats.Total <= 0 || two.Text == "" {
				t.Errorf("got %+v", two)
			}
		})
	}
}

// biased forbids the token that would come first.
func biased(t *testing.T, m *mullama.Model) *mullama.Sampling {
	tokens, err := m.Tokenize("The", mullama.TokenizeOptions{})
	if err != nil || len(tokens) != 1 {
		t.Fatal(tokens, err)
	}
	return &mullama.Sampling{LogitBias: map[mullama.Token]float32{tokens[0]: -100}}
}

func sameLogprobs(t *testing.T, a, b []mullama.TokenLogprob) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("there are %d and %d log probabilities", len(a), len(b))
	}
	for i := range a {
		same(t, "token", a[i].Token, b[i].Token)
		same(t, "bytes", a[i].Bytes, b[i].Bytes)
		d := a[i].Logprob - b[i].Logprob
		if d > 1e-3 || d < -1e-3 || len(a[i].Top) != len(b[i].Top) {
			t.Errorf("token %d: %v, %v", i, a[i], b[i])
		}
	}
}

func TestADaemonTokenizesAndRendersAsThisProcessDoes(t *testing.T) {
	here, there := smolModel(t), daemonModel(t)
	for _, text := range []string{"", "Hello, world!", "<|im_end|>", "h\u00e9 \U0001F600"} {
		for _, o := range []mullama.TokenizeOptions{{}, {AddSpecial: true}, {ParseSpecial: true}} {
			one, err := here.Tokenize(text, o)
			two, err2 := there.Tokenize(text, o)
			if err != nil || err2 != nil || !slices.Equal(one, two) {
				t.Errorf("%q: %v, %v and %v, %v", text, one, err, two, err2)
			}
			data, err := there.Detokenize(two)
			if err != nil || string(data) != text {
				t.Errorf("%q: the tokens' text is %q, %v", text, data, err)
			}
		}
	}
	for _, o := range []*mullama.ChatOptions{nil, {Open: true}, {Template: "x"}} {
		one, err := here.FormatChat(capital, o)
		two, err2 := there.FormatChat(capital, o)
		if err != nil || err2 != nil || one.Text != two.Text || len(one.Tokens) == 0 ||
			!slices.Equal(one.Tokens, two.Tokens) || !slices.Equal(one.Stops, two.Stops) {
			t.Errorf("%+v, %v and %+v, %v", one, err, two, err2)
		}
	}
}

func TestRawPromptsAreTheSameForADaemon(t *testing.T) {
	here, there := smolModel(t), daemonModel(t)
	tokens, err := here.Tokenize("1, 2, 3, 4,", mullama.TokenizeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	opts := mullama.GenerateOptions{Sampling: greedy(), MaxTokens: 6}
	for _, m := range []*mullama.Model{here, there} {
		_, err := m.Generate(t.Context(), "", &opts)
		wantKind(t, err, mullama.ErrInvalidOption, "empty")
		s, err := m.GenerateTokens(t.Context(), tokens, &opts)
		if r := collect(t, s, err); !strings.HasPrefix(r.Text, " 5, 6") {
			t.Errorf("tokens: %q", r.Text)
		}
	}
	for _, prompt := range []string{"<|im_end|>a", "1, 2, 3,"} {
		for _, special := range []bool{false, true} {
			opts.ParseSpecial = special
			one := generate(t, here, prompt, opts)
			two := generate(t, there, prompt, opts)
			same(t, prompt, one.Text, two.Text)
			same(t, prompt, one.Stats.PromptTokens, two.Stats.PromptTokens)
		}
	}
}

func TestErrorsAreOfTheSameKindOverADaemon(t *testing.T) {
	long := strings.Repeat("word ", 600)
	onBoth(t, func(t *testing.T, m *mullama.Model) {
		for name, tt := range map[string]struct {
			prompt string
			opts   mullama.ChatOptions
			want   error
		}{
			"too long":     {long, mullama.ChatOptions{}, mullama.ErrContextFull},
			"a template":   {"", mullama.ChatOptions{Template: "{% if %}"}, mullama.ErrTemplate},
			"continuation": {"", mullama.ChatOptions{Continue: true}, mullama.ErrInvalidOption},
			"a grammar": {"", generateOptions(mullama.GenerateOptions{Grammar: "root ::= ("}),
				mullama.ErrGrammar},
			"a schema": {"", generateOptions(mullama.GenerateOptions{JSONSchema: "{"}),
				mullama.ErrGrammar},
			"two at once": {"", generateOptions(mullama.GenerateOptions{Grammar: "x",
				JSONSchema: "{}"}), mullama.ErrInvalidOption},
			"a setting": {"", generateOptions(mullama.GenerateOptions{
				Sampling: &mullama.Sampling{TopP: 2}}), mullama.ErrInvalidOption},
			"max tokens": {"", generateOptions(mullama.GenerateOptions{MaxTokens: -1}),
				mullama.ErrInvalidOption},
		} {
			if tt.prompt == "" {
				tt.prompt = "Hi"
			}
			s, err := m.Chat(t.Context(),
				[]mullama.Message{{Role: "user", Content: tt.prompt}}, &tt.opts)
			if err == nil {
				_, err = s.Collect()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
		}
		if _, err := m.Chat(t.Context(), nil, nil); !errors.Is(err, mullama.ErrInvalidOption) {
			t.Errorf("no messages: %v", err)
		}
	})
}

func generateOptions(o mullama.GenerateOptions) mullama.ChatOptions {
	return mullama.ChatOptions{GenerateOptions: o}
}

func TestAnAnswerEndsWithTheContextTheStreamOrTheModel(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mullama.Model) {
		for name, end := range map[string]func(cancel func(), s *mullama.Stream){
			"the context": func(cancel func(), _ *mullama.Stream) { cancel() },
			"the stream":  func(_ func(), s *mullama.Stream) { s.Close() },
		} {
			endsCancelled(t, m, name, end)
		}
		endsCancelled(t, m, "the model", func(func(), *mullama.Stream) { m.Close() })
		_, err := m.Tokenize("a", mullama.TokenizeOptions{})
		wantKind(t, err, mullama.ErrClosed)
		_, err = m.Generate(t.Context(), "a", nil)
		wantKind(t, err, mullama.ErrClosed)
		_, err = m.FormatChat(capital, nil)
		wantKind(t, err, mullama.ErrClosed)
	})
}

func endsCancelled(
	t *testing.T, m *mullama.Model, name string, end func(cancel func(), s *mullama.Stream),
) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := m.Generate(ctx, "Once upon a time", &mullama.GenerateOptions{
		Sampling: &mullama.Sampling{IgnoreEOS: true}})
	if err != nil {
		t.Fatal(name, err)
	}
	if _, err := s.Next(); err != nil {
		t.Fatal(name, err)
	}
	end(cancel, s)
	within(t, 10*time.Second, "the end of an answer", func() {
		var last mullama.Chunk
		for err == nil {
			var c mullama.Chunk
			if c, err = s.Next(); err == nil {
				last = c
			}
		}
		ok := errors.Is(err, io.EOF) && last.FinishReason == mullama.FinishCancelled
		if !ok && !errors.Is(err, mullama.ErrClosed) {
			t.Errorf("%s: %+v, %v", name, last, err)
		}
	})
}

func TestAContextThatHasEndedIsErrCancelled(t *testing.T) {
	onBoth(t, func(t *testing.T, m *mullama.Model) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := m.Generate(ctx, "a", nil)
		wantKind(t, err, mullama.ErrCancelled)
	})
}

func TestTheStoreOverADaemon(t *testing.T) {
	c := daemonClient(t)
	before, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Copy("smollm2", "twin"); err != nil {
		t.Fatal(err)
	}
	list, err := c.List()
	if err != nil || len(list) != len(before)+1 || list[0].Size == 0 || list[0].Digest == "" {
		t.Errorf("List = %+v, %v", list, err)
	}
	first, err := c.Find("smollm2")
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.Find("Twin:latest")
	if err != nil || found.Digest != first.Digest || found.Details.Family != "llama" {
		t.Errorf("Find = %+v, %v", found, err)
	}
	m := loadFrom(t, c, "twin")
	if m.ContextSize() != 512 || m.Slots() == 0 || m.Info().Architecture != "llama" ||
		m.Info().Template == "" || m.Info().Layers != 30 {
		t.Errorf("the model has %d tokens, %d slots, %+v", m.ContextSize(), m.Slots(), m.Info())
	}
	running := slices.ContainsFunc(c.Running(), func(r mullama.RunningModel) bool {
		return r.Stored.Digest == found.Digest && r.ContextSize == 512 && r.Slots == m.Slots()
	})
	if !running {
		t.Errorf("Running = %+v", c.Running())
	}
	if err := errors.Join(c.Unload("twin"), c.Delete("twin")); err != nil {
		t.Error(err)
	}
	_, err = c.Find("twin")
	wantKind(t, err, mullama.ErrNotFound, "twin")
	_, err = c.Load(t.Context(), "twin", nil)
	wantKind(t, err, mullama.ErrNotFound, "twin")
	wantKind(t, c.Delete("twin"), mullama.ErrNotFound)
	if v := c.Engine().Version; !strings.HasPrefix(v, "daemon ") {
		t.Errorf("Engine = %q", v)
	}
}

func TestOptionsOfALoadThatADaemonTakesAndLeaves(t *testing.T) {
	c := daemonClient(t)
	_, err := c.Load(t.Context(), "smollm2", &mullama.LoadOptions{RoPEFreqBase: 1})
	wantKind(t, err, mullama.ErrUnsupported, "RoPE")
	_, err = c.Load(t.Context(), "smollm2", &mullama.LoadOptions{Slots: -1})
	wantKind(t, err, mullama.ErrInvalidOption, "slots")
	_, err = c.Load(t.Context(), "/etc/passwd", nil)
	wantKind(t, err, mullama.ErrInvalidOption, "path")

	loaded := float32(0)
	m, err := c.Load(t.Context(), "smollm2", &mullama.LoadOptions{VocabOnly: true, Slots: 2,
		Progress: func(f float32) { loaded = f }})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if w := m.Warnings(); loaded != 1 || len(w) != 1 || !strings.Contains(w[0], "slots") {
		t.Errorf("loaded %g, warnings %q", loaded, w)
	}
	if tokens, err := m.Tokenize("Hello", mullama.TokenizeOptions{}); err != nil ||
		!slices.Equal(tokens, []mullama.Token{19556}) {
		t.Errorf("tokens %v, %v", tokens, err)
	}
	_, err = m.Generate(t.Context(), "a", nil)
	wantKind(t, err, mullama.ErrUnsupported, "vocabulary")
	_, err = m.FillInMiddle("a", "b")
	wantKind(t, err, mullama.ErrUnsupported)
	_, err = m.Detokenize([]mullama.Token{1 << 30})
	wantKind(t, err, mullama.ErrInvalidOption)
}

func TestADaemonSaysHowMuchOfAPromptWasCut(t *testing.T) {
	m := daemonModel(t)
	opts := mullama.ChatOptions{GenerateOptions: mullama.GenerateOptions{
		Sampling: greedy(), Truncate: true, MaxTokens: 4}}
	s, err := m.Chat(t.Context(), []mullama.Message{
		{Role: "user", Content: strings.Repeat("word ", 600)}, {Role: "assistant", Content: "a"},
		{Role: "user", Content: "Hi"}}, &opts)
	collect(t, s, err)
	if cut := s.Truncation(); cut.Messages == 0 || cut.Tokens == 0 {
		t.Errorf("cut %+v", cut)
	}
}

func TestManyCallsAtOnceOverADaemon(t *testing.T) {
	m := daemonModel(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := m.Chat(context.Background(), capital, &mullama.ChatOptions{
				GenerateOptions: mullama.GenerateOptions{Sampling: greedy(), MaxTokens: 16}})
			if err != nil {
				t.Error(err)
				return
			}
			if r, err := s.Collect(); err != nil || r.Text != "The capital of France is Paris." {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
	all.Wait()
}

func TestALoadThatItsProgressEndsGivesNoModel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m, err := daemonClient(t).Load(ctx, "smollm2", &mullama.LoadOptions{
		VocabOnly: true, Progress: func(float32) { cancel() }})
	if m != nil || !errors.Is(err, mullama.ErrCancelled) {
		t.Errorf("got %v, %v", m, err)
	}
}
