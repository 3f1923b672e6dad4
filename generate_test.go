package mullama_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

func TestGreedyTextIsRepeatable(t *testing.T) {
	m := tinyModel(t)
	o := mullama.GenerateOptions{MaxTokens: 40, Sampling: greedy()}
	first := generate(t, m, "the old river", o)
	if len(first.Tokens) != 40 || first.Text == "" || first.FinishReason != mullama.FinishLength {
		t.Errorf("got %d tokens, %q, %s; want 40 and length", len(first.Tokens), first.Text,
			first.FinishReason)
	}
	for range 3 {
		if got := generate(t, m, "the old river", o); got.Text != first.Text {
			t.Errorf("got %q; want %q again", got.Text, first.Text)
		}
	}
	bytesOf, err := m.Detokenize(first.Tokens)
	if want := strings.ToValidUTF8(string(bytesOf), "\uFFFD"); err != nil ||
		strings.TrimLeft(want, " ") != strings.TrimLeft(first.Text, " ") {
		t.Errorf("the tokens are %q, %v; want the text %q", want, err, first.Text)
	}
}

func TestSeedDecidesTheText(t *testing.T) {
	m := tinyModel(t)
	text := func(s *mullama.Sampling) string {
		return generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 20, Sampling: s}).Text
	}
	seen := map[string]bool{}
	for seed := range uint32(5) {
		first := text(random(seed))
		if again := text(random(seed)); again != first {
			t.Errorf("seed %d: got %q, then %q", seed, first, again)
		}
		seen[first] = true
	}
	if len(seen) != 5 {
		t.Errorf("five seeds gave %d texts; want 5", len(seen))
	}
	unseeded := &mullama.Sampling{Temperature: 1}
	if a, b := text(unseeded), text(unseeded); a == b {
		t.Errorf("without a seed the text came twice: %q", a)
	}
}

func TestMaxTokensAndStats(t *testing.T) {
	m := tinyModel(t)
	for _, n := range []int{1, 2, 17} {
		got := generate(t, m, "one two", mullama.GenerateOptions{MaxTokens: n, Sampling: greedy()})
		s := got.Stats
		if len(got.Tokens) != n || s.GeneratedTokens != n ||
			got.FinishReason != mullama.FinishLength {
			t.Errorf("%d: got %d tokens, %s", n, len(got.Tokens), got.FinishReason)
		}
		prompt, err := m.Tokenize("one two", mullama.TokenizeOptions{AddSpecial: true})
		if err != nil || s.PromptTokens != len(prompt) || s.CachedTokens != 0 {
			t.Errorf("%d prompt tokens, %d cached; want %d, 0", s.PromptTokens, s.CachedTokens,
				len(prompt))
		}
		if s.Steps < n || s.Prefill <= 0 || s.FirstToken < s.Prefill || s.Total < s.FirstToken ||
			s.Queue < 0 || n > 1 && s.Decode <= 0 {
			t.Errorf("the counters do not fit together: %+v", s)
		}
	}
}

func TestStopStringsCutTheText(t *testing.T) {
	m := tinyModel(t)
	o := mullama.GenerateOptions{MaxTokens: 60, Sampling: random(7)}
	whole := generate(t, m, "once", o).Text
	for _, stop := range []string{whole[10:13], whole[20:21], whole[30:]} {
		if !strings.Contains(whole, stop) || strings.Contains(stop, "\uFFFD") {
			continue
		}
		o.Stop = []string{"never in it", stop, ""}
		got := generate(t, m, "once", o)
		want, _, _ := strings.Cut(whole, stop)
		if got.Text != want || got.StopString != stop || got.FinishReason != mullama.FinishStop {
			t.Errorf("stop %q: got %q, %q, %s; want %q", stop, got.Text, got.StopString,
				got.FinishReason, want)
		}
	}
	o.Stop = []string{"never in it"}
	if got := generate(t, m, "once", o); got.Text != whole || got.StopString != "" {
		t.Errorf("got %q, %q; want %q and no stop string", got.Text, got.StopString, whole)
	}
}

