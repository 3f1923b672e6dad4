// Package gotemplate renders conversations with the chat templates of Ollama's models, which are
// those of text/template:
//
//	{{ if .System }}<|system|>{{ .System }}{{ end }}
//	<|user|>{{ .Prompt }}<|assistant|>{{ .Response }}
//
// A template that ranges over .Messages is executed once; one that does not is executed for each
// turn, and the last time up to .Response, where the model goes on. Variables are .System, .Prompt,
// .Response, .Suffix, .Messages, .Tools, .Think, .ThinkLevel and .IsThinkSet, and functions besides
// those of Go json and currentDate.
//
// A Template may be used by many goroutines.
package gotemplate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// Template is a chat template.
type Template struct {
	whole    *template.Template
	last     *template.Template // up to .Response; nil where messages are ranged over
	messages bool
}

// Values are what a template renders.
type Values struct {
	Messages   []Message
	Tools      []Tool
	Think      bool
	ThinkLevel string
	IsThinkSet bool
	Open       bool // nothing begins the answer
	Now        time.Time
}

// Message is one turn.
type Message struct {
	Role, Content, Thinking string
	ToolName, ToolCallID    string
	Images                  []string
	ToolCalls               []ToolCall
}

// ToolCall is a call of the model.
type ToolCall struct {
	ID       string
	Function Call
}

// Call names a function and its arguments.
type Call struct {
	Index     int
	Name      string
	Arguments Object
}

// Object is a JSON object that a template may look into, and that prints as JSON.
type Object map[string]any

func (o Object) String() string { return text(map[string]any(o)) }

// Tool is a function that the model may call. It prints as JSON.
type Tool struct {
	Type     string
	Function Function

	raw json.RawMessage
}

func (t Tool) String() string { return string(t.raw) }

// MarshalJSON returns the tool as it was given.
func (t Tool) MarshalJSON() ([]byte, error) { return t.raw, nil }

// Function describes a function. It prints as JSON.
type Function struct {
	Name, Description string
	Parameters        Parameters

	raw json.RawMessage
}

func (f Function) String() string { return string(f.raw) }

// MarshalJSON returns the function as it was given.
func (f Function) MarshalJSON() ([]byte, error) { return f.raw, nil }

// Parameters are a JSON schema. They print as JSON.
type Parameters struct {
	Type       string
	Required   []string
	Properties map[string]Property

	raw json.RawMessage
}

func (p Parameters) String() string { return string(p.raw) }

// MarshalJSON returns the schema as it was given.
func (p Parameters) MarshalJSON() ([]byte, error) { return p.raw, nil }

// Property is one parameter.
type Property struct {
	Type        Types
	Description string
	Enum        []any
}

// Types are those that a parameter may have; with one it prints as that.
type Types []string

func (t Types) String() string {
	if len(t) == 1 {
		return t[0]
	}
	return text([]string(t))
}

// UnmarshalJSON reads a type or a list of them.
func (t *Types) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = Types{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// ParseTool reads a tool in OpenAI's form.
func ParseTool(b json.RawMessage) (Tool, error) {
	var raw struct {
		Type     string
		Function json.RawMessage
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return Tool{}, err
	}
	t := Tool{Type: raw.Type, raw: b, Function: Function{raw: raw.Function}}
	var function struct {
		Name, Description string
		Parameters        json.RawMessage
	}
	if err := json.Unmarshal(raw.Function, &function); err != nil {
		return Tool{}, err
	}
	t.Function.Name, t.Function.Description = function.Name, function.Description
	if len(function.Parameters) == 0 {
		function.Parameters = json.RawMessage("{}")
	}
	var schema struct {
		Type       string
		Required   []string
		Properties map[string]Property
	}
	if err := json.Unmarshal(function.Parameters, &schema); err != nil {
		return Tool{}, err
	}
	t.Function.Parameters = Parameters{schema.Type, schema.Required, schema.Properties,
		function.Parameters}
	return t, nil
}

func text(v any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// functions are those of Ollama, and one that Parse puts into loops.
func functions(now time.Time) template.FuncMap {
	steps := 0
	return template.FuncMap{
		tick: func() (string, error) {
			if steps++; steps > maxSteps {
				return "", errors.New("it goes on without end")
			}
			return "", nil
		},
		"json":        text,
		"currentDate": func(...string) string { return now.Format("2006-01-02") },
	}
}

// Templates come from anybody. Loops and calls of templates are counted, and what is written too.
const (
	tick      = "mullamaTick"
	maxSteps  = 1 << 17
	maxPrompt = 32 << 20
)

// count makes the loops of a template, and itself, count their rounds.
func count(t *template.Template) error {
	counter, err := parse.Parse("", "{{ "+tick+" }}", "", "", map[string]any{tick: 0})
	if err != nil {
		return err
	}
	insert := func(list *parse.ListNode) {
		if list != nil {
			list.Nodes = append(counter[""].Root.Copy().(*parse.ListNode).Nodes, list.Nodes...)
		}
	}
	for _, one := range t.Templates() {
		Walk(one.Tree.Root, func(n parse.Node) {
			if loop, ok := n.(*parse.RangeNode); ok {
				insert(loop.List)
			}
		})
		insert(one.Tree.Root)
	}
	return nil
}

// limited refuses to write a prompt that is longer than any context.
type limited struct {
	w io.Writer
	n int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.n += len(p); l.n > maxPrompt {
		return 0, errors.New("its prompt is too long")
	}
	return l.w.Write(p)
}

// Parse reads a template. One that has no place for the answer has it at its end.
func Parse(source string) (*Template, error) {
	parsed, err := template.New("").Option("missingkey=zero").Funcs(functions(time.Time{})).
		Parse(source)
	if err != nil {
		return nil, err
	}
	fields := Fields(parsed.Tree.Root)
	t := &Template{whole: parsed, messages: fields["Messages"]}
	if err := count(parsed); err != nil {
		return nil, err
	}
	if t.messages {
		return t, nil
	}
	if !fields["Response"] {
		return Parse(source + "{{ .Response }}")
	}
	tree := parsed.Tree.Copy() // with what counts
	cut := false
	tree.Root = cutList(tree.Root, &cut)
	whole, err := parsed.Clone() // with the templates that it defines
	if err == nil {
		t.last, err = whole.AddParseTree("last", tree)
	}
	return t, err
}

// Fields are the names of the fields that a node and those in it look at.
func Fields(node parse.Node) map[string]bool {
	fields := map[string]bool{}
	Walk(node, func(n parse.Node) {
		switch n := n.(type) {
		case *parse.FieldNode:
			fields[n.Ident[0]] = true
		case *parse.VariableNode:
			if len(n.Ident) > 1 && n.Ident[0] == "$" {
				fields[n.Ident[1]] = true
			}
		}
	})
	return fields
}

// Walk visits a node and those in it.
func Walk(node parse.Node, visit func(parse.Node)) {
	visit(node)
	branch := func(b *parse.BranchNode) {
		Walk(b.Pipe, visit)
		Walk(b.List, visit)
		if b.ElseList != nil {
			Walk(b.ElseList, visit)
		}
	}
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			Walk(child, visit)
		}
	case *parse.ActionNode:
		Walk(n.Pipe, visit)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			Walk(n.Pipe, visit)
		}
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			for _, arg := range c.Args {
				Walk(arg, visit)
			}
		}
	case *parse.ChainNode:
		Walk(n.Node, visit)
	}
}

