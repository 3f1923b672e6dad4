package mullama

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
	"time"

	"github.com/mullama/mullama/internal/gotemplate"
)

// isGoTemplate tells a template of Go from one in Jinja: it parses, and looks at fields.
func isGoTemplate(text string) bool {
	if text == "" || isJinja(text) {
		return false
	}
	tree := parse.New("template")
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(text, "", "", map[string]*parse.Tree{}); err != nil {
		return false
	}
	return len(gotemplate.Fields(tree.Root)) > 0
}

// goTemplate returns a parsed template of Go.
func (m *Model) goTemplate(source string) (*gotemplate.Template, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.goTemplates[source]; t != nil {
		return t, nil
	}
	t, err := gotemplate.Parse(source)
	if err != nil {
		return nil, &Error{Kind: ErrTemplate, Op: "chat", Err: err}
	}
	if m.goTemplates == nil {
		m.goTemplates = map[string]*gotemplate.Template{}
	}
	m.goTemplates[source] = t
	return t, nil
}

// formatGo renders a conversation with a template of Go.
func (m *Model) formatGo(messages []Message, opts *ChatOptions) (*ChatPrompt, error) {
	t, err := m.goTemplate(opts.Template)
	if err != nil {
		return nil, err
	}
	values, err := goValues(messages, opts)
	if err != nil {
		return nil, err
	}
	text, err := t.Render(values)
	if err != nil {
		return nil, &Error{Kind: ErrTemplate, Op: "chat", Err: err}
	}
	tokens, err := m.goTokens(t, values, text)
	if err != nil {
		return nil, err
	}
	return &ChatPrompt{Text: text, Tokens: tokens}, nil
}

// goValues are the variables of the template.
func goValues(messages []Message, opts *ChatOptions) (*gotemplate.Values, error) {
	v := &gotemplate.Values{Open: opts.Open, Now: time.Now()}
	if opts.Thinking != nil {
		v.IsThinkSet, v.Think = true, *opts.Thinking
	}
	v.ThinkLevel, _ = opts.TemplateValues["reasoning_effort"].(string)
	for _, m := range messages {
		message := gotemplate.Message{Role: m.Role, Content: m.Content, Thinking: m.Thinking,
			ToolName: m.Name, ToolCallID: m.ToolCallID}
		for i, c := range m.ToolCalls {
			arguments := gotemplate.Object{}
			if err := json.Unmarshal([]byte(c.Function.Arguments), &arguments); err != nil &&
				c.Function.Arguments != "" {
				return nil, invalid("chat", "the arguments of a call are no JSON object: "+
					err.Error())
			}
			message.ToolCalls = append(message.ToolCalls, gotemplate.ToolCall{ID: c.ID,
				Function: gotemplate.Call{Index: i, Name: c.Function.Name, Arguments: arguments}})
		}
		v.Messages = append(v.Messages, message)
	}
	for _, raw := range opts.Tools {
		tool, err := gotemplate.ParseTool(raw)
		if err != nil {
			return nil, invalid("chat", "a tool cannot be read: "+err.Error())
		}
		v.Tools = append(v.Tools, tool)
	}
	return v, nil
}

// goTokens tokenizes a rendered prompt, in which control tokens may come from the template alone.
func (m *Model) goTokens(
	t *gotemplate.Template, v *gotemplate.Values, text string,
) ([]Token, error) {
	harmless := true
	for _, message := range v.Messages {
		for _, content := range []string{message.Content, message.Thinking} {
			same, err := m.isPlain(content)
			if err != nil {
				return nil, err
			}
			harmless = harmless && same
		}
	}
	if harmless {
		return m.Tokenize(text, TokenizeOptions{AddSpecial: m.addsBOS(text), ParseSpecial: true})
	}
	return m.goPieces(t, v, text)
}

// isPlain reports whether nothing in a text would be taken for a control token.
func (m *Model) isPlain(text string) (bool, error) {
	plain, err := m.Tokenize(text, TokenizeOptions{})
	if err != nil {
		return false, err
	}
	parsed, err := m.Tokenize(text, TokenizeOptions{ParseSpecial: true})
	return slices.Equal(plain, parsed), err
}

// addsBOS reports whether a prompt still needs what the vocabulary begins texts with.
func (m *Model) addsBOS(text string) bool {
	begin, err := m.Tokenize("", TokenizeOptions{AddSpecial: true})
	if err != nil || len(begin) == 0 {
		return false
	}
	first, err := m.Tokenize(text[:min(len(text), 64)], TokenizeOptions{ParseSpecial: true})
	return err == nil && (len(first) == 0 || first[0] != begin[0])
}

// mark stands for the text of a message while a template is rendered.
var mark = regexp.MustCompile("\x00(\\d+)\x00")

// goPieces tokenizes the template's text and that of messages apart. It finds them by rendering
// marks in place of the messages.
func (m *Model) goPieces(
	t *gotemplate.Template, v *gotemplate.Values, text string,
) ([]Token, error) {
	marked := *v
	marked.Messages = slices.Clone(v.Messages)
	var texts []string
	for i := range marked.Messages {
		for _, field := range []*string{&marked.Messages[i].Content,
			&marked.Messages[i].Thinking} {
			if *field != "" {
				texts = append(texts, *field)
				*field = fmt.Sprintf("\x00%d\x00", len(texts)-1)
			}
		}
	}
	rendered, err := t.Render(&marked)
	if err != nil {
		return nil, &Error{Kind: ErrTemplate, Op: "chat", Err: err}
	}
	tokens, err := m.Tokenize("", TokenizeOptions{AddSpecial: m.addsBOS(text)})
	if err != nil {
		return nil, err
	}
	var whole strings.Builder
	add := func(piece string, special bool) error {
		whole.WriteString(piece)
		more, err := m.Tokenize(piece, TokenizeOptions{ParseSpecial: special})
		tokens = append(tokens, more...)
		return err
	}
	at := 0
	for _, span := range mark.FindAllStringSubmatchIndex(rendered, -1) {
		number, err := strconv.Atoi(rendered[span[2]:span[3]])
		if err != nil || number >= len(texts) {
			return nil, &Error{Kind: ErrTemplate, Op: "chat",
				Err: fmt.Errorf("a message has the text %q", rendered[span[0]:span[1]])}
		}
		if err := add(rendered[at:span[0]], true); err != nil {
			return nil, err
		}
		if err := add(texts[number], false); err != nil {
			return nil, err
		}
		at = span[1]
	}
	if err := add(rendered[at:], true); err != nil {
		return nil, err
	}
	if whole.String() != text {
		return nil, &Error{Kind: ErrTemplate, Op: "chat", Err: fmt.Errorf(
			"the template looks into messages, which have the text of control tokens")}
	}
	return tokens, nil
}