func TestModelEndsByItsOwnChoiceUnlessToldNotTo(t *testing.T) {
	m := tinyModel(t)
	end := map[mullama.Token]float32{synth.TokenEnd: 1000}
	s := mullama.Sampling{LogitBias: end}
	got := generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 9, Sampling: &s})
	if got.Text != "" || got.FinishReason != mullama.FinishStop || got.StopString != "" ||
		got.Stats.GeneratedTokens != 1 {
		t.Errorf("got %q, %s, %d tokens; want nothing but the end", got.Text, got.FinishReason,
			got.Stats.GeneratedTokens)
	}
	s.IgnoreEOS = true
	got = generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 9, Sampling: &s})
	if len(got.Tokens) != 9 || got.FinishReason != mullama.FinishLength {
		t.Errorf("IgnoreEOS: got %d tokens, %s; want 9, length", len(got.Tokens),
			got.FinishReason)
	}
}

func TestLogitBiasForcesAndBans(t *testing.T) {
	m := tinyModel(t)
	o := mullama.GenerateOptions{MaxTokens: 6, Sampling: &mullama.Sampling{
		LogitBias: map[mullama.Token]float32{synth.TokenByte0 + 'z': 1000}}}
	if got := generate(t, m, "once", o); got.Text != "zzzzzz" {
		t.Errorf("forced: got %q; want only z", got.Text)
	}
	o.Sampling = greedy()
	usual := generate(t, m, "once", o).Tokens
	o.Sampling = &mullama.Sampling{LogitBias: map[mullama.Token]float32{}}
	for _, token := range usual {
		o.Sampling.LogitBias[token] = float32(math.Inf(-1))
	}
	for _, token := range generate(t, m, "once", o).Tokens {
		if slices.Contains(usual, token) {
			t.Errorf("token %d came although it is banned", token)
		}
	}
	o.Sampling = &mullama.Sampling{LogitBias: map[mullama.Token]float32{99999: 1}}
	_, err := m.Generate(t.Context(), "once", &o)
	wantKind(t, err, mullama.ErrInvalidOption, "logit bias for token 99999")
}

func TestBanningEveryTokenIsNoCrash(t *testing.T) {
	m := tinyModel(t)
	bias := map[mullama.Token]float32{}
	for i := range mullama.Token(m.Info().Vocab) {
		bias[i] = float32(math.Inf(-1))
	}
	for _, temperature := range []float32{0, 1} {
		stream, err := m.Generate(t.Context(), "once", &mullama.GenerateOptions{MaxTokens: 3,
			Sampling: &mullama.Sampling{Temperature: temperature, LogitBias: bias}})
		if err == nil {
			_, err = stream.Collect()
		}
		if err != nil {
			wantKind(t, err, mullama.ErrInternal)
		}
	}
}

func TestLogprobs(t *testing.T) {
	m := tinyModel(t)
	vocab := m.Info().Vocab
	got := generate(t, m, "once", mullama.GenerateOptions{
		MaxTokens: 12, Sampling: random(3), TopLogprobs: vocab})
	if len(got.Logprobs) != len(got.Tokens) || len(got.Tokens) != 12 {
		t.Fatalf("got %d log probabilities for %d tokens", len(got.Logprobs), len(got.Tokens))
	}
	for i, lp := range got.Logprobs {
		want, _ := m.Detokenize([]mullama.Token{lp.Token})
		trim := func(b []byte) []byte { return bytes.TrimPrefix(b, []byte(" ")) }
		if lp.Token != got.Tokens[i] || !bytes.Equal(trim(lp.Bytes), trim(want)) {
			t.Errorf("%d: token %d has bytes %q; want token %d, %q", i, lp.Token, lp.Bytes,
				got.Tokens[i], want)
		}
		sorted := slices.IsSortedFunc(lp.Top, func(a, b mullama.TopLogprob) int {
			return cmp.Compare(b.Logprob, a.Logprob)
		})
		sum, own := 0.0, float32(math.NaN())
		for _, top := range lp.Top {
			sum += math.Exp(float64(top.Logprob))
			if top.Token == lp.Token {
				own = top.Logprob
			}
		}
		if !sorted || len(lp.Top) != vocab || math.Abs(sum-1) > 1e-3 {
			t.Errorf("%d: %d top tokens, sorted %v, sum %g; want %d, sorted, 1", i, len(lp.Top),
				sorted, sum, vocab)
		}
		if math.Abs(float64(own-lp.Logprob)) > 1e-6 || lp.Logprob > 0 {
			t.Errorf("%d: log probability %g, in the list %g", i, lp.Logprob, own)
		}
	}
	plain := generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 4, Logprobs: true})
	none := generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 4})
	if len(plain.Logprobs) != 4 || plain.Logprobs[0].Top != nil || none.Logprobs != nil {
		t.Errorf("got %v and %v; want four without lists, and none", plain.Logprobs, none.Logprobs)
	}
}

