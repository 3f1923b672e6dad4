package modelfile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Recipe is what the commands of a Modelfile mean together.
type Recipe struct {
	From       []Part // at least one: a model, or files that make one up
	Adapters   []Part
	Projectors []Part
	Drafts     []Part

	// Parameters are those of PARAMETER, GPU_LAYERS, FLASH_ATTENTION and THINKING enabled, with
	// values as in JSON: a number, a truth value, a text or, where it may be repeated, a list.
	Parameters map[string]any
	Template   string
	System     string
	Licenses   []string
	Messages   []Message

	Requires string // the least version of Ollama
	Renderer string
	Parser   string
	Digest   string // of the file in FROM: "sha256:…"
	Extras   Extras
}

// Part names a model or file, and where the Modelfile does.
type Part struct {
	Name         string
	Line, Column int
}

// Message is one turn of a conversation that each other one begins with.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Extras is what Ollama's models have no place for.
type Extras struct {
	ThinkStart   string            `json:"think_start,omitempty"` // what begins a thought
	ThinkEnd     string            `json:"think_end,omitempty"`
	ToolFormat   map[string]string `json:"tool_format,omitempty"`
	Capabilities map[string]bool   `json:"capabilities,omitempty"`
	Author       string            `json:"author,omitempty"`

	AdapterScales map[string]float32 `json:"adapter_scales,omitempty"` // by digest
}

// IsEmpty reports whether nothing is said.
func (e *Extras) IsEmpty() bool {
	return e.ThinkStart == "" && e.ThinkEnd == "" && len(e.ToolFormat) == 0 &&
		len(e.Capabilities) == 0 && e.Author == "" && len(e.AdapterScales) == 0
}

// Recipe reads the commands of a Modelfile. Where one can be given only once, the last one counts,
// as in Ollama. Errors are [*Error].
func (f *File) Recipe() (*Recipe, error) {
	r := &Recipe{Parameters: map[string]any{}}
	for i := range f.Commands {
		if err := r.add(&f.Commands[i]); err != nil {
			return nil, err
		}
	}
	if len(r.From) == 0 {
		return nil, &Error{1, 1, "there is no FROM, which names the model or file to begin with"}
	}
	return r, nil
}

func (r *Recipe) add(c *Command) error {
	part := Part{c.Value, c.Line, c.Column}
	if lists := map[string]*[]Part{"FROM": &r.From, "ADAPTER": &r.Adapters, "DRAFT": &r.Drafts,
		"VISION_PROJECTOR": &r.Projectors, "MMPROJ": &r.Projectors}; lists[c.Name] != nil {
		if c.Value == "" {
			return c.at("%s is empty", c.Name)
		}
		*lists[c.Name] = append(*lists[c.Name], part)
		return nil
	}
	if texts := map[string]*string{"TEMPLATE": &r.Template, "SYSTEM": &r.System,
		"REQUIRES": &r.Requires, "RENDERER": &r.Renderer, "PARSER": &r.Parser,
		"AUTHOR": &r.Extras.Author}; texts[c.Name] != nil {
		*texts[c.Name] = c.Value
		return r.check(c)
	}
	switch c.Name {
	case "LICENSE":
		r.Licenses = append(r.Licenses, c.Value)
	case "MESSAGE":
		r.Messages = append(r.Messages, Message{c.Key, c.Value})
	case "PARAMETER":
		return r.parameter(c, c.Key, c.Value)
	case "GPU_LAYERS":
		if value := strings.ToLower(c.Value); value == "all" || value == "auto" {
			return r.parameter(c, "num_gpu", map[string]string{"all": "999", "auto": "-1"}[value])
		}
		return r.parameter(c, "num_gpu", c.Value)
	case "FLASH_ATTENTION":
		return r.flashAttention(c)
	case "THINKING":
		return r.thinking(c)
	case "TOOLFORMAT":
		if r.Extras.ToolFormat == nil {
			r.Extras.ToolFormat = map[string]string{}
		}
		r.Extras.ToolFormat[c.Key] = c.Value
	case "CAPABILITY":
		return r.capability(c)
	case "DIGEST":
		return r.digest(c)
	}
	return nil
}

var version = regexp.MustCompile(`^v?\d+(\.\d+){0,2}([-+][0-9A-Za-z.+-]+)?$`)

// check looks at a text that has a form.
func (r *Recipe) check(c *Command) error {
	if c.Name == "REQUIRES" {
		if !version.MatchString(c.Value) {
			return c.at("%s is no version, such as 0.14.0", shortened(c.Value))
		}
		r.Requires = strings.TrimPrefix(c.Value, "v")
	}
	return nil
}

