package llama_test

import (
	"regexp"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

func TestSchemasConstrainOutput(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"boolean"}`:                       `^(true|false)$`,
		`{"enum":["red","blue"]}`:                  `^"(red|blue)"$`,
		`{"type":"string","pattern":"^[a-c]{3}$"}`: `^"[a-c]{3}"$`,
		`{"const":{"a":[1,null]}}`:                 `^\{"a":\[1,null\]\}$`,
		`{"type":"integer","minimum":100}`:         `^[1-9][0-9]{2}`,
		`{"$ref":"#/$defs/n","$defs":{"n":{"type":"array","items":{"$ref":"#/$defs/n"}}}}`: `^\[`,
	} {
		grammar, err := library(t).SchemaToGrammar([]byte(schema))
		if err != nil {
			t.Errorf("%s: %v", schema, err)
			continue
		}
		got, err := constrained(t, grammar, 40)
		if err != nil || !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s gives %q, %v", schema, got, err)
		}
	}
}

func TestWrongSchemas(t *testing.T) {
	for name, tt := range map[string]struct {
		schema string
		kind   error
	}{
		"empty":        {``, llama.ErrInvalid},
		"cut":          {`{"type":`, llama.ErrInvalid},
		"deep":         {nested(`{"items":`, 100_000, "{}", "}"), llama.ErrInvalid},
		"number":       {`5`, llama.ErrGrammar},
		"list":         {`[]`, llama.ErrGrammar},
		"type":         {`{"type":"colour"}`, llama.ErrGrammar},
		"type number":  {`{"type":5}`, llama.ErrGrammar},
		"lost":         {`{"$ref":"#/$defs/lost"}`, llama.ErrGrammar},
		"remote":       {`{"$ref":"https://example.invalid/x"}`, llama.ErrGrammar},
		"pattern":      {`{"type":"string","pattern":"^[$"}`, llama.ErrGrammar},
		"enum":         {`{"enum":[]}`, llama.ErrGrammar},
		"negative":     {`{"type":"string","minLength":-1}`, llama.ErrGrammar},
		"properties":   {`{"type":"object","properties":5}`, llama.ErrGrammar},
		"alternatives": {`{"oneOf":[]}`, llama.ErrGrammar},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := library(t).SchemaToGrammar([]byte(tt.schema))
			wantError(t, err, tt.kind, "JSON schema")
		})
	}
}

// A schema that refers to nothing but itself has a grammar, which the sampler refuses.
func TestSchemaThatIsOnlyItself(t *testing.T) {
	for _, schema := range []string{
		`{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`,
		`{"$ref":"#/$defs/n","$defs":{"n":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"string"}]}}}`,
	} {
		grammar, err := library(t).SchemaToGrammar([]byte(schema))
		if err != nil {
			t.Fatal(err)
		}
		_, err = constrained(t, grammar, 1)
		wantError(t, err, llama.ErrGrammar, "left-recursive")
	}
}

func TestDeepSchema(t *testing.T) {
	schema := nested(`{"type":"array","items":`, 60, `{"type":"null"}`, "}")
	grammar, err := library(t).SchemaToGrammar([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := constrained(t, grammar, 8); err != nil {
		t.Error(err)
	}
}
