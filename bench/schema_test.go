package bench

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

func resultSchema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	data, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatalf("schema.json: %v", err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatalf("schema.json: %v", err)
	}
	return resolved
}

// readResult reads a file that a command wrote, which must fit the schema.
func readResult(t *testing.T, file string) Result {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, data); err != nil {
		t.Errorf("%v\n%s", err, data)
	}
	var r Result
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// validate checks JSON text against the schema.
func validate(t *testing.T, data []byte) error {
	t.Helper()
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return resultSchema(t).Validate(value)
}

func TestAResultFitsTheSchema(t *testing.T) {
	data, err := json.Marshal(testResult())
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, data); err != nil {
		t.Errorf("%v\n%s", err, data)
	}
}

func TestCommittedResultsFitTheSchema(t *testing.T) {
	paths, err := resultFiles("results")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		data, err := readMaybeCompressed(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, data); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTheSchemaRefusesWhatIsNoResult(t *testing.T) {
	for name, spoil := range map[string]func(*Result){
		"no rows":           func(r *Result) { r.Rows = nil },
		"a folder":          func(r *Result) { r.Command = "mullama bench x --model a/m.gguf" },
		"an unknown goal":   func(r *Result) { r.Rows[0].Goal = &Goal{Kind: "nice"} },
		"a cut checksum":    func(r *Result) { r.Model.SHA256 = "ab" },
		"a side unheard of": func(r *Result) { r.Rounds[0].Order[0] = "theirs" },
	} {
		r := testResult()
		spoil(r)
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if validate(t, data) == nil {
			t.Errorf("the schema takes a result with %s", name)
		}
	}
}