func (r *Recipe) parameter(c *Command, name, text string) error {
	value, err := ParseParameter(name, []string{text})
	if err != nil {
		return c.at("%s", err)
	}
	if list, ok := value.([]string); ok {
		before, _ := r.Parameters[name].([]string)
		value = append(before, list...)
	}
	r.Parameters[name] = value
	return nil
}

func (r *Recipe) flashAttention(c *Command) error {
	switch value := strings.ToLower(c.Value); value {
	case "on", "true", "1":
		r.Parameters["flash_attention"] = "on"
	case "off", "false", "0":
		r.Parameters["flash_attention"] = "off"
	case "auto":
		r.Parameters["flash_attention"] = "auto"
	default:
		return c.at("FLASH_ATTENTION is %s; it must be on, off or auto", shortened(c.Value))
	}
	return nil
}

func (r *Recipe) thinking(c *Command) error {
	switch c.Key {
	case "start":
		r.Extras.ThinkStart = c.Value
	case "end":
		r.Extras.ThinkEnd = c.Value
	default:
		return r.parameter(c, "think", c.Value)
	}
	return nil
}

func (r *Recipe) capability(c *Command) error {
	on, err := strconv.ParseBool(strings.ToLower(c.Value))
	if err != nil {
		return c.at("CAPABILITY %s is %s; it must be true or false", c.Key, shortened(c.Value))
	}
	if r.Extras.Capabilities == nil {
		r.Extras.Capabilities = map[string]bool{}
	}
	r.Extras.Capabilities[c.Key] = on
	return nil
}

var digest = regexp.MustCompile(`^(?:sha256[:-])?([0-9a-f]{64})$`)

func (r *Recipe) digest(c *Command) error {
	m := digest.FindStringSubmatch(strings.ToLower(c.Value))
	if m == nil {
		return c.at("%s is not sha256: and 64 hexadecimal digits", shortened(c.Value))
	}
	r.Digest = "sha256:" + m[1]
	return nil
}

// kind is what values a parameter has.
type kind int

const (
	number kind = iota
	whole
	truth
	text
	list
	level // a truth value or a text
)

// parameters are all that requests, and so Modelfiles, may set. The last ones have no effect any
// more; old Modelfiles have them.
var parameters = map[kind]string{
	number: "temperature top_p min_p typical_p top_n_sigma xtc_probability xtc_threshold " +
		"dynatemp_range dynatemp_exponent repeat_penalty frequency_penalty presence_penalty " +
		"dry_multiplier dry_base mirostat_tau mirostat_eta adaptive_target adaptive_decay tfs_z",
	whole: "top_k repeat_last_n dry_allowed_length dry_penalty_last_n dry_last_n mirostat " +
		"min_keep seed num_predict n_predict num_keep n_keep num_ctx num_batch num_gpu main_gpu " +
		"num_thread draft_num_predict num_gqa",
	truth: "ignore_eos shift verbose cache_prompt use_mmap use_mlock low_vram f16_kv numa " +
		"vocab_only logits_all penalize_newline embedding_only", //nolint:misspell // Ollama's word
	text:  "grammar flash_attention",
	list:  "stop dry_sequence_breakers dry_breaker samplers",
	level: "think",
}

var kinds = func() map[string]kind {
	kinds := map[string]kind{}
	for k, names := range parameters {
		for name := range strings.FieldsSeq(names) {
			kinds[name] = k
		}
	}
	return kinds
}()

// ParameterNames are the names of all parameters, in no order.
func ParameterNames() []string {
	var names []string
	for name := range kinds {
		names = append(names, name)
	}
	return names
}

// ParseParameter reads the values of a parameter. They become a float64, int64, bool, string or
// []string; of several values for what has but one, the last counts.
func ParseParameter(name string, values []string) (any, error) {
	k, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("there is no parameter %s", shortened(name))
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("parameter %s has no value", name)
	}
	value := values[len(values)-1]
	wrong := func(want string) error {
		return fmt.Errorf("parameter %s is %s; it must be %s", name, shortened(value), want)
	}
	switch k {
	case number:
		f, err := strconv.ParseFloat(value, 32)
		if err != nil || f != f || f-f != 0 {
			return nil, wrong("a number")
		}
		f, _ = strconv.ParseFloat(value, 64)
		return f, nil
	case whole:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, wrong("a whole number")
		}
		return n, nil
	case truth:
		b, err := strconv.ParseBool(strings.ToLower(value))
		if err != nil {
			return nil, wrong("true or false")
		}
		return b, nil
	case level:
		if b, err := strconv.ParseBool(strings.ToLower(value)); err == nil {
			return b, nil
		}
		return value, nil
	case list:
		return values, nil
	}
	return value, nil
}