func TestGreedyPicksTheLikeliest(t *testing.T) {
	got := generate(t, tinyModel(t), "once", mullama.GenerateOptions{
		MaxTokens: 20, Sampling: greedy(), TopLogprobs: 2})
	for i, lp := range got.Logprobs {
		if lp.Top[0].Token != lp.Token || lp.Top[0].Logprob != lp.Logprob {
			t.Errorf("%d: got %+v; want the first of the list", i, lp)
		}
	}
}

func TestGrammarConstrainsTheText(t *testing.T) {
	m := tinyModel(t)
	for _, tt := range []struct{ grammar, match string }{
		{`root ::= "yes" | "no"`, `^(yes|no)$`},
		{`root ::= [0-9]{3} "-" [a-f]+ "."`, `^[0-9]{3}-[a-f]+\.?$`},
		{"# a comment\nroot ::= word (\" \" word){2}\nword ::= \"世界\" | \"é\"",
			`^(世界|é)( (世界|é)){2}$`},
	} {
		for seed := range uint32(3) {
			got := generate(t, m, "once", mullama.GenerateOptions{
				MaxTokens: 60, Sampling: random(seed), Grammar: tt.grammar})
			if !regexp.MustCompile(tt.match).MatchString(got.Text) {
				t.Errorf("%q gave %q", tt.grammar, got.Text)
			}
		}
	}
}

func TestJSONSchemaGivesValidJSON(t *testing.T) {
	const schema = `{"type": "object", "required": ["name", "size", "tags"],
		"additionalProperties": false, "properties": {
			"name": {"enum": ["river", "sea"]},
			"size": {"type": "integer", "minimum": 0, "maximum": 99},
			"tags": {"type": "array", "maxItems": 3, "items": {"type": "boolean"}}}}`
	m := tinyModel(t)
	for seed := range uint32(6) {
		got := generate(t, m, "once", mullama.GenerateOptions{
			MaxTokens: 400, Sampling: random(seed), JSONSchema: schema})
		var value struct {
			Name string
			Size *int
			Tags []bool
		}
		decoder := json.NewDecoder(strings.NewReader(got.Text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&value); err != nil || got.FinishReason != mullama.FinishStop {
			t.Errorf("seed %d: %q, %s: %v; want whole JSON", seed, got.Text, got.FinishReason, err)
			continue
		}
		if value.Name != "river" && value.Name != "sea" || value.Size == nil || *value.Size < 0 ||
			*value.Size > 99 || len(value.Tags) > 3 {
			t.Errorf("seed %d: %q is not as the schema says", seed, got.Text)
		}
	}
}

func TestGrammarsAndSchemasThatCannotBeUsed(t *testing.T) {
	m := tinyModel(t)
	nest := func(open, middle, end string, n int) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(end, n)
	}
	for _, tt := range []struct{ name, grammar, schema, says string }{
		{"no rule", "nonsense", "", "does not parse"},
		{"no root", `a ::= "b"`, "", "no rule named root"},
		{"undefined rule", "root ::= other", "", `uses the rule "other" but does not define it`},
		{"open bracket", `root ::= ("a"`, "", "does not parse"},
		{"left recursion", `root ::= root "a"`, "", "left"},
		{"huge repetition", `root ::= "a"{1000000000}`, "", "repetitions"},
		{"repetition of repetitions", `root ::= (("a"{2000}){2000}){2000}`, "", "repe"},
		{"deep", "root ::= " + nest("(", `"a"`, ")", 1_000_000), "", "more than 500 brackets"},
		{"no JSON", "", "{", "the JSON schema is not valid JSON"},
		{"no schema", "", "[1]", "schema must be an object"},
		{"unknown type", "", `{"type": "nothing"}`, "type nothing"},
		{"web reference", "", `{"$ref": "other.json#/a"}`, "unsupported $ref"},
		{"lost reference", "", `{"$ref": "#/a/b"}`, "cannot resolve $ref"},
		{"deep schema", "", nest(`{"items":`, "{}", "}", 5000), "more than 500 brackets"},
		{"deeper than JSON goes", "", nest("[", "", "]", 1_000_000), "not valid JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := m.Generate(t.Context(), "once", &mullama.GenerateOptions{
				MaxTokens: 3, Grammar: tt.grammar, JSONSchema: tt.schema})
			wantKind(t, err, mullama.ErrGrammar, tt.says)
		})
	}
	quoted := `root ::= "` + strings.Repeat("(", 600) + `"` // only text: not nested
	got := generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 3, Grammar: quoted})
	if got.Text != "(((" {
		t.Errorf("got %q; want brackets as text", got.Text)
	}
	chain := "root ::= r0\n"
	for i := range 5000 {
		chain += fmt.Sprintf("r%d ::= r%d\n", i, i+1)
	}
	got = generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 3,
		Grammar: chain + `r5000 ::= "a"`})
	if got.Text != "a" {
		t.Errorf("a chain of rules gave %q; want a", got.Text)
	}
}

