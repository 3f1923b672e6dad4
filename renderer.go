package mullama

import (
	"fmt"
	"strings"
)

// ChatTemplate is the template that the model brings, in Jinja or for Go, if it is one; otherwise
// the one in its file is used. So it is for a model with a RENDERER, for which Ollama does not look
// at a template of Go either.
func (m *StoredModel) ChatTemplate() string {
	if m.Renderer != "" && m.ownTemplate && !isJinja(m.Template) {
		return ""
	}
	if isJinja(m.Template) || isGoTemplate(m.Template) {
		return m.Template
	}
	return ""
}

// Unrendered says why conversations with the model cannot be rendered, where its maker leaves that
// to a RENDERER of Ollama's and gives no template: "" if they can.
func (m *StoredModel) Unrendered() string {
	if m.Renderer == "" || m.ownTemplate || m.ChatTemplate() != "" {
		return ""
	}
	return fmt.Sprintf("%s is prompted by Ollama's renderer %q and has no chat template; give it "+
		"one with TEMPLATE in a Modelfile", m.Name, m.Renderer)
}

// isJinja tells a template in Jinja, which has statements in {% %}, from one of Go.
func isJinja(text string) bool { return strings.Contains(text, "{%") }
