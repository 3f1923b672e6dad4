package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
)

// anyObject is the schema that --format json stands for.
const anyObject = `{"type":"object"}`

// shapeFlags is what the user asks of the form of the answer.
type shapeFlags struct {
	grammarFile string
	schemaFile  string
	format      string

	grammar string // filled by resolve
	schema  string
}

// define declares the flags.
func (f *shapeFlags) define(set *pflag.FlagSet) {
	set.StringVar(
		&f.grammarFile,
		"grammar",
		"",
		"`FILE` with a GBNF grammar that the answer follows",
	)
	set.StringVar(
		&f.schemaFile,
		"json-schema",
		"",
		"`FILE` with a JSON schema that the answer follows",
	)
	set.StringVar(&f.format, "format", "", "`json` for any JSON object, or a JSON schema itself")
}

// resolve reads the files and refuses to follow two forms at once.
func (f *shapeFlags) resolve() error {
	if err := exclusive(
		flagUse{"--grammar", f.grammarFile != ""},
		flagUse{"--json-schema", f.schemaFile != ""},
		flagUse{"--format", f.format != ""},
	); err != nil {
		return err
	}
	var err error
	switch {
	case f.grammarFile != "":
		f.grammar, err = readText("--grammar", f.grammarFile)
	case f.schemaFile != "":
		if f.schema, err = readText("--json-schema", f.schemaFile); err == nil {
			err = validSchema(f.schemaFile, f.schema)
		}
	case f.format != "":
		f.schema, err = schemaOfFormat(f.format)
	}
	return err
}

// apply puts the form into the options of a request.
func (f *shapeFlags) apply(opts *mullama.GenerateOptions) {
	opts.Grammar, opts.JSONSchema = f.grammar, f.schema
}

// schemaOfFormat returns the schema that a --format value stands for.
func schemaOfFormat(format string) (string, error) {
	if format == "json" {
		return anyObject, nil
	}
	if strings.HasPrefix(strings.TrimSpace(format), "{") {
		return format, validSchema("--format", format)
	}
	return "", usage("--format: %q is neither json nor a JSON schema", format)
}

// validSchema checks that text is JSON and says where it is not.
func validSchema(name, text string) error {
	var schema any
	err := json.Unmarshal([]byte(text), &schema)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := text[:min(int(syntax.Offset), len(text))]
		return usage(
			"%s is not valid JSON, line %d: %s",
			name,
			1+strings.Count(before, "\n"),
			syntax,
		)
	}
	return usage("%s is not valid JSON: %s", name, err)
}

// readText reads the text file that flag names.
func readText(flag, path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	if strings.TrimSpace(string(data)) == "" {
		return "", usage("%s: %s is empty", flag, path)
	}
	return string(data), validText(path, string(data))
}

// validText reports the first byte of text that is not UTF-8.
func validText(what, text string) error {
	if utf8.ValidString(text) {
		return nil
	}
	for i, r := range text {
		if r != utf8.RuneError {
			continue
		}
		if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
			return usage("%s is not valid UTF-8: byte 0x%02x at offset %d", what, text[i], i).
				withHint("convert it first, for example with iconv -t UTF-8")
		}
	}
	return nil
}

// flagUse is a flag and whether it was given.
type flagUse struct {
	name string
	used bool
}

// exclusive reports the first two flags that were given together.
func exclusive(flags ...flagUse) error {
	var first string
	for _, f := range flags {
		switch {
		case !f.used:
		case first == "":
			first = f.name
		default:
			return usage("%s and %s cannot be used together", first, f.name)
		}
	}
	return nil
}

// logprobsFlag is a flag for how many alternatives to show; -1 means none at all.
func logprobsFlag(at *int) *value {
	v := indexFlag(at)
	v.get = func() string { return "" }
	return v
}
