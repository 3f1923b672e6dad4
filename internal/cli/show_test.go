package cli

import (
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	for name, args := range map[string][]string{
		"show":          {"show", "m.gguf"},
		"show_verbose":  {"show", "m.gguf", "-v"},
		"show_json":     {"show", "m.gguf", "--json"},
		"show_metadata": {"show", "m.gguf", "--metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(newFake(), "", args...)
			if got.code != 0 || got.err != "" {
				t.Fatalf("got %+v", got)
			}
			golden(t, name, got.out)
		})
	}
}

func TestShowPrintsOnePartAlone(t *testing.T) {
	info := fakeInfo()
	for flag, want := range map[string]string{
		"--template":   info.Template + "\n",
		"--license":    "apache-2.0\n",
		"--parameters": "temp  0.6\n",
	} {
		if got := run(newFake(), "", "show", "m.gguf", flag); got != (outcome{0, want, ""}) {
			t.Errorf("%s: got %+v, want %q", flag, got, want)
		}
	}
	fake := newFake()
	fake.model.info.Template = ""
	if got := run(
		fake,
		"",
		"show",
		"m.gguf",
		"--template",
	); got.code != 0 || got.out != "" ||
		got.err == "" {
		t.Errorf("without a template: %+v", got)
	}
	if got := run(
		newFake(),
		"",
		"show",
		"m.gguf",
		"--template",
		"--license",
	); got.code != exitUsage {
		t.Errorf("two parts: %+v", got)
	}
}

func TestShowNeverPrintsControlCharactersOfTheFile(t *testing.T) {
	fake := newFake()
	fake.model.info.Name = "evil\x1b]0;owned\x07\nsecond"
	fake.model.info.License = "a\x1b[2J\nb\nc\nd\ne"
	fake.model.info.Metadata["bad\x1bkey"] = "bad\x1bvalue"
	got := run(fake, "", "show", "m.gguf", "-v")
	if strings.ContainsAny(got.out, "\x1b\x07") || strings.Contains(got.out, "\nsecond") {
		t.Errorf("out %q", got.out)
	}
	if !strings.Contains(got.out, "2 more lines") {
		t.Errorf("a long licence is not shortened: %q", got.out)
	}
}
