package cli

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

func TestEmbed(t *testing.T) {
	for _, tt := range []struct {
		name, stdin string
		args        []string
		want        outcome
	}{
		{"arguments", "", []string{"a", "bcd"}, outcome{0,
			`{"index":0,"embedding":[1,0],"tokens":1}` + "\n" +
				`{"index":1,"embedding":[3,1],"tokens":2}` + "\n", ""}},
		{"lines", "ab\r\n\nc", nil, outcome{0,
			`{"index":0,"embedding":[2,0],"tokens":1}` + "\n" +
				`{"index":1,"embedding":[0,1],"tokens":2}` + "\n" +
				`{"index":2,"embedding":[1,2],"tokens":3}` + "\n", ""}},
		{"JSON lines", `{"text": "abc", "id": 1}`, []string{"--field", "text"},
			outcome{0, `{"index":0,"embedding":[3,0],"tokens":1}` + "\n", ""}},
		{"a list", "", []string{"--format", "json", "a", "b"}, outcome{0, "[[1,0],\n[1,1]]\n", ""}},
		{"no lines", "", []string{"--format", "json"}, outcome{0, "[]\n", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(newFake(), tt.stdin, append([]string{"embed", "m.gguf"}, tt.args...)...)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestATextWithoutAnEmbeddingIsNamed(t *testing.T) {
	got := run(newFake(), "", "embed", "m.gguf", "a", "bad", "c")
	if got.code != exitFailed || !strings.Contains(got.err, "1 of 3 texts") ||
		!strings.Contains(got.out, `{"index":1,"error":"that text again"}`) ||
		!strings.Contains(got.out, `"index":2`) {
		t.Errorf("got %+v", got)
	}
	got = run(newFake(), "", "embed", "m.gguf", "--format", "json", "a", "bad")
	if got.code == 0 || !strings.Contains(got.err, "text 2: that text again") {
		t.Errorf("as a list: %+v", got)
	}
}

func TestEmbedWritesArraysOfNumPy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.npy")
	got := run(newFake(), "a\nbc\n", "embed", "m.gguf", "--format", "npy", "-o", path)
	if got != (outcome{}) {
		t.Fatalf("got %+v", got)
	}
	data, err := os.ReadFile(path)
	if err != nil || len(data) != npyHeader+2*2*4 || string(data[:8]) != "\x93NUMPY\x01\x00" ||
		!strings.Contains(string(data[:npyHeader]), "'shape': (2, 2)") ||
		data[npyHeader-1] != '\n' || data[8] != npyHeader-10 {
		t.Errorf("%v; %q", err, data)
	}
	got = run(newFake(), "", "embed", "m.gguf", "--format", "npy", "-o", path, "a", "bad")
	if now, err := os.ReadFile(path); got.code == 0 || err != nil || !bytes.Equal(now, data) {
		t.Errorf("a file that is not whole took the place of another: %+v, %v", got, err)
	}
}

func TestEmbedPassesItsOptions(t *testing.T) {
	fake := newFake()
	run(fake, "", "embed", "m.gguf", "--pooling", "cls", "--dimensions", "8", "--raw", "--truncate",
		"--task", "query", "--prefix", "p: ", "a")
	want := mullama.EmbedOptions{Pooling: "cls", Dimensions: 8, Raw: true, Truncate: true,
		Task: "query", Prefix: "p: "}
	if len(fake.model.embeds) != 1 || fake.model.embeds[0] != want {
		t.Errorf("got %+v, want %+v", fake.model.embeds, want)
	}
}

func TestEmbedRefusesWhatContradictsItself(t *testing.T) {
	for words, args := range map[string][]string{
		"name it with --output": {"--format", "npy", "a"},
		"--pooling none":        {"--format", "npy", "-o", "x", "--pooling", "none", "a"},
		"JSON lines of stdin":   {"--field", "text", "a"},
		"not one of":            {"--pooling", "max", "a"},
		"for lines of stdin":    {"--from-line", "2", "a"},
	} {
		got := run(newFake(), "", append([]string{"embed", "m.gguf"}, args...)...)
		if got.code != exitUsage || !strings.Contains(got.err, words) {
			t.Errorf("%v: %+v", args, got)
		}
	}
	for words, stdin := range map[string]string{
		"line 2 of stdin is not a JSON": "{\"text\": \"a\"}\nhello", "no text": `{"text": 1}`,
	} {
		got := run(newFake(), stdin, "embed", "m.gguf", "--field", "text")
		if got.code != exitUsage || !strings.Contains(got.err, words) {
			t.Errorf("%q: %+v", stdin, got)
		}
	}
}

// What was embedded before a line that has no text is not lost, nor is what comes after it.
func TestEmbedGoesOnAfterALineWithoutAText(t *testing.T) {
	const lines = `{"text": "a"}` + "\n" + `{"text": 1}` + "\n" + `{"text": "abc"}` + "\nhello\n"
	first := `{"index":0,"embedding":[1,0],"tokens":1}` + "\n"
	got := run(newFake(), lines, "embed", "m.gguf", "--field", "text")
	if got.out != first || got.code != exitUsage || !strings.Contains(got.err, "line 2 of stdin") ||
		!strings.Contains(got.err, "--from-line 2") || !strings.Contains(got.err, "--skip-bad") {
		t.Errorf("got %+v", got)
	}
	got = run(newFake(), lines, "embed", "m.gguf", "--field", "text", "--from-line", "3")
	if !strings.HasPrefix(got.out, `{"index":2,"embedding":[3,0],"tokens":1}`) ||
		!strings.Contains(got.err, "line 4 of stdin") {
		t.Errorf("from line 3: %+v", got)
	}
	got = run(newFake(), lines, "embed", "m.gguf", "--field", "text", "--skip-bad")
	const noText = `{"index":1,"error":"line 2 of stdin has no text in the field \"text\""}` + "\n"
	want := first + noText + `{"index":2,"embedding":[3,1],"tokens":2}` + "\n" +
		`{"index":3,"error":"line 4 of stdin is `
	if !strings.HasPrefix(got.out, want) || got.code != exitFailed ||
		!strings.Contains(got.err, "2 of 4 texts have no embedding: lines 2, 4") {
		t.Errorf("leaving them out: %+v", got)
	}
}

func TestEmbedNamesSomeOfManyLinesWithoutAnEmbedding(t *testing.T) {
	lines := strings.Repeat("bad\n", 12)
	got := run(newFake(), lines, "embed", "m.gguf")
	want := "12 of 12 texts have no embedding: lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"
	if !strings.Contains(got.err, want) {
		t.Errorf("got %q, want %q", got.err, want)
	}
}

func TestEmbedKeepsAPartOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.json")
	if err := os.WriteFile(path, []byte("of before"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"embed", "m.gguf", "--format", "json", "-o", path}
	got := run(newFake(), "a\nbc\nbad\nd\n", args...)
	if !strings.Contains(got.err, "text 3: that text again") ||
		!strings.Contains(got.err, path+partSuffix) {
		t.Errorf("got %+v", got)
	}
	for name, want := range map[string]string{
		path: "of before", path + partSuffix: "[[1,0],\n[2,1]]\n",
	} {
		if data, err := os.ReadFile(name); err != nil || string(data) != want {
			t.Errorf("%s has %q, %v; want %q", name, data, err, want)
		}
	}
	got = run(newFake(), "bad\nbc\n", append(args, "--skip-bad")...)
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "[null,\n[2,1]]\n" || got.code != exitFailed {
		t.Errorf("leaving it out: %+v; %q, %v", got, data, err)
	}
}

func TestATextWithoutAnEmbeddingIsARowOfNaN(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.npy")
	got := run(newFake(), "bad\nbc\nbad\n", "embed", "m.gguf", "--format", "npy", "-o", path,
		"--skip-bad")
	data, err := os.ReadFile(path)
	if err != nil || got.code != exitFailed || len(data) != npyHeader+3*2*4 {
		t.Fatalf("%+v, %v, %d bytes", got, err, len(data))
	}
	var rows []string
	for at := npyHeader; at < len(data); at += 4 {
		number := math.Float32frombits(binary.LittleEndian.Uint32(data[at:]))
		rows = append(rows, fmt.Sprint(number))
	}
	if want := []string{"NaN", "NaN", "2", "1", "NaN", "NaN"}; !slices.Equal(rows, want) {
		t.Errorf("rows %v, want %v", rows, want)
	}
}

func TestRerank(t *testing.T) {
	got := run(newFake(), "", "rerank", "m.gguf", "--query", "q", "a", "long", "mid")
	if got != (outcome{0, "0.0400  long\n0.0300  mid\n0.0100  a\n", ""}) {
		t.Errorf("got %+v", got)
	}
	got = run(newFake(), "a\nlong\n", "rerank", "m.gguf", "--query", "q", "--top", "1", "--json")
	if got != (outcome{0, `{"index":1,"score":0.04,"document":"long"}` + "\n", ""}) {
		t.Errorf("got %+v", got)
	}
	for _, args := range [][]string{{"a"}, {"--query", "q"}} {
		got := run(newFake(), "", append([]string{"rerank", "m.gguf"}, args...)...)
		if got.code != exitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestScore(t *testing.T) {
	got := run(newFake(), "", "score", "m.gguf", "--query", "q", "--top", "2", "a", "long", "mid")
	if got != (outcome{0, "0.4000  long\n0.3000  mid\n", ""}) {
		t.Errorf("got %+v", got)
	}
	for _, args := range [][]string{{"a"}, {"--query", "q"}} {
		got := run(newFake(), "", append([]string{"score", "m.gguf"}, args...)...)
		if got.code != exitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestRunPrintsAnEmbeddingOfAModelThatMakesThem(t *testing.T) {
	fake := newFake()
	fake.model.info.Capabilities = []string{"embedding"}
	if got := run(fake, "", "run", "m.gguf", "abc"); got != (outcome{0, "[3,0]\n", ""}) {
		t.Errorf("got %+v", got)
	}
}

func TestRealEmbedding(t *testing.T) {
	needEngine(t)
	model := testmodels.Path(t, "minilm-q8")
	got := realRun(t, "", "embed", model, "--threads", "1", "--dimensions", "2", "Hello")
	if got.code != 0 || strings.Count(got.out, ",") != 3 ||
		!strings.Contains(got.out, `"tokens":3`) {
		t.Errorf("got %+v", got)
	}
	got = realRun(t, "", "rerank", testmodels.Path(t, "minilm-rank"), "--query", "q", "a", "b c")
	if got.code != 0 || strings.Count(got.out, "\n") != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestEmbedWritesParquet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.parquet")
	got := run(newFake(), "a\nbad\nabc\n", "embed", "m.gguf", "--format", "parquet", "-o", path)
	if got.code != exitFailed || !strings.Contains(got.err, "1 of 3 texts have no embedding") {
		t.Fatalf("got %+v", got)
	}
	rows, err := parquet.ReadFile[tableRow](path)
	want := []tableRow{{Index: 0, Embedding: []float32{1, 0}, Tokens: 1},
		{Index: 1, Embedding: []float32{}, Error: new("that text again")},
		{Index: 2, Embedding: []float32{3, 2}, Tokens: 3}}
	if err != nil || !reflect.DeepEqual(rows, want) {
		t.Errorf("rows %+v, %v", rows, err)
	}
	got = run(newFake(), "", "embed", "m.gguf", "--format", "parquet", "a")
	if got.code != exitUsage || !strings.Contains(got.err, "name it with --output") {
		t.Errorf("to the terminal: %+v", got)
	}
}

func TestEmbeddingsThatAreNotWholeLeaveTheFileThatWasThere(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "rows"), filepath.Join(dir, "link")
	broken := newFake()
	broken.model.err = errors.New("gone")
	if got := run(broken, "a\n", "embed", "m.gguf", "-o", path); got.code == 0 {
		t.Fatalf("got %+v", got)
	}
	part := path + partSuffix
	if files, _ := os.ReadDir(dir); len(files) != 1 || files[0].Name() != filepath.Base(part) {
		t.Fatalf("a file that is not whole stays: %v", files)
	}
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fake *fakeEngine
		want string
	}{{broken, "old"}, {newFake(), `"index":0`}} {
		run(c.fake, "a\n", "embed", "m.gguf", "-o", link)
		b, err := os.ReadFile(path)
		if files, _ := os.ReadDir(dir); err != nil || !strings.Contains(string(b), c.want) ||
			len(files) != 3 {
			t.Errorf("%q in one of %v, %v; want %q", b, files, err, c.want)
		}
	}
	if got := run(newFake(), "a\n", "embed", "m.gguf", "-o", os.DevNull); got.code != 0 {
		t.Errorf("to a device: %+v", got)
	}
}

func TestATableHoldsOneGroupOfRows(t *testing.T) {
	var out bytes.Buffer
	w := newTableWriter(&out)
	e := &mullama.Embedding{Vector: make([]float32, rowGroup/4)}
	for i := range e.Vector {
		e.Vector[i] = float32(i)
	}
	for i := range 8 {
		if err := w.write(i, e); err != nil {
			t.Fatal(err)
		}
	}
	before := out.Len()
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil || file.NumRows() != 8 || len(file.RowGroups()) != 2 || before == 0 {
		t.Errorf("%d rows in %d groups, %d bytes written before the end, %v", file.NumRows(),
			len(file.RowGroups()), before, err)
	}
	reason := "no tokens"
	w = newTableWriter(&out)
	err = w.write(0, &mullama.Embedding{Err: errors.New(reason)})
	if err := errors.Join(err, w.end()); err != nil {
		t.Error(err)
	}
}
