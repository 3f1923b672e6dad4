package modelfile

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"
)

// bare is what a file says, without where.
func bare(f *File) []Command {
	var commands []Command
	for _, c := range f.Commands {
		c.Line, c.Column = 0, 0
		commands = append(commands, c)
	}
	return commands
}

func mustParse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return f
}

func TestEveryCommandIsRead(t *testing.T) {
	const text = `# what it is made of
FROM ./model.gguf
from ./projector.gguf
Parameter STOP "<|end|>"
PARAMETER temperature   0.5
  TEMPLATE """{{ .System }}
{{ .Prompt }}"""
SYSTEM You are "kind". # no comment
ADAPTER ./lora.gguf
LICENSE """
MIT

"""
MESSAGE user Hello there
MESSAGE Assistant "  spaces  "
REQUIRES 0.14.0
RENDERER qwen3
PARSER qwen3
DRAFT ./draft.gguf

GPU_LAYERS 12
FLASH_ATTENTION auto
VISION_PROJECTOR ./a.gguf
MMPROJ ./b.gguf
DIGEST sha256:0123
THINKING start <think>
TOOLFORMAT style qwen
CAPABILITY vision true
AUTHOR "Somebody"`
	want := []Command{
		{"FROM", "", "./model.gguf", 0, 0}, {"FROM", "", "./projector.gguf", 0, 0},
		{"PARAMETER", "stop", "<|end|>", 0, 0}, {"PARAMETER", "temperature", "0.5", 0, 0},
		{"TEMPLATE", "", "{{ .System }}\n{{ .Prompt }}", 0, 0},
		{"SYSTEM", "", `You are "kind". # no comment`, 0, 0},
		{"ADAPTER", "", "./lora.gguf", 0, 0}, {"LICENSE", "", "\nMIT\n\n", 0, 0},
		{"MESSAGE", "user", "Hello there", 0, 0}, {"MESSAGE", "assistant", "  spaces  ", 0, 0},
		{"REQUIRES", "", "0.14.0", 0, 0}, {"RENDERER", "", "qwen3", 0, 0},
		{"PARSER", "", "qwen3", 0, 0}, {"DRAFT", "", "./draft.gguf", 0, 0},
		{"GPU_LAYERS", "", "12", 0, 0}, {"FLASH_ATTENTION", "", "auto", 0, 0},
		{"VISION_PROJECTOR", "", "./a.gguf", 0, 0}, {"MMPROJ", "", "./b.gguf", 0, 0},
		{"DIGEST", "", "sha256:0123", 0, 0}, {"THINKING", "start", "<think>", 0, 0},
		{"TOOLFORMAT", "style", "qwen", 0, 0}, {"CAPABILITY", "vision", "true", 0, 0},
		{"AUTHOR", "", "Somebody", 0, 0},
	}
	for _, ends := range []string{"\n", "\r\n"} {
		got := bare(mustParse(t, strings.ReplaceAll(text, "\n", ends)))
		for i := range got {
			got[i].Value = strings.ReplaceAll(got[i].Value, ends, "\n")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("line ends %q: got %+v", ends, got)
		}
	}
}

