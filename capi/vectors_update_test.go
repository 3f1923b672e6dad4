package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/mullama/mullama/conformance/vectors"
)

var update = flag.Bool("update", false, "write what the library gives into the vectors")

// writeFresh replaces values in a file of vectors, which has a line for each case. The rest of the
// file stays as it is.
func writeFresh(t *testing.T, path string, cases []*vector) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, v := range cases {
		for field, value := range v.fresh {
			text = replaceField(t, text, v.Name, field, value)
		}
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replaceField replaces a field in the line of a case.
func replaceField(t *testing.T, text, name, field string, value any) string {
	t.Helper()
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		object := strings.TrimSuffix(strings.TrimSpace(line), ",")
		var v vectors.Case
		if json.Unmarshal([]byte(object), &v) != nil || v.Name != name || v.Op == "" {
			continue
		}
		old := rawField(t, object, field)
		fresh := new(bytes.Buffer)
		encoder := json.NewEncoder(fresh)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			t.Fatal(err)
		}
		key := `"` + field + `": `
		lines[i] = strings.Replace(line, key+old, key+strings.TrimSpace(fresh.String()), 1)
		return strings.Join(lines, "")
	}
	t.Fatalf("there is no case %q", name)
	return ""
}

// rawField is the value of a field as it is written.
func rawField(t *testing.T, object, field string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &fields); err != nil {
		t.Fatal(err)
	}
	return string(fields[field])
}

func TestOnlyTheFieldThatIsStaleIsWrittenAnew(t *testing.T) {
	const text = "{\n  \"cases\": [\n" +
		`    {"name": "a", "op": "x", "tokens": [1, 2], "want_text": "<\u00e9>"},` + "\n" +
		`    {"name": "b", "op": "x", "tokens": [1, 2], "want_text": "<\u00e9>"}` + "\n  ]\n}\n"
	got := replaceField(t, text, "b", "want_text", "<n>")
	got = replaceField(t, got, "a", "tokens", []int{3})
	want := "{\n  \"cases\": [\n" +
		`    {"name": "a", "op": "x", "tokens": [3], "want_text": "<\u00e9>"},` + "\n" +
		`    {"name": "b", "op": "x", "tokens": [1, 2], "want_text": "<n>"}` + "\n  ]\n}\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
