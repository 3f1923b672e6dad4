package server

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

func (s *Server) showModel(w http.ResponseWriter, r *http.Request) error {
	var req api.ShowRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	stored, err := s.find(firstOf(req.Model, req.Name))
	if err != nil {
		return err
	}
	info, err := mullama.Inspect(stored.Path)
	if err != nil {
		return err
	}
	parameters := maps.Clone(stored.Parameters)
	if parameters == nil {
		parameters = map[string]any{}
	}
	maps.Copy(parameters, req.Options)
	resp := api.ShowResponse{
		License:      strings.Join(stored.Licenses, "\n"),
		Parameters:   parameterLines(parameters, "%-30s %s"),
		Template:     firstOf(stored.Template, info.Template),
		System:       firstOf(req.System, stored.System),
		Details:      api.ModelDetails(stored.Details),
		ModelInfo:    modelInfo(info),
		Capabilities: stored.Capabilities,
		ModifiedAt:   stored.Modified,
		Renderer:     stored.Renderer, Parser: stored.Parser, Requires: stored.Requires,
	}
	for _, m := range stored.Messages {
		resp.Messages = append(resp.Messages, api.Message{Role: m.Role, Content: m.Content})
	}
	shown := *stored
	shown.System, shown.Parameters = resp.System, parameters
	resp.Modelfile = shown.Modelfile()
	if req.Plan {
		if resp.Plan, err = s.planFor(stored, req.Options); err != nil {
			return err
		}
	}
	return encode(w, resp)
}

// planFor says where a model would be loaded for a request with these options.
func (s *Server) planFor(
	stored *mullama.StoredModel, options map[string]any,
) (*mullama.Plan, error) {
	settings, err := s.settings(stored, mullama.DefaultSampling(), []map[string]any{options})
	if err != nil {
		return nil, err
	}
	stored.Complete(&settings.load)
	return s.runtime.Plan(stored.Path, &settings.load)
}

// parameterLines writes a line for each value of each parameter, in order of the names.
func parameterLines(parameters map[string]any, format string) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		values, ok := toTexts(parameters[name])
		if !ok {
			lines = append(lines, fmt.Sprintf(format, name, fmt.Sprint(parameters[name])))
			continue
		}
		for _, value := range values {
			lines = append(lines, fmt.Sprintf(format, name, strconv.Quote(value)))
		}
	}
	return strings.Join(lines, "\n")
}

// modelInfo is the metadata of the file without what clients never want: the template, which is
// told apart, and the contents of long lists.
func modelInfo(info *mullama.Info) map[string]any {
	m := make(map[string]any, len(info.Metadata)+1)
	for key, value := range info.Metadata {
		switch v := value.(type) {
		case string:
			count, _, isList := strings.Cut(v, " × ")
			if _, err := strconv.Atoi(count); isList && err == nil {
				value = nil
			}
		case float32:
			value = finite(float64(v))
		case float64:
			value = finite(v)
		}
		m[key] = value
	}
	delete(m, "tokenizer.chat_template")
	m["general.parameter_count"] = info.Parameters
	return m
}

// finite returns nil for a number that JSON does not have.
func finite(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}
