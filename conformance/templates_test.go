package conformance

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/testmodels"
)

// A conversation is a request for a chat template. Its parts stay as they are in the file, because
// the order of keys shows in the rendered text.
type conversation struct {
	Name                string          `json:"name,omitempty"`
	Messages            json.RawMessage `json:"messages"`
	Tools               json.RawMessage `json:"tools,omitempty"`
	AddGenerationPrompt *bool           `json:"add_generation_prompt,omitempty"`
}

// request is a conversation as [llama.Chat.Apply] takes it.
func (t template) request(test *testing.T, c conversation) []byte {
	test.Helper()
	data, err := json.Marshal(struct {
		conversation
		Extra map[string]any `json:"kwargs,omitempty"`
	}{c, extraVariables[t.name]})
	if err != nil {
		test.Fatal(err)
	}
	return data
}

func readConversations(t *testing.T) []conversation {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "conversations.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []conversation
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// A template is a chat template with a vocabulary that has control tokens of its family.
type template struct {
	name   string
	source string
	vocab  string
	model  *llama.Model
}

// families says which vocabulary goes with a template, by a part of the template's name. The first
// match counts; where no vocabulary of the family is at hand, a ChatML one stands in.
var families = []struct{ part, vocab string }{
	{"Distill-Qwen", "qwen2"}, {"Hermes", "qwen2"}, {"Qwen3.5", "qwen35"}, {"Qwen", "qwen2"},
	{"llama-cpp-deepseek", "deepseek-llm"}, {"llama-cpp-rwkv", "gpt-neox"},
	{"lama-3", "llama-bpe"}, {"Distill-Llama", "llama-bpe"}, {"functionary", "llama-bpe"},
	{"deepseek", "deepseek-llm"}, {"command-r", "command-r"}, {"Cohere", "command-r"},
	{"Phi-3", "phi-3"}, {"istral", "llama-spm"}, {"gemma-2", "gemma270"}, {"gemma-4", "gemma-4"},
	{"granite", "starcoder"}, {"", "qwen2"},
}

func readTemplates(t *testing.T) []template {
	t.Helper()
	models := make(map[string]*llama.Model)
	var list []template
	for _, path := range testmodels.Templates(t) {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".jinja")
		vocab := familyVocab(name)
		if models[vocab] == nil {
			models[vocab] = loadVocab(t, vocabPath(t, vocab))
		}
		list = append(list, template{name, string(source), vocab, models[vocab]})
	}
	return list
}

func familyVocab(name string) string {
	for _, family := range families {
		if strings.Contains(name, family.part) {
			return family.vocab
		}
	}
	return ""
}

func vocabPath(t *testing.T, name string) string {
	t.Helper()
	for _, vocab := range testmodels.Vocabs(t) {
		if vocab.Name == name {
			return vocab.Path
		}
	}
	return testmodels.Path(t, name)
}

// A rendering is what one side made of a conversation: a text, or why there is none.
type rendering struct {
	Text  string `json:"text"`
	Error string `json:"error"`
}

// renderCase is one rendering asked of render.py.
type renderCase struct {
	Template    string         `json:"template"`
	Variables   map[string]any `json:"variables"`
	Adaptations []string       `json:"adaptations"`
}

// jinja renders all conversations with all templates in one run of render.py, by template.
func jinja(t *testing.T, templates []template,
	conversations []conversation) map[string][]rendering {
	t.Helper()
	sources := make(map[string]string)
	var cases []renderCase
	for _, tmpl := range templates {
		sources[tmpl.name] = tmpl.source
		for _, c := range conversations {
			cases = append(cases, renderCase{tmpl.name, tmpl.variables(c), adaptations(tmpl.name)})
		}
	}
	var reply struct{ Results []rendering }
	runPython(t, map[string]any{"templates": sources, "cases": cases}, &reply)
	out := make(map[string][]rendering)
	for i, result := range reply.Results {
		name := cases[i].Template
		out[name] = append(out[name], result)
	}
	return out
}

// variables are what a template sees: Hugging Face's, and the three that llama.cpp sets for every
// template and a caller of Hugging Face's tokenizers may set.
func (t template) variables(c conversation) map[string]any {
	info := t.model.Info()
	now := time.Now()
	variables := map[string]any{
		"messages":              c.Messages,
		"tools":                 c.Tools, // null without tools, as with Hugging Face
		"documents":             nil,
		"add_generation_prompt": c.AddGenerationPrompt == nil || *c.AddGenerationPrompt,
		"bos_token":             t.tokenText(info.BOS),
		"eos_token":             t.tokenText(info.EOS),
		"enable_thinking":       true,
		"date_string":           now.Format("02 Jan 2006"),
		"datetime":              now.Format("Jan 02 2006"),
	}
	maps.Copy(variables, extraVariables[t.name])
	return variables
}

// tokenText is a control token's text; there is none for -1.
func (t template) tokenText(token llama.Token) string { return string(t.model.Piece(token, true)) }

func runPython(t *testing.T, job, reply any) {
	t.Helper()
	dir, err := testmodels.Dir()
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(filepath.Dir(dir), "venv-conformance", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Skipf("Jinja2 is not set up (%v); run conformance/setup.sh", err)
	}
	input, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "render.py")
	var problem bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &problem
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("render.py: %v\n%s", err, problem.Bytes())
	}
	if err := json.Unmarshal(output, reply); err != nil {
		t.Fatal(err)
	}
}

// The oracle asks for 12 templates at least; a listed difference does not count.
const fewestEqualTemplates = 12

