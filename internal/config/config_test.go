package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var keys = []Key{{"models", One}, {"parallel", One}, {"origins", List}, {"option", Pairs},
	{"insecure", One}}

func TestValuesAreTextsWithTheirPlace(t *testing.T) {
	got, err := Parse("f", []byte(`# a comment
models: ~/models   # where they are
parallel: 8
insecure: true
origins:
  - https://a.example
  - b
option:
  temperature: 0.5
  stop: [a, "b"]
`), keys)
	want := []Value{
		{"models", []string{"~/models"}, 2, 9}, {"parallel", []string{"8"}, 3, 11},
		{"insecure", []string{"true"}, 4, 11},
		{"origins", []string{"https://a.example", "b"}, 6, 3},
		{"option", []string{"temperature=0.5", `stop=["a","b"]`}, 9, 3},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		if got, err := Parse("f", []byte(text), keys); err != nil || len(got) != 0 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	got, err = Parse("f", []byte("origins: one\noption: {a: 1}"), keys)
	if err != nil || len(got) != 2 || got[0].Texts[0] != "one" || got[1].Texts[0] != "a=1" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWhatIsWrongIsSaidWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"models: a\nparallels: 8":      `f:2:1: there is no setting "parallels"`,
		"parallel: [1, 2]":             "f:1:11: the value of parallel must be one value",
		"parallel:":                    "parallel has no value",
		"models: a\nmodels: b":         "f:2:1: models is set in line 1 already",
		"- a\n- b":                     "f:1:1: the file must be lines of NAME: VALUE",
		"just words":                   "f:1:1: the file must be lines of NAME: VALUE",
		"models: [a":                   "f:1: this is no YAML",
		"x: y\nmodels: a: b":           "f:2: this is no YAML",
		"option: 5":                    "the value of option must be lines of NAME: VALUE",
		"origins: [[a]]":               "each item of origins must be one value",
		"models: a\n---\nparallel: 2":  "a second document begins here",
		"models: &x a\nparallel: *x\n": "must be one value",
	} {
		values, err := Parse("f", []byte(text), keys)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v; want %q", text, values, err, want)
		}
	}
}

func TestTheNearestNameIsProposed(t *testing.T) {
	for name, want := range map[string]string{
		"parallels": "did you mean parallel?", "Origins": "did you mean origins?",
		"in-secure": "did you mean insecure?", "xyzzy": "'mullama config' lists the settings",
	} {
		_, err := Parse("f", []byte(name+": 1"), keys)
		if e := (*Error)(nil); !errors.As(err, &e) || e.Hint != want {
			t.Errorf("%s: %#v, want the hint %q", name, err, want)
		}
	}
}

func TestAFileThatIsNoneIsAnError(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir, keys); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Read(filepath.Join(dir, "no"), keys); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"models: a", "option: {a: [1, {b: c}]}", "? a\n: b", "*a",
		"!!x y", "<<: *a", "a: |\n  b\n", "\t", "models: !!binary x", "{", "models: &a [*a]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := Parse("f", text, keys)
		if e := (*Error)(nil); err != nil && !errors.As(err, &e) {
			t.Errorf("an error of type %T", err)
		}
		for _, v := range values {
			if _, ok := (&reader{keys: keys}).find(v.Key); !ok {
				t.Errorf("a value of %q", v.Key)
			}
		}
	})
}
