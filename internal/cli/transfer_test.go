package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mullama/mullama/api"
)

const pullLines = `{"status":"pulling manifest"}
{"status":"pulling 0123456789ab","digest":"sha256:0123456789ab","total":100,"completed":10}
{"status":"pulling 0123456789ab","digest":"sha256:0123456789ab","total":100,"completed":100}
{"status":"verifying sha256 digest"}
{"status":"writing manifest"}
{"status":"success"}
`

func TestPullPrintsALineForEachStep(t *testing.T) {
	d := &fakeDaemon{answers: map[string]any{"/api/pull": pullLines}}
	got := runAgainst(t, d, "", "pull", "llama3.2:1b", "--insecure")
	want := "pulling manifest\npulling 0123456789ab\nverifying sha256 digest\nwriting manifest\n" +
		"success\n"
	if got != (outcome{0, "", want}) {
		t.Errorf("got %+v", got)
	}
	if asked := d.asked[0]; asked != `POST /api/pull {"model":"llama3.2:1b","insecure":true}` {
		t.Errorf("the daemon was asked %s", asked)
	}
}

func TestPullDrawsABarOnATerminal(t *testing.T) {
	server := httptest.NewServer(&fakeDaemon{answers: map[string]any{"/api/pull": pullLines}})
	defer server.Close()
	a, _, errOut := testApp(newFake(), "")
	a.env, a.stderrIsTerminal = environment{host: server.URL, plain: true}, true
	if code := a.execute(t.Context(), []string{"pull", "x"}); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"pulling manifest\n", "\rpulling 0123456789ab ███░",
		" 10 %  10 B of 100 B", "█ 100 %  100 B of 100 B\x1b[K\nverifying", "success\n"} {
		if !strings.Contains(errOut.String(), want) {
			t.Errorf("%q is missing in %q", want, errOut)
		}
	}
}

func TestAnErrorWithinAPullHasItsExitCode(t *testing.T) {
	for kind, code := range map[string]int{"not_found": exitNotFound,
		"unreachable": exitUnreachable, "": exitFailed} {
		d := &fakeDaemon{answers: map[string]any{"/api/pull": `{"status":"pulling manifest"}
{"error":"pull x: it went wrong","kind":"` + kind + `"}`}}
		got := runAgainst(t, d, "", "pull", "x")
		if got.code != code || got.err != "pulling manifest\nmullama: pull x: it went wrong\n" {
			t.Errorf("%q: got %+v, want code %d", kind, got, code)
		}
	}
	d := &fakeDaemon{answers: map[string]any{"/api/push": `{"status":"retrieving manifest"}`}}
	got := runAgainst(t, d, "", "push", "x")
	if got.code != exitFailed || !strings.Contains(got.err, "ended before its last part") {
		t.Errorf("a push that breaks off: %+v", got)
	}
}

// storeDaemon takes blobs and creates, and has a model only once it was pulled.
type storeDaemon struct {
	t       *testing.T
	blobs   map[string][]byte
	created *api.CreateRequest
	pulled  bool
	shown   int
}

func (d *storeDaemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	digest := strings.TrimPrefix(r.URL.Path, "/api/blobs/")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		d.t.Error(err)
	}
	switch {
	case r.URL.Path == "/api/create":
		d.created = &api.CreateRequest{}
		if err := json.Unmarshal(body, d.created); err != nil {
			d.t.Error(err)
		}
		_, _ = io.WriteString(w, `{"status":"success"}`+"\n")
	case r.URL.Path == "/api/pull":
		d.pulled = true
		_, _ = io.WriteString(w, pullLines)
	case r.URL.Path == "/api/show" && !d.pulled:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":"model \"x\" not found","kind":"not_found"}`)
	case r.URL.Path == "/api/show":
		d.shown++
		_, _ = io.WriteString(w, `{}`)
	case strings.HasPrefix(r.URL.Path, "/api/blobs/") && r.Method == http.MethodHead:
		if d.blobs[digest] == nil {
			w.WriteHeader(http.StatusNotFound)
		}
	case strings.HasPrefix(r.URL.Path, "/api/blobs/"):
		d.blobs[digest] = body
		w.WriteHeader(http.StatusCreated)
	}
}

// create runs create with a Modelfile in a folder with two files.
func create(t *testing.T, text string, flags ...string) (*storeDaemon, outcome) {
	t.Helper()
	dir := t.TempDir()
	d := &storeDaemon{t: t, blobs: map[string][]byte{}}
	for name, content := range map[string]string{"Modelfile": text, "model.gguf": "the weights",
		"eyes.gguf": "a projector", "lora.gguf": "an adapter"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(d)
	defer server.Close()
	got := runWith(newFake(), environment{host: server.URL}, "", append([]string{"create",
		"made", "-f", filepath.Join(dir, "Modelfile")}, flags...)...)
	return d, got
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestCreateSendsFilesAndWhatTheModelfileSays(t *testing.T) {
	d, got := create(t, `FROM ./model.gguf
