package server

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// settings are what the options of a request, and the parameters of a model below them, say.
type settings struct {
	load     mullama.LoadOptions
	reload   bool // load differs from the server's defaults
	think    *api.Think
	mmap     *bool // nil: nobody says
	lock     bool
	verbose  bool               // show the prompt beside the answer
	biases   map[string]float32 // of all tokens of a text
	generate mullama.GenerateOptions
	sampling mullama.Sampling
}

// newSettings starts from the server's defaults.
func newSettings(load mullama.LoadOptions, sampling mullama.Sampling) *settings {
	return &settings{load: load, sampling: sampling}
}

// apply sets what a map of options says, names in order. Unknown ones are logged.
func (s *settings) apply(options map[string]any, log *slog.Logger) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := options[name]
		if value == nil {
			continue
		}
		set, ok := optionSetters[name]
		if !ok {
			log.Warn("an option is unknown and was ignored", "option", name)
			continue
		}
		if err := set(s, name, value); err != nil {
			return err
		}
	}
	return nil
}

// finish returns the options of the generation.
func (s *settings) finish() mullama.GenerateOptions {
	s.generate.Sampling = &s.sampling
	return s.generate
}

// biasTexts gives the tokens of texts their biases.
func (s *settings) biasTexts(m *mullama.Model) error {
	for text, bias := range s.biases {
		tokens, err := m.Tokenize(text, mullama.TokenizeOptions{})
		if err != nil {
			return err
		}
		for _, token := range tokens {
			s.sampling.LogitBias[token] = bias
		}
	}
	return nil
}

type setter func(s *settings, name string, value any) error

func wrongType(name string, value any, want string) error {
	return badField(name, "option %s is %s; it must be %s", name, show(value), want)
}

// show writes a value of JSON, shortened.
func show(value any) string {
	const enough = 40
	text := fmt.Sprint(value)
	if s, ok := value.(string); ok {
		text = fmt.Sprintf("%q", s)
	}
	if runes := []rune(text); len(runes) > enough {
		text = string(runes[:enough]) + "…"
	}
	return text
}

// number is an option that is a fraction.
func number(field func(*settings) *float32) setter {
	return func(s *settings, name string, value any) error {
		f, ok := value.(float64)
		if !ok {
			return wrongType(name, value, "a number")
		}
		*field(s) = float32(f)
		return nil
	}
}

// toInt reads a whole number that fits in 32 bits, or 33 for a seed without a sign.
func toInt(name string, value any) (int, error) {
	f, ok := value.(float64)
	if !ok {
		return 0, wrongType(name, value, "a whole number")
	}
	if f != math.Trunc(f) || f < math.MinInt32 || f > math.MaxUint32 {
		return 0, wrongType(name, value, "a whole number of 32 bits")
	}
	return int(f), nil
}

// integer is an option that is a whole number.
func integer(field func(*settings) *int) setter {
	return func(s *settings, name string, value any) error {
		n, err := toInt(name, value)
		if err == nil {
			*field(s) = n
		}
		return err
	}
}

// loading is a whole number that changes how the model is loaded; 0 leaves it as it is. That is
// how Ollama's clients say so.
func loading(set func(*mullama.LoadOptions, int)) setter {
	return func(s *settings, name string, value any) error {
		n, err := toInt(name, value)
		if err != nil {
			return err
		}
		if n != 0 || name == "num_gpu" || name == "main_gpu" {
			set(&s.load, n)
			s.reload = true
		}
		return nil
	}
}

// flag is an option that is true or false.
func flag(set func(*settings, bool)) setter {
	return func(s *settings, name string, value any) error {
		b, ok := value.(bool)
		if !ok {
			return wrongType(name, value, "true or false")
		}
		set(s, b)
		return nil
	}
}

// texts is an option that is a string or a list of strings.
func texts(field func(*settings) *[]string) setter {
	return func(s *settings, name string, value any) error {
		list, ok := toTexts(value)
		if !ok {
			return wrongType(name, value, "a string or a list of strings")
		}
		*field(s) = list
		return nil
	}
}

func toTexts(value any) ([]string, bool) {
	switch v := value.(type) {
	case string:
		return []string{v}, true
	case []string:
		return v, true
	case []any:
		list := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, false
			}
			list[i] = text
		}
		return list, true
	}
	return nil, false
}