// cutList drops what follows the first mention of .Response, in the lists around it too.
func cutList(list *parse.ListNode, cut *bool) *parse.ListNode {
	if list == nil {
		return nil
	}
	kept := list.Nodes[:0:0]
	for _, node := range list.Nodes {
		if *cut {
			break
		}
		switch n := node.(type) {
		case *parse.IfNode:
			cutBranch(&n.BranchNode, cut)
		case *parse.RangeNode:
			cutBranch(&n.BranchNode, cut)
		case *parse.WithNode:
			cutBranch(&n.BranchNode, cut)
		default:
			*cut = Fields(n)["Response"]
		}
		kept = append(kept, node)
	}
	list.Nodes = kept
	return list
}

// cutBranch cuts the lists of a branch. Its condition may mention .Response without being the place
// for it.
func cutBranch(b *parse.BranchNode, cut *bool) {
	b.List = cutList(b.List, cut)
	before := *cut
	inElse := false
	b.ElseList = cutList(b.ElseList, &inElse)
	*cut = before || inElse
}

// Render writes the prompt of a conversation.
func (t *Template) Render(v *Values) (string, error) {
	var b strings.Builder
	var err error
	if t.messages {
		err = t.execute(t.whole, &b, v, "", map[string]any{
			"System": joined(v.Messages, "system"), "Messages": collate(v.Messages), "Response": "",
		})
	} else {
		err = t.turns(&b, v)
	}
	return b.String(), err
}

// turns executes the template for each turn.
func (t *Template) turns(b *strings.Builder, v *Values) error {
	var system, prompt, response string
	flush := func(which *template.Template) error {
		err := t.execute(which, b, v, prompt, map[string]any{
			"System": system, "Prompt": prompt, "Response": response,
		})
		system, prompt, response = "", "", ""
		return err
	}
	for _, m := range collate(v.Messages) {
		var err error
		switch m.Role {
		case "system":
			if prompt != "" || response != "" {
				err = flush(t.whole)
			}
			system = m.Content
		case "assistant":
			response = m.Content
		default:
			if response != "" {
				err = flush(t.whole)
			}
			prompt = m.Content
		}
		if err != nil {
			return err
		}
	}
	if v.Open {
		return flush(t.whole)
	}
	return flush(t.last)
}

func (t *Template) execute(
	which *template.Template, w io.Writer, v *Values, prompt string, data map[string]any,
) error {
	data["Tools"], data["Suffix"], data["Prompt"] = v.Tools, "", prompt
	data["Think"], data["ThinkLevel"] = v.Think, v.ThinkLevel
	data["IsThinkSet"] = v.IsThinkSet
	own, err := which.Clone()
	if err != nil {
		return err
	}
	if err := own.Funcs(functions(v.Now)).Execute(&limited{w: w}, data); err != nil {
		return fmt.Errorf("the template does not render: %w", err)
	}
	return nil
}

// joined is the text of all messages of a role.
func joined(messages []Message, role string) string {
	var texts []string
	for _, m := range messages {
		if m.Role == role {
			texts = append(texts, m.Content)
		}
	}
	return strings.Join(texts, "\n\n")
}

// collate joins messages of one role that follow each other. Results of tools stay apart.
func collate(messages []Message) []*Message {
	var all []*Message
	for _, m := range messages {
		if n := len(all); n > 0 && all[n-1].Role == m.Role && m.Role != "tool" {
			if m.Content != "" {
				all[n-1].Content += "\n\n" + m.Content
			}
			all[n-1].ToolCalls = append(all[n-1].ToolCalls, m.ToolCalls...)
			continue
		}
		copied := m
		all = append(all, &copied)
	}
	return all
}
