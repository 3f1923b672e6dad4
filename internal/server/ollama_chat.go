package server

import (
	"context"
	"net/http"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// chatMessages answers POST /api/chat.
func (s *Server) chatMessages(w http.ResponseWriter, r *http.Request) error {
	var req api.ChatRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if len(req.Messages) == 0 {
		return s.preload(w, r, ordered(req.Model, req.Options, req.KeepAlive), true)
	}
	run, err := s.newOllamaRun(r.Context(), ordered(req.Model, req.Options, req.KeepAlive), true)
	if err != nil {
		return err
	}
	defer run.job.lease.Release()
	if req.DebugRenderOnly {
		messages, err := run.configureChat(&req)
		if err != nil {
			return err
		}
		return run.render(w, messages)
	}
	stream, err := run.startChat(r.Context(), &req)
	if err != nil {
		return err
	}
	return run.answer(w, r, stream, wantsStream(req.Stream))
}

// startChat begins to answer a conversation.
func (u *ollamaRun) startChat(
	ctx context.Context, req *api.ChatRequest,
) (*mullama.Stream, error) {
	messages, err := u.configureChat(req)
	if err != nil {
		return nil, err
	}
	return u.job.Chat(ctx, messages, &u.chat)
}

// configureChat turns a request into options, and returns the conversation.
func (u *ollamaRun) configureChat(req *api.ChatRequest) ([]mullama.Message, error) {
	if err := u.configure(&wishes{
		format: req.Format, think: req.Think, truncate: req.Truncate, shift: req.Shift,
		logprobs: req.Logprobs, topLogprobs: req.TopLogprobs,
		tokens: req.ReturnTokens, thoughts: req.ThoughtsInText,
	}); err != nil {
		return nil, err
	}
	u.setTemplate(req.Template)
	if err := u.job.checkRenderer(); err != nil && req.Template == "" {
		return nil, err
	}
	if len(req.Tools) > 0 && !can(u.job.stored, "tools") {
		return nil, badField("tools", "%q does not support tools", u.job.stored.Name)
	}
	u.chat.Tools = req.Tools
	u.chat.Open = req.AddPrompt != nil && !*req.AddPrompt
	if req.TemplateValues != nil {
		u.chat.TemplateValues = req.TemplateValues
	}
	messages, err := toMessages(req.Messages)
	if err != nil {
		return nil, err
	}
	messages = u.job.withOwn(messages)
	if (req.Continue == nil || *req.Continue) && endsBegun(messages) {
		continueLast(&u.chat)
	}
	return messages, nil
}

// withOwn puts the model's own messages and system text before those of a request, which may
// have a system text itself.
func (j *job) withOwn(messages []mullama.Message) []mullama.Message {
	all := append(append([]mullama.Message(nil), j.stored.Messages...), messages...)
	if j.stored.System != "" && messages[0].Role != "system" && all[0].Role != "system" {
		all = append([]mullama.Message{{Role: "system", Content: j.stored.System}}, all...)
	}
	return all
}

// toMessages checks the messages of a request of Ollama's API.
func toMessages(list []api.Message) ([]mullama.Message, error) {
	messages := make([]mullama.Message, len(list))
	for i, m := range list {
		if err := checkRole(i, m.Role); err != nil {
			return nil, err
		}
		if len(m.Images) > 0 {
			return nil, badField("messages", "message %d has images, which are not supported", i+1)
		}
		messages[i] = mullama.Message{
			Role: m.Role, Content: m.Content, Thinking: m.Thinking,
			ToolCallID: m.ToolCallID, Name: m.ToolName,
		}
		for _, call := range m.ToolCalls {
			messages[i].ToolCalls = append(messages[i].ToolCalls, mullama.ToolCall{
				ID: call.ID, Type: "function", Function: mullama.FunctionCall{
					Name: call.Function.Name, Arguments: string(call.Function.Arguments),
				},
			})
		}
	}
	return messages, nil
}

func checkRole(i int, role string) error {
	switch role {
	case "system", "user", "assistant", "tool":
		return nil
	}
	return badField("messages", "message %d has the role %s; it must be system, user, assistant "+
		"or tool", i+1, show(role))
}