MMPROJ eyes.gguf
ADAPTER lora.gguf=0.5
DIGEST `+digestOf("the weights")+`
SYSTEM Be brief.
PARAMETER stop a
PARAMETER stop b
PARAMETER top_k 5
MESSAGE user Hi
LICENSE MIT
AUTHOR me
`)
	if got.code != 0 || got.out != "" || !strings.HasSuffix(got.err, "success\n") {
		t.Errorf("got %+v", got)
	}
	want := &api.CreateRequest{Model: "made", System: "Be brief.", Author: "me",
		Files: map[string]string{"model.gguf": digestOf("the weights"),
			"eyes.gguf": digestOf("a projector")},
		Adapters:      map[string]string{"lora.gguf": digestOf("an adapter")},
		AdapterScales: map[string]float32{"lora.gguf": 0.5},
		Parameters:    map[string]any{"stop": []any{"a", "b"}, "top_k": 5.0},
		Messages:      []api.Message{{Role: "user", Content: "Hi"}}, License: api.Texts{"MIT"}}
	if !reflect.DeepEqual(d.created, want) {
		t.Errorf("the daemon was asked for %+v, want %+v", d.created, want)
	}
	for _, text := range []string{"the weights", "a projector", "an adapter"} {
		if !bytes.Equal(d.blobs[digestOf(text)], []byte(text)) {
			t.Errorf("the blob of %q is %q", text, d.blobs[digestOf(text)])
		}
	}
}

func TestCreateSendsAFolderWithSafetensors(t *testing.T) {
	dir := t.TempDir()
	d := &storeDaemon{t: t, blobs: map[string][]byte{}}
	want := map[string]string{}
	for name, content := range map[string]string{"a.safetensors": "weights",
		"b.safetensors": "more", "config.json": "{}", "tokenizer.json": "tokens",
		"1_Pooling/config.json": "pooling", "README.md": "not sent"} {
		path := filepath.Join(dir, "folder", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if name != "README.md" {
			want[name] = digestOf(content)
		}
	}
	file := filepath.Join(dir, "Modelfile")
	if err := os.WriteFile(file, []byte("FROM ./folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(d)
	defer server.Close()
	got := runWith(newFake(), environment{host: server.URL}, "", "create", "made", "-f", file,
		"-q", "Q8_0")
	if got.code != 0 || !reflect.DeepEqual(d.created.Files, want) || d.created.Quantize != "Q8_0" ||
		d.created.From != "" {
		t.Errorf("got %+v, asked for %+v", got, d.created)
	}
}

func TestCreateSaysWhatToQuantizeTo(t *testing.T) {
	d, got := create(t, "FROM model.gguf\nDRAFT lora.gguf", "-q", "Q4_K_M", "--draft-quantize",
		"q8_0", "--experimental")
	if got.code != 0 || d.created.Quantize != "Q4_K_M" || d.created.DraftQuantize != "q8_0" ||
		len(d.created.DraftFiles) != 1 {
		t.Errorf("got %+v, %+v", got, d.created)
	}
}

func TestCreateFromAModelSendsNoFile(t *testing.T) {
	d, got := create(t, "FROM llama3.2:1b\nSYSTEM x")
	if got.code != 0 || d.created.From != "llama3.2:1b" || len(d.blobs) != 0 {
		t.Errorf("got %+v, %+v", got, d.created)
	}
}

func TestCreateSaysWhatIsWrongAndWhere(t *testing.T) {
	for text, want := range map[string]struct {
		code int
		word string
	}{
		"FROM x\nFORM a 1":                 {exitUsage, "line 2, column 1: there is no command"},
		"SYSTEM x":                         {exitUsage, "there is no FROM"},
		"FROM ./no.gguf":                   {exitNotFound, "line 1, column 1: there is no file"},
		"FROM model.gguf\nADAPTER none":    {exitUsage, "line 2, column 1: there is no file none"},
		"FROM model.gguf\nFROM other":      {exitUsage, "line 2, column 1: other is no file here"},
		"FROM .":                           {exitUsage, "is a folder"},
		"FROM x\nDRAFT y":                  {exitUsage, "line 2, column 1: there is no file y"},
		"FROM model.gguf\nMMPROJ ./a.gguf": {exitNotFound, "line 2, column 1"},
		"FROM model.gguf\nDIGEST " + strings.Repeat("0", 64): {exitUsage,
			"line 1, column 1: model.gguf has the digest"},
		"FROM x\nDIGEST " + strings.Repeat("0", 64): {exitUsage, "DIGEST needs a file"},
	} {
		d, got := create(t, text)
		if got.code != want.code || !strings.Contains(got.err, want.word) ||
			strings.Count(got.err, "mullama:") != 1 || d.created != nil {
			t.Errorf("%q: got %+v, want %v", text, got, want)
		}
	}
}

func TestRunPullsAModelThatIsNotThere(t *testing.T) {
	d := &storeDaemon{t: t}
	server := httptest.NewServer(d)
	defer server.Close()
	got := runWith(newFake(), environment{host: server.URL}, "", "run", "x", "hi")
	if !d.pulled || d.shown == 0 || !strings.Contains(got.err, "writing manifest\nsuccess\n") {
		t.Errorf("got %+v", got)
	}
}
