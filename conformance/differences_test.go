package conformance

import "slices"

// Where llama.cpp gives templates other input than Hugging Face's tokenizers do, Jinja2 gets the
// same input by an adaptation of render.py, and the texts must be equal then. What remains is
// listed below as a difference, and must differ.

// adaptations names those that a template needs.
func adaptations(template string) []string {
	list := append([]string{}, otherInput[template]...)
	if !slices.Contains(textArguments, template) {
		list = append(list, "object_arguments")
	}
	return list
}

// textArguments are the templates that take the arguments of a tool call as JSON text; the others
// take an object, as Hugging Face's documentation asks for. llama.cpp finds out which it is.
var textArguments = []string{"meetkai-functionary-medium-v3.2"}

var otherInput = map[string][]string{
	// Written for use with tools only: they loop over tools, which is null without them at Hugging
	// Face and undefined with llama.cpp.
	"CohereForAI-c4ai-command-r-plus-tool_use":      {"no_null_tools"},
	"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": {"no_null_tools"},
	"NousResearch-Hermes-3-Llama-3.1-8B-tool_use":   {"no_null_tools"},
	// They take an undefined add_generation_prompt for true, and llama.cpp leaves a false one
	// undefined.
	"llama-cpp-rwkv-world":    {"no_false_generation_prompt"},
	"upstage-Solar-Open-100B": {"no_false_generation_prompt"},
	// They raise an exception at a system message, which llama.cpp puts before the user's text.
	"google-gemma-2-2b-it": {"merge_system"},
	// llama.cpp takes white space off the messages: with it the model reasons in circles.
	"StepFun3.5-Flash": {"trim_texts"},
}

// extraVariables are variables that a template cannot do without, given to both sides.
var extraVariables = map[string]map[string]any{
	"fireworks-ai-llama-3-firefunction-v2": {"functions": `[{"name": "f", "parameters": {}}]`},
}

// A difference is a list of conversations that llama.cpp renders in another way, or renders where
// Jinja2 gives up.
type difference struct {
	conversations []string
	why           string
}

var (
	withTools = []string{"tools offered", "tools offered, with system", "tool result",
		"tool result and more turns", "tool call with text"}
	withToolCalls = withTools[2:]
)

var differences = map[string]difference{
	"CohereForAI-c4ai-command-r-plus-tool_use": {withTools,
		"it expects tools in Cohere's own shape; Jinja2 stops at the missing description, " +
			"llama.cpp leaves it empty"},
	"Kimi-K2-Instruct": {withToolCalls,
		"it appends to a list, which Hugging Face's sandbox forbids"},
	"Kimi-K2-Thinking": {withToolCalls,
		"it appends to a list, which Hugging Face's sandbox forbids"},
	"google-gemma-4-31B-it-interleaved": {withToolCalls,
		"llama.cpp moves tool results into the turn of the call, as the official template does"},
	"llama-cpp-deepseek-r1": {withTools,
		"it writes a filter's generator as JSON, which Python cannot"},
	"meetkai-functionary-medium-v3.1": {withTools,
		"adding to a safe string makes Jinja2 escape HTML, which llama.cpp never does"},
	"openai-gpt-oss-120b": {[]string{"no generation prompt"},
		"llama.cpp ends a past answer with <|end|> instead of <|return|>"},
}

// knownDifference says why a conversation renders differently with a template; "" if it does not.
func knownDifference(template, conversation string) string {
	if d := differences[template]; slices.Contains(d.conversations, conversation) {
		return d.why
	}
	return ""
}