func TestGenerateRefusesOptionsThatCannotBe(t *testing.T) {
	m := tinyModel(t)
	type options = mullama.GenerateOptions
	for _, tt := range []struct {
		name string
		o    options
		says string
	}{
		{"max tokens", options{MaxTokens: -1}, "max tokens is -1; use 0 for as many as fit"},
		{"top logprobs", options{TopLogprobs: -1}, "top logprobs is -1"},
		{"many logprobs", options{TopLogprobs: 1001}, "it must be from 0 to 1000"},
		{"two grammars", options{Grammar: `root ::= "a"`, JSONSchema: "{}"}, "both set; use one"},
		{"endless grammar", options{Grammar: `root ::= "a"`,
			Sampling: &mullama.Sampling{IgnoreEOS: true}}, "the end cannot be ignored"},
		{"order", options{Sampling: &mullama.Sampling{Order: []string{"top_k", "luck"}}},
			`sampler "luck" is unknown; use penalties, dry`},
		{"sampling", options{Sampling: &mullama.Sampling{TopP: 2}}, "top_p is 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := m.Generate(t.Context(), "once", &tt.o)
			wantKind(t, err, mullama.ErrInvalidOption, tt.says)
		})
	}
}

func TestEmptyPrompts(t *testing.T) {
	m := tinyModel(t)
	got := generate(t, m, "", mullama.GenerateOptions{MaxTokens: 5}) // its BOS token is enough
	if len(got.Tokens) != 5 || got.Stats.PromptTokens != 1 {
		t.Errorf("got %d tokens after %d; want 5 after 1", len(got.Tokens), got.Stats.PromptTokens)
	}
	_, err := m.GenerateTokens(t.Context(), nil, nil)
	wantKind(t, err, mullama.ErrInvalidOption, "the prompt has no tokens")
	for _, token := range []mullama.Token{-1, 100000} {
		_, err = m.GenerateTokens(t.Context(), []mullama.Token{1, token}, nil)
		wantKind(t, err, mullama.ErrInvalidOption, fmt.Sprint(token), "the vocabulary has tokens")
	}
	bare := load(t, openRuntime(t), tinyFile(t, synth.Options{Keys: map[string]any{
		"tokenizer.ggml.add_bos_token": false}}), mullama.LoadOptions{})
	_, err = bare.Generate(t.Context(), "", nil)
	wantKind(t, err, mullama.ErrInvalidOption, "the prompt is empty")
}