func TestValuesAreQuotedAsInOllama(t *testing.T) {
	for in, want := range map[string]string{
		`word`: "word", `  a b  `: "a b", `"a b "`: "a b ", `""`: "", `""""""`: "",
		`"""a"""`: "a", `"a" b "c"`: `a" b "c`, `""" "q" """`: ` "q" `, `"""a""""`: `a"`,
		"\"two\nlines\"": "two\nlines", "\"\"\"x\n  \"y\"\n\"\"\"  ": "x\n  \"y\"\n",
		`a\n`: `a\n`, `"a\"`: `a\`,
	} {
		f := mustParse(t, "SYSTEM "+in+"\nFROM x")
		if len(f.Commands) != 2 || f.Commands[0].Value != want {
			t.Errorf("%q: got %+v, want %q", in, f.Commands, want)
		}
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	for _, tt := range []struct {
		text         string
		line, column int
		word         string
	}{
		{"FROM x\n  FORM y", 2, 3, `no command "FORM"`},
		{"FROM", 1, 5, "FROM needs a value"},
		{"FROM x\nPARAMETER", 2, 10, "needs a name and a value"},
		{"PARAMETER stop", 1, 15, "PARAMETER stop needs a value"},
		{"MESSAGE robot hi", 1, 9, "one of system, user, assistant"},
		{"é\nFROM x", 1, 1, `no command "é"`},
		{"FROM x\nSYSTEM é \"\"\"a", 0, 0, ""},
		{"FROM x\nSYSTEM \"\"\"a\nPARAMETER stop b\n", 2, 8, "no later line ends with it"},
		{"FROM x\nPARAMETER te-st 1", 2, 11, "no name for a PARAMETER"},
		{"FROM \xff", 1, 6, "not text in UTF-8"},
	} {
		_, err := Parse(strings.NewReader(tt.text))
		checkError(t, tt.text, err, tt.line, tt.column, tt.word)
	}
}

func checkError(t *testing.T, text string, err error, line, column int, word string) {
	t.Helper()
	var wrong *Error
	switch {
	case line == 0:
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
	case !errors.As(err, &wrong):
		t.Errorf("%q: the error is %v", text, err)
	case wrong.Line != line || wrong.Column != column || !strings.Contains(err.Error(), word):
		t.Errorf("%q: got %v, want line %d, column %d, %q", text, err, line, column, word)
	}
}

func TestTheMeaningIsCheckedWithItsPlace(t *testing.T) {
	for _, tt := range []struct {
		text         string
		line, column int
		word         string
	}{
		{"SYSTEM x", 1, 1, "there is no FROM"},
		{"FROM x\nPARAMETER tempratur 1", 2, 1, `no parameter "tempratur"`},
		{"FROM x\nPARAMETER top_k 1.5", 2, 1, "must be a whole number"},
		{"FROM x\nPARAMETER temperature inf", 2, 1, "must be a number"},
		{"FROM x\nPARAMETER temperature 1e99", 2, 1, "must be a number"},
		{"FROM x\n\nPARAMETER use_mmap maybe", 3, 1, "true or false"},
		{"FROM x\nGPU_LAYERS some", 2, 1, "whole number"},
		{"FROM x\nFLASH_ATTENTION perhaps", 2, 1, "on, off or auto"},
		{"FROM x\nCAPABILITY vision 7", 2, 1, "true or false"},
		{"FROM x\nDIGEST abc", 2, 1, "64 hexadecimal digits"},
		{"FROM x\nREQUIRES newest", 2, 1, "no version"},
		{`FROM ""`, 1, 1, "FROM is empty"},
	} {
		_, err := mustParse(t, tt.text).Recipe()
		checkError(t, tt.text, err, tt.line, tt.column, tt.word)
	}
}

func TestTheRecipeHasWhatTheCommandsSay(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	r, err := mustParse(t, `FROM a
FROM b
SYSTEM first
SYSTEM second
PARAMETER stop x
PARAMETER stop y
PARAMETER temperature 0.1
PARAMETER temperature 0.2
PARAMETER num_ctx 2048
PARAMETER use_mmap false
GPU_LAYERS all
FLASH_ATTENTION true
THINKING start [
THINKING end ]
THINKING enabled false
TOOLFORMAT call_start <tool>
CAPABILITY tools false
AUTHOR me
DIGEST `+strings.ToUpper(sum)+`
REQUIRES v1.2
MESSAGE user hi
MMPROJ p
LICENSE one
LICENSE two`).Recipe()
	if err != nil {
		t.Fatal(err)
	}
	want := &Recipe{
		From: []Part{{"a", 1, 1}, {"b", 2, 1}}, System: "second",
		Projectors: []Part{{"p", 22, 1}},
		Parameters: map[string]any{"stop": []string{"x", "y"}, "temperature": 0.2,
			"num_ctx": int64(2048), "use_mmap": false, "num_gpu": int64(999),
			"flash_attention": "on", "think": false},
		Licenses: []string{"one", "two"}, Messages: []Message{{"user", "hi"}},
		Requires: "1.2", Digest: "sha256:" + sum,
		Extras: Extras{ThinkStart: "[", ThinkEnd: "]", Author: "me",
			ToolFormat:   map[string]string{"call_start": "<tool>"},
			Capabilities: map[string]bool{"tools": false}},
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v", r)
	}
}

func TestOtherEncodingsAreRead(t *testing.T) {
	want := bare(mustParse(t, "FROM x\nSYSTEM ü\n"))
	little, big := []byte("\xff\xfe"), []byte("\xfe\xff")
	for _, u := range utf16.Encode([]rune("FROM x\r\nSYSTEM ü\r\n")) {
		little = append(little, byte(u), byte(u>>8))
		big = append(big, byte(u>>8), byte(u))
	}
	for _, text := range []string{"\ufeffFROM x\nSYSTEM ü\n", string(little), string(big)} {
		if got := bare(mustParse(t, text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestWhatNoModelfileCanSayIsAnError(t *testing.T) {
	c := Command{Name: "SYSTEM", Value: "see \"\"\"doc\"\"\"\nand more"}
	if text, err := c.Format(); err == nil || !strings.Contains(err.Error(), "SYSTEM") {
		t.Errorf("got %q, %v", text, err)
	}
}

func FuzzParseFormatParse(f *testing.F) {
	for _, seed := range []string{
		"FROM x\nSYSTEM \"\"\"a\nb\"\"\"\n", "# c\nPARAMETER stop \" \"\n", "FROM \"\"\"\"x\"\"\"",
		"SYSTEM \"a\"\"b\n\"",
		"MESSAGE user \"\"\"\"\"\"\r\nFROM \u00a0x\u00a0", "FROM \"", "\xff\xfeF",
		"TEMPLATE \"\"\"\n\"\"\"\"\nLICENSE \r", "FROM \"\"\"a\"\"\" \rSYSTEM b",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := Parse(strings.NewReader(string(b)))
		if err != nil {
			return
		}
		_, _ = first.Recipe()
		text, err := first.Format()
		if err != nil {
			t.Fatalf("%q cannot be written: %v", b, err)
		}
		second, err := Parse(strings.NewReader(text))
		if err != nil || !reflect.DeepEqual(bare(first), bare(second)) {
			t.Fatalf("%q became %q: %+v, %v; it was %+v", b, text, second, err, first)
		}
	})
}
