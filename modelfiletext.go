package mullama

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mullama/mullama/internal/modelfile"
)

// Modelfile writes what would make the model again, beginning from itself: where files are is not
// for everybody to know.
func (m *StoredModel) Modelfile() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Modelfile of %s; change it, and use it with create.\n", m.Name)
	for _, c := range m.commands() {
		line, err := c.Format()
		if err != nil {
			line = "# left out: " + err.Error()
		}
		b.WriteString(line + "\n")
		for _, part := range m.unnamed(&c) {
			b.WriteString("# with " + part + "\n")
		}
	}
	return b.String()
}

// unnamed are the parts that come with FROM and that have no name here.
func (m *StoredModel) unnamed(c *modelfile.Command) (parts []string) {
	if c.Name != "FROM" {
		return nil
	}
	if n := len(m.Adapters); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of ADAPTER", n))
	}
	if m.Draft != "" {
		parts = append(parts, "a DRAFT")
	}
	return parts
}

func (m *StoredModel) commands() []modelfile.Command {
	commands := []modelfile.Command{{Name: "FROM", Value: m.Name}}
	add := func(name, key, value string) {
		commands = append(commands, modelfile.Command{Name: name, Key: key, Value: value})
	}
	for _, c := range []struct{ name, key, value string }{
		{"TEMPLATE", "", m.Template}, {"SYSTEM", "", m.System}, {"RENDERER", "", m.Renderer},
		{"PARSER", "", m.Parser}, {"REQUIRES", "", m.Requires},
		{"AUTHOR", "", m.Author},
		{"THINKING", "start", m.ThinkStart}, {"THINKING", "end", m.ThinkEnd},
	} {
		if c.value != "" {
			add(c.name, c.key, c.value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Parameters)) {
		for _, value := range ParameterTexts(m.Parameters[name]) {
			add("PARAMETER", name, value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.ToolFormat)) {
		add("TOOLFORMAT", key, m.ToolFormat[key])
	}
	for _, key := range slices.Sorted(maps.Keys(m.stated)) {
		add("CAPABILITY", key, strconv.FormatBool(m.stated[key]))
	}
	for _, message := range m.Messages {
		add("MESSAGE", message.Role, message.Content)
	}
	for _, license := range m.Licenses {
		add("LICENSE", "", license)
	}
	return commands
}

// ParameterTexts writes the values of a parameter as a Modelfile has them.
func ParameterTexts(value any) []string {
	switch v := value.(type) {
	case []string:
		return v
	case []any:
		var texts []string
		for _, item := range v {
			texts = append(texts, ParameterTexts(item)...)
		}
		return texts
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	}
	return []string{fmt.Sprint(value)}
}