func TestContextThatIsFull(t *testing.T) {
	m := load(t, openRuntime(t), tinyFile(t, synth.Options{}), mullama.LoadOptions{
		ContextSize: 32})
	prompt := func(n int) []mullama.Token {
		return slices.Repeat([]mullama.Token{synth.TokenByte0 + 'a'}, n)
	}
	_, err := m.GenerateTokens(t.Context(), prompt(33), nil)
	wantKind(t, err, mullama.ErrContextFull, "33 tokens", "size of 32", "shorten the prompt")
	for n, want := range map[int]int{32: 1, 31: 2, 20: 13} {
		stream, err := m.GenerateTokens(t.Context(), prompt(n), &mullama.GenerateOptions{
			Sampling: greedy()})
		if err != nil {
			t.Fatal(err)
		}
		got, err := stream.Collect()
		if err != nil || len(got.Tokens) != want || got.FinishReason != mullama.FinishLength {
			t.Errorf("after %d tokens: got %+v, %v; want %d tokens, length", n, got, err, want)
		}
	}
}

// The rows of a step change each other's logits by rounding alone. With F32 everywhere that is too
// little to change a token of these texts, even sampled ones. With the F16 cache and the flash
// attention of the defaults it is up to 0.02, which now and then changes a token of this model.
func TestManyAtOnceGiveTheTextsTheyGiveAlone(t *testing.T) {
	exact := mullama.LoadOptions{KVTypeK: "f32", KVTypeV: "f32", FlashAttention: "off"}
	t.Run("f32", func(t *testing.T) { aloneAndTogether(t, exact, 1e-4, true) })
	t.Run("defaults", func(t *testing.T) { aloneAndTogether(t, mullama.LoadOptions{}, 0.1, false) })
}

// aloneAndTogether compares calls one after another with the same calls at once: texts, and log
// probabilities as far as the tokens are the same.
func aloneAndTogether(t *testing.T, o mullama.LoadOptions, tolerance float64, equal bool) {
	noLeaks(t)
	o.ContextSize, o.CacheTokens, o.Slots = 256, 1024, 8
	m := load(t, openRuntime(t), tinyFile(t, synth.Options{FullPrecision: true}), o)
	const calls = 24
	call := func(i int) *mullama.Result {
		o := mullama.GenerateOptions{MaxTokens: 10 + 3*i, Sampling: greedy(), Logprobs: true}
		if i%2 == 1 {
			o.Sampling = random(uint32(i))
		}
		return generate(t, m, strings.Repeat("the old city ", 1+i%5), o)
	}
	var alone, together [calls]*mullama.Result
	for i := range calls {
		alone[i] = call(i)
	}
	var users sync.WaitGroup
	for i := range calls {
		users.Go(func() { together[i] = call(i) })
	}
	within(t, time.Minute, "24 calls", users.Wait)
	worst := 0.0
	for i := range calls {
		if equal && together[i].Text != alone[i].Text {
			t.Errorf("call %d: got %q; want %q as alone", i, together[i].Text, alone[i].Text)
		}
		for j, a := range alone[i].Logprobs {
			b := together[i].Logprobs[min(j, len(together[i].Logprobs)-1)]
			if a.Token != b.Token {
				break
			}
			worst = max(worst, math.Abs(float64(a.Logprob-b.Logprob)))
		}
	}
	t.Logf("log probabilities differ by %.2g at most", worst)
	if worst > tolerance {
		t.Errorf("log probabilities differ by %g; want at most %g", worst, tolerance)
	}
}

func TestLookingBackFarTakesNoMemory(t *testing.T) {
	m := tinyModel(t)
	for _, s := range []mullama.Sampling{
		{RepeatLastN: math.MaxInt32, RepeatPenalty: 1.1}, {RepeatLastN: -1, RepeatPenalty: 1.1},
		{DRYMultiplier: 1, DRYBase: 2, DRYLastN: math.MaxInt32, DRYAllowedLength: 2},
	} {
		before, start := peakBytes(t), time.Now()
		generate(t, m, "once", mullama.GenerateOptions{MaxTokens: 5, Sampling: &s})
		if grown := peakBytes(t) - before; grown > 64<<20 || time.Since(start) > 5*time.Second {
			t.Errorf("%+v took %d MB and %v", s, grown>>20, time.Since(start))
		}
	}
}
