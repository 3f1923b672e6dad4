package gotemplate

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const turns = `{{ if .System }}<|system|>{{ .System }}
{{ end }}{{ if .Prompt }}<|user|>{{ .Prompt }}
{{ end }}<|assistant|>{{ .Response }}<|end|>
`

const chatML = `{{- range $i, $m := .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}{{ range .ToolCalls }}<call>{"name": "{{ .Function.Name }}", "arguments": ` +
	`{{ .Function.Arguments }}}</call>{{ end }}<|im_end|>
{{ end }}{{ if .Tools }}tools:{{ range .Tools }} {{ .Function }}{{ end }}
{{ end }}{{ if and .IsThinkSet .Think }}/think {{ .ThinkLevel }}{{ end }}<|im_start|>assistant
`

func conversation() []Message {
	return []Message{{Role: "system", Content: "S"}, {Role: "user", Content: "A"},
		{Role: "assistant", Content: "B"}, {Role: "user", Content: "C"},
		{Role: "user", Content: "D"}}
}

func TestConversationsAreRendered(t *testing.T) {
	tool, err := ParseTool(json.RawMessage(`{"type":"function","function":{"name":"f",` +
		`"parameters":{"type":"object","properties":{"x":{"type":["string","null"]}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		source string
		v      Values
		want   string
	}{
		"turns": {turns, Values{Messages: conversation()},
			"<|system|>S\n<|user|>A\n<|assistant|>B<|end|>\n<|user|>C\n\nD\n<|assistant|>"},
		"turns that stay open": {turns, Values{Messages: conversation()[:3], Open: true},
			"<|system|>S\n<|user|>A\n<|assistant|>B<|end|>\n"},
		"no place for the answer": {"[{{ .System }}] {{ .Prompt }}:",
			Values{Messages: conversation()}, "[S] A:B[] C\n\nD:"},
		"the answer in a condition": {
			"{{ .Prompt }}{{ if .Prompt }}>{{ .Response }}<{{ end }}!",
			Values{Messages: conversation()[1:2]}, "A>"},
		"messages": {chatML, Values{Messages: conversation()[:2], IsThinkSet: true, Think: true,
			ThinkLevel: "low"}, "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nA<|im_end|>\n" +
			"/think low<|im_start|>assistant\n"},
		"tools": {chatML, Values{Tools: []Tool{tool}, Messages: []Message{{Role: "assistant",
			ToolCalls: []ToolCall{{Function: Call{Name: "f", Arguments: Object{"x": "<"}}}}}}},
			"<|im_start|>assistant\n<call>{\"name\": \"f\", \"arguments\": {\"x\":\"<\"}}</call>" +
				"<|im_end|>\ntools: {\"name\":\"f\",\"parameters\":{\"type\":\"object\"," +
				"\"properties\":{\"x\":{\"type\":[\"string\",\"null\"]}}}}\n" +
				"<|im_start|>assistant\n"},
		"parameters": {"{{ range .Messages }}{{ end }}{{ range .Tools }}" +
			"{{ range $n, $p := .Function.Parameters.Properties }}{{ $n }}:{{ $p.Type }}{{ end }}" +
			" {{ json . }}{{ end }}",
			Values{Tools: []Tool{tool}}, "x:[\"string\",\"null\"] " + tool.String()},
		"the date": {"{{ currentDate }}{{ range .Messages }}{{ end }}",
			Values{Now: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}, "2026-01-02"},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := Parse(tt.source)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parsed.Render(&tt.v)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v\nwant %q", got, err, tt.want)
			}
		})
	}
}

func TestATemplateThatIsWrongIsAnError(t *testing.T) {
	for _, source := range []string{"{{ .Prompt", "{{ nosuch .Prompt }}", "{{ end }}"} {
		if _, err := Parse(source); err == nil {
			t.Errorf("%q is taken", source)
		}
	}
	parsed, err := Parse("{{ index .Prompt 7 }}")
	if err != nil {
		t.Fatal(err)
	}
	_, err = parsed.Render(&Values{Messages: conversation()})
	if err == nil || !strings.Contains(err.Error(), "does not render") {
		t.Errorf("the error is %v", err)
	}
}

func TestATemplateWithoutEndIsAnError(t *testing.T) {
	for name, source := range map[string]string{
		"a loop":      "{{ range 1000000000 }}{{ end }}",
		"two loops":   "{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}",
		"much text":   "{{ range 1000000 }}" + strings.Repeat("text ", 1000) + "{{ end }}",
		"calls":       `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`,
		"many calls":  `{{ define "a" }}{{ end }}{{ range 2000000 }}{{ template "a" }}{{ end }}`,
		"in the last": "{{ .Prompt }}{{ range 1000000000 }}{{ end }}{{ .Response }}",
		"of messages": "{{ range .Messages }}{{ range 1000000000 }}{{ end }}{{ end }}",
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := Parse(source)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parsed.Render(&Values{Messages: conversation()}); err == nil {
				t.Error("it ends")
			}
		})
	}
}

func FuzzParseAndRender(f *testing.F) {
	for _, seed := range []string{turns, chatML, "{{ .Response }}",
		"{{ with .Response }}x{{ else }}{{ .Response }}{{ end }}",
		"{{ define \"a\" }}{{ .Response }}{{ end }}{{ template \"a\" . }}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		parsed, err := Parse(source)
		if err != nil {
			return
		}
		_, _ = parsed.Render(&Values{Messages: conversation()})
	})
}