func TestRenderedTemplatesEqualJinja(t *testing.T) {
	openLibrary(t)
	templates, conversations := readTemplates(t), readConversations(t)
	want := jinja(t, templates, conversations)
	var whollyEqual atomic.Int32
	inParallel(t, templates, func(t *testing.T, tmpl template) {
		chat, err := tmpl.model.NewChat(tmpl.source)
		if err != nil {
			t.Fatal(err)
		}
		defer chat.Close()
		equal := true
		for i, c := range conversations {
			got := render(chat, tmpl.request(t, c))
			equal = tmpl.compare(t, c, got, want[tmpl.name][i]) && equal
		}
		if equal {
			whollyEqual.Add(1)
			scores.add("templates", true)
		} else if !t.Failed() {
			scores.explain("templates")
		} else {
			scores.add("templates", false)
		}
	})
	t.Logf("%d of %d templates are equal in all %d conversations",
		whollyEqual.Load(), len(templates), len(conversations))
	if n := whollyEqual.Load(); n < fewestEqualTemplates {
		t.Errorf("only %d templates are wholly equal, want %d", n, fewestEqualTemplates)
	}
}

// inParallel tests all templates at once, and returns when all are done.
func inParallel(t *testing.T, templates []template, test func(*testing.T, template)) {
	t.Run("of", func(t *testing.T) {
		for _, tmpl := range templates {
			t.Run(tmpl.name, func(t *testing.T) {
				t.Parallel()
				test(t, tmpl)
			})
		}
	})
}

func render(chat *llama.Chat, request []byte) rendering {
	prompt, err := chat.Apply(request)
	if err != nil {
		return rendering{Error: err.Error()}
	}
	return rendering{Text: prompt.Prompt}
}

// trimmed is a text without the BOS and EOS texts at its ends if the tokenizer adds those tokens:
// llama.cpp takes them away, so that they do not come twice.
func (t template) trimmed(text string) string {
	info := t.model.Info()
	if info.AddBOS {
		text = strings.TrimPrefix(text, t.tokenText(info.BOS))
	}
	if info.AddEOS {
		text = strings.TrimSuffix(text, t.tokenText(info.EOS))
	}
	return text
}

// compare reports whether both sides made the same text, or both refused. A difference must be in
// the list of known ones, and one that is listed must be there.
func (t template) compare(test *testing.T, c conversation, got, want rendering) bool {
	test.Helper()
	want.Text = t.trimmed(want.Text)
	equal := got.Text == want.Text && (got.Error == "") == (want.Error == "")
	why := knownDifference(t.name, c.Name)
	switch {
	case equal && why == "":
		scores.add("rendered conversations", true)
	case equal:
		test.Errorf("%s: equal, but listed as different: %s", c.Name, why)
	case why != "":
		scores.explain("rendered conversations")
		test.Logf("%s: differs from Jinja2: %s", c.Name, why)
	default:
		scores.add("rendered conversations", false)
		test.Errorf("%s: %s", c.Name, describe(got, want))
	}
	return equal
}

// describe shows where two renderings part.
func describe(got, want rendering) string {
	if got.Error != "" || want.Error != "" {
		return "error is " + short(got.Error) + ", Jinja2's is " + short(want.Error)
	}
	at := firstDifference([]byte(got.Text), []byte(want.Text))
	from := max(0, at-30)
	return "after " + short(got.Text[from:at]) + " comes " + short(got.Text[at:]) +
		", with Jinja2 " + short(want.Text[at:])
}

// A prompt's tokens must be those that llama.cpp makes of the prompt's text with control tokens
// parsed, as long as no message contains the text of one.
func TestPromptTokensEqualOracle(t *testing.T) {
	oracle := findOracle(t)
	byVocab := make(map[string][]template)
	for _, tmpl := range readTemplates(t) {
		byVocab[tmpl.vocab] = append(byVocab[tmpl.vocab], tmpl)
	}
	for vocab, templates := range byVocab {
		t.Run(vocab, func(t *testing.T) {
			t.Parallel()
			prompts := harmlessPrompts(t, templates)
			texts := make([]string, len(prompts))
			for i, prompt := range prompts {
				texts[i] = prompt.Prompt
			}
			for i, want := range oracle.tokenize(t, vocabPath(t, vocab), texts, true, true) {
				equal := slices.Equal(prompts[i].Tokens, want)
				scores.add("prompts' token ids", equal)
				if !equal {
					t.Errorf("the tokens of %s differ from llama.cpp's at %d", short(texts[i]),
						firstDifference(prompts[i].Tokens, want))
				}
			}
		})
	}
}

// harmlessPrompts renders the conversations without control tokens in their messages with templates
// of one vocabulary.
func harmlessPrompts(t *testing.T, templates []template) []*llama.ChatPrompt {
	t.Helper()
	controls := slices.Collect(maps.Values(controlTokens(t, templates[0].model)))
	harmless := slices.DeleteFunc(readConversations(t), func(c conversation) bool {
		return slices.ContainsFunc(controls, func(text string) bool {
			return bytes.Contains(c.Messages, []byte(text)) || bytes.Contains(c.Tools, []byte(text))
		})
	})
	var prompts []*llama.ChatPrompt
	for _, tmpl := range templates {
		chat, err := tmpl.model.NewChat(tmpl.source)
		if err != nil {
			t.Fatal(err)
		}
		defer chat.Close()
		for _, c := range harmless {
			if prompt, err := chat.Apply(tmpl.request(t, c)); err == nil {
				prompts = append(prompts, prompt)
			}
		}
	}
	return prompts
}
