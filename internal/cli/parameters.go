package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
)

// settings is what the user can choose about an answer, by flag or by /set parameter.
type settings struct {
	sampling  mullama.Sampling
	maxTokens int
	stop      []string
	chosen    []string // the names in requests of those that the user gave; never nil
}

// defaultSettings returns the settings of a request that chooses nothing.
func defaultSettings() *settings {
	return &settings{sampling: mullama.DefaultSampling(), chosen: []string{}}
}

// parameter is one row of the table that serves flags, /set parameter and /show parameters.
type parameter struct {
	name  string // as in /set parameter; the flag has dashes for underscores
	short string // one-letter flag
	kind  string
	help  string
	list  bool   // the flag may be repeated, /set parameter takes several values
	alone string // value of the flag when it is given without one; "" when it needs one
	set   func(s *settings, values []string) error
	get   func(s *settings) string
}

// flag returns the long name of the parameter's flag.
func (p *parameter) flag() string { return strings.ReplaceAll(p.name, "_", "-") }

// number is a parameter kept in a float32.
func number(name, help string, at func(*settings) *float32) *parameter {
	return &parameter{
		name: name, kind: "number", help: help,
		get: func(s *settings) string { return formatNumber(*at(s)) },
		set: func(s *settings, values []string) (err error) {
			*at(s), err = parseInto(*at(s), values, parseNumber)
			return err
		},
	}
}

// integer is a parameter kept in an int.
func integer(name, help string, at func(*settings) *int) *parameter {
	return &parameter{
		name: name, kind: "int", help: help,
		get: func(s *settings) string { return strconv.Itoa(*at(s)) },
		set: func(s *settings, values []string) (err error) {
			*at(s), err = parseInto(*at(s), values, parseInteger)
			return err
		},
	}
}

// texts is a parameter that is a list of strings, each given on its own.
func texts(name, help string, at func(*settings) *[]string) *parameter {
	return &parameter{
		name: name, kind: "text", help: help, list: true,
		get: func(s *settings) string { return quoteAll(*at(s)) },
		set: func(s *settings, values []string) error {
			if slices.Contains(values, "") {
				return errors.New("the text is empty")
			}
			*at(s) = slices.Clone(values)
			return nil
		},
	}
}

// parseInto reads the single value of a parameter and returns old when that fails.
func parseInto[T any](old T, values []string, parse func(string) (T, error)) (T, error) {
	if len(values) != 1 {
		return old, fmt.Errorf("one value is wanted, not %d", len(values))
	}
	parsed, err := parse(values[0])
	if err != nil {
		return old, err
	}
	return parsed, nil
}

// quoteAll writes a list of strings on one line.
func quoteAll(list []string) string {
	quoted := make([]string, len(list))
	for i, text := range list {
		quoted[i] = strconv.Quote(text)
	}
	return strings.Join(quoted, " ")
}

// findParameter returns the row called name, which may be written with dashes.
func findParameter(name string) (*parameter, bool) {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	for _, p := range parameters {
		if p.name == name {
			return p, true
		}
	}
	return nil, false
}

// change sets one parameter and checks the settings as a whole; when either fails s is unchanged.
func (s *settings) change(p *parameter, values []string) error {
	next := s.clone()
	if err := p.set(next, values); err != nil {
		return err
	}
	if err := next.validate(); err != nil {
		return err
	}
	next.choose(p)
	*s = *next
	return nil
}

// wireName returns the name of the parameter in requests.
func (p *parameter) wireName() string {
	switch p.name {
	case "dry_last_n":
		return "dry_penalty_last_n"
	case "dry_breaker":
		return "dry_sequence_breakers"
	}
	return p.name
}

// choose notes that the user gave a parameter; the others are as the model's maker has them.
func (s *settings) choose(p *parameter) {
	name := p.wireName()
	if !slices.Contains(s.chosen, name) {
		s.chosen = append(s.chosen, name)
	}
}

// clone returns a copy that shares nothing that can change.
func (s *settings) clone() *settings {
	c := *s
	c.sampling.LogitBias = maps.Clone(s.sampling.LogitBias)
	c.chosen = slices.Clone(s.chosen)
	return &c
}

// validate reports the first value that is out of range or contradicts another.
func (s *settings) validate() error {
	if err := s.sampling.Validate(); err != nil {
		return err
	}
	if s.maxTokens < -1 {
		return usage("num_predict must be -1, 0 (no limit) or more, not %d", s.maxTokens)
	}
	return nil
}

// request returns the settings as options of a request.
func (s *settings) request() mullama.GenerateOptions {
	c := s.clone()
	return mullama.GenerateOptions{
		Sampling:  &c.sampling,
		MaxTokens: max(c.maxTokens, 0),
		Stop:      slices.Clone(c.stop),
		Chosen:    c.chosen,
	}
}

// defineParameters declares a flag for every row of the table, each writing to s.
func defineParameters(set *pflag.FlagSet, s *settings) {
	for _, p := range parameters {
		var given []string
		flag := set.VarPF(&value{
			kind: p.kind,
			get:  func() string { return p.get(s) },
			set: func(text string) error {
				if !p.list {
					given = nil
				}
				given = append(given, text)
				s.choose(p)
				return p.set(s, given)
			},
		}, p.flag(), p.short, p.help)
		flag.NoOptDefVal = p.alone
	}
}
