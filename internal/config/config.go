// Package config reads the configuration file: one YAML mapping from the names of settings to their
// values, read strictly, so that a misspelt name is an error with its place and never ignored.
//
// It knows neither the settings nor what their values mean. The caller gives their names and forms,
// and gets texts, each with the line and column it stands at. There is no state.
package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Form is what the value of a setting may be.
type Form int

// The forms. A list may be written as a text too.
const (
	One   Form = iota // a text, a number, or true or false
	List              // several of them
	Pairs             // a mapping from names to anything that JSON knows
)

// Key is a setting that a file may have.
type Key struct {
	Name string
	Form Form
}

// Value is a setting in a file. A pair is NAME=JSON.
type Value struct {
	Key          string
	Texts        []string
	Line, Column int // of the value
}

// Error says what is wrong in a file, and where.
type Error struct {
	Path          string
	Line, Column  int // 0: not known, or the file as a whole
	Message, Hint string
}

func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.Path, e.Message)
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.Path, e.Line, e.Column, e.Message)
}

// maxSize bounds the file. A larger one is something else by mistake.
const maxSize = 1 << 20

// Read reads the file at path. Errors are of type *Error, or those of opening it.
func Read(path string, keys []Key) ([]Value, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSize {
		return nil, &Error{Path: path,
			Message: fmt.Sprintf("it is no regular file of at most %d bytes", maxSize)}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text, keys)
}

// Parse reads the text of a file.
func Parse(path string, text []byte, keys []Key) ([]Value, error) {
	r := reader{path: path, keys: keys}
	documents := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := documents.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, r.syntax(err)
	}
	if err := documents.Decode(&second); err == nil {
		return nil, r.wrong(&second, "a second document begins here; there can be only one")
	} else if !errors.Is(err, io.EOF) {
		return nil, r.syntax(err)
	}
	if len(first.Content) == 0 {
		return nil, nil
	}
	return r.settings(first.Content[0])
}

// reader reads one file.
type reader struct {
	path string
	keys []Key
}

// syntaxLine takes an error of the YAML library apart, which has a line and no column.
var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntax is an error of the YAML library in our form.
func (r *reader) syntax(err error) error {
	e := &Error{Path: r.path, Message: "this is no YAML: " + err.Error()}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		e.Message = "this is no YAML: " + m[2]
		e.Line, _ = strconv.Atoi(m[1])
	}
	return e
}

// wrong is an error about a part of the file.
func (r *reader) wrong(n *yaml.Node, format string, args ...any) *Error {
	return &Error{Path: r.path, Line: n.Line, Column: n.Column,
		Message: fmt.Sprintf(format, args...)}
}

// settings reads the mapping that the file is.
func (r *reader) settings(body *yaml.Node) ([]Value, error) {
	if body.Kind == yaml.ScalarNode && body.Tag == nullTag {
		return nil, nil
	}
	if body.Kind != yaml.MappingNode {
		return nil, r.wrong(body, "the file must be lines of NAME: VALUE")
	}
	var values []Value
	lines := map[string]int{}
	for name, value := range pairsOf(body) {
		if line, twice := lines[name.Value]; twice {
			return nil, r.wrong(name, "%s is set in line %d already", name.Value, line)
		}
		lines[name.Value] = name.Line
		v, err := r.setting(name, value)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// pairsOf are the names and values of a mapping.
func pairsOf(mapping *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(name, value *yaml.Node) bool) {
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			if !yield(mapping.Content[i], mapping.Content[i+1]) {
				return
			}
		}
	}
}

func (r *reader) setting(name, value *yaml.Node) (Value, error) {
	key, ok := r.find(name.Value)
	if !ok {
		e := r.wrong(name, "there is no setting %q", name.Value)
		if near := r.nearest(name.Value); near != "" {
			e.Hint = fmt.Sprintf("did you mean %s?", near)
		} else {
			e.Hint = "'mullama config' lists the settings"
		}
		return Value{}, e
	}
	texts, err := r.texts(key, value)
	return Value{Key: key.Name, Texts: texts, Line: value.Line, Column: value.Column}, err
}

func (r *reader) find(name string) (Key, bool) {
	for _, k := range r.keys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// texts are the parts of a value.
func (r *reader) texts(key Key, value *yaml.Node) ([]string, error) {
	text, single := scalar(value)
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag == nullTag:
		return nil, r.wrong(value, "%s has no value", key.Name)
	case single && key.Form != Pairs:
		return []string{text}, nil
	case value.Kind == yaml.SequenceNode && key.Form == List:
		return r.items(key, value)
	case value.Kind == yaml.MappingNode && key.Form == Pairs:
		return r.pairs(key, value)
	}
	wanted := map[Form]string{One: "one value", List: "a list or one value",
		Pairs: "lines of NAME: VALUE, farther to the right"}
	return nil, r.wrong(value, "the value of %s must be %s", key.Name, wanted[key.Form])
}

func (r *reader) items(key Key, list *yaml.Node) ([]string, error) {
	texts := []string{}
	for _, item := range list.Content {
		text, ok := scalar(item)
		if !ok {
			return nil, r.wrong(item, "each item of %s must be one value", key.Name)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func (r *reader) pairs(key Key, mapping *yaml.Node) ([]string, error) {
	var texts []string
	for name, part := range pairsOf(mapping) {
		var value any
		err := part.Decode(&value)
		encoded, jsonErr := json.Marshal(value)
		if err != nil || jsonErr != nil {
			return nil, r.wrong(part, "this value of %s cannot be read", key.Name)
		}
		texts = append(texts, name.Value+"="+string(encoded))
	}
	return texts, nil
}

const nullTag = "!!null"

// scalar is the text of a single value.
func scalar(n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == nullTag {
		return "", false
	}
	return n.Value, true
}

// nearest is the name of a setting that is spelt like name, or "".
func (r *reader) nearest(name string) string {
	best, least := "", max(1, len(name)/3)+1
	plain := strings.ReplaceAll(strings.ToLower(name), "-", "_")
	for _, k := range r.keys {
		if d := distance(plain, k.Name); d < least {
			best, least = k.Name, d
		}
	}
	return best
}

// distance is how many letters have to be changed, put in or left out to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
