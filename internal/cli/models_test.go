package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama/api"
)

// fakeDaemon answers with what a test gives it and remembers what it was asked.
type fakeDaemon struct {
	answers map[string]any // by path; a string is sent as it is
	status  map[string]int
	asked   []string // "METHOD path body"
}

func (d *fakeDaemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	_ = json.NewDecoder(r.Body).Decode(&body)
	if r.URL.Path != "/" {
		d.asked = append(d.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
	}
	if status := d.status[r.URL.Path]; status != 0 {
		w.WriteHeader(status)
	}
	switch answer := d.answers[r.URL.Path].(type) {
	case nil:
	case string:
		_, _ = w.Write([]byte(answer))
	default:
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// runAgainst runs one command line against a daemon.
func runAgainst(t *testing.T, d *fakeDaemon, stdin string, args ...string) outcome {
	t.Helper()
	server := httptest.NewServer(d)
	defer server.Close()
	return runWith(newFake(), environment{host: server.URL}, stdin, args...)
}

func TestListPrintsTheStore(t *testing.T) {
	d := &fakeDaemon{
		answers: map[string]any{"/api/tags": api.ListResponse{Models: []api.ListedModel{
			{Name: "smollm2:latest", Digest: strings.Repeat("a1", 32), Size: 98_362_432,
				ModifiedAt: time.Now().Add(-3 * time.Hour)},
			{Name: "qwen:0.5b", Digest: strings.Repeat("b2", 32), Size: 491_400_064,
				ModifiedAt: time.Now().Add(-50 * time.Hour)},
		}}},
	}
	got := runAgainst(t, d, "", "list")
	golden(t, "list", got.out)
	if got.code != 0 || got.err != "" {
		t.Errorf("got %+v", got)
	}
	got = runAgainst(t, d, "", "ls", "QWEN")
	if strings.Contains(got.out, "smollm2") || !strings.Contains(got.out, "qwen:0.5b") {
		t.Errorf("a prefix gave %q", got.out)
	}
}

func TestPsPrintsTheLoadedModels(t *testing.T) {
	soon := time.Now().Add(4*time.Minute + 30*time.Second)
	d := &fakeDaemon{answers: map[string]any{"/api/ps": api.RunningResponse{
		Models: []api.RunningModel{
			{Name: "a:latest", Digest: strings.Repeat("a1", 32), Size: 4e9, SizeVRAM: 4e9,
				ContextLength: 4096, ExpiresAt: soon},
			{Name: "b:latest", Digest: strings.Repeat("b2", 32), Size: 4e9, SizeVRAM: 1e9,
				ContextLength: 8192, ExpiresAt: time.Now().AddDate(200, 0, 0)},
			{Name: "c:latest", Digest: strings.Repeat("c3", 32), Size: 2e8, Loading: true},
		}}}}
	got := runAgainst(t, d, "", "ps")
	golden(t, "ps", got.out)
	running := d.answers["/api/ps"].(api.RunningResponse)
	running.Models = running.Models[1:]
	running.Models[0].Plan = fakePlan()
	got = runAgainst(t, d, "", "ps", "-v")
	golden(t, "ps_verbose", got.out)
}

func TestStopCopyAndRemoveAskTheDaemon(t *testing.T) {
	for _, tt := range []struct {
		args  []string
		asked string
		out   string
	}{
		{[]string{"stop", "m"},
			`POST /api/generate {"model":"m","stream":false,"keep_alive":"0s"}`, ""},
		{[]string{"cp", "a", "b"}, `POST /api/copy {"source":"a","destination":"b"}`,
			"copied 'a' to 'b'\n"},
		{[]string{"rm", "a"}, `DELETE /api/delete {"model":"a"}`, "deleted 'a'\n"},
	} {
		d := &fakeDaemon{}
		got := runAgainst(t, d, "", tt.args...)
		if got != (outcome{0, tt.out, ""}) || !slices.Equal(d.asked, []string{tt.asked}) {
			t.Errorf("%q: %+v, asked %q", tt.args, got, d.asked)
		}
	}
}

func TestErrorsOfTheDaemonHaveTheirExitCode(t *testing.T) {
	for status, code := range map[int]int{
		400: exitUsage, 404: exitNotFound, 500: exitFailed, 503: exitFailed,
	} {
		d := &fakeDaemon{
			status:  map[string]int{"/api/delete": status},
			answers: map[string]any{"/api/delete": `{"error":"what went wrong"}`},
		}
		got := runAgainst(t, d, "", "rm", "m")
		if got != (outcome{code, "", "mullama: what went wrong\n"}) {
			t.Errorf("status %d: %+v, want exit code %d", status, got, code)
		}
	}
}

func TestRunAsksTheDaemonForModelsOfTheStore(t *testing.T) {
	d := &fakeDaemon{answers: map[string]any{
		"/api/show": api.ShowResponse{
			Template:     "{{ x }}",
			Capabilities: []string{"completion"},
		},
		"/api/generate": `{"done":true,"done_reason":"load"}`,
		"/api/chat": `{"message":{"role":"assistant","content":"Par"}}
			{"message":{"role":"assistant","content":"is."}}
			{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}`,
	}}
	got := runAgainst(t, d, "", "run", "smollm2", "--ctx-size", "512", "--temperature", "0", "Hi")
	if got != (outcome{0, "Paris.\n", ""}) {
		t.Errorf("got %+v", got)
	}
	var asked api.ChatRequest
	_, body, _ := strings.Cut(d.asked[len(d.asked)-1], "/api/chat ")
	if err := json.Unmarshal([]byte(body), &asked); err != nil {
		t.Fatal(err)
	}
	if asked.Model != "smollm2" || asked.Messages[0].Content != "Hi" ||
		asked.Options["num_ctx"] != 512.0 || asked.Options["temperature"] != 0.0 {
		t.Errorf("asked %+v", asked)
	}
	if len(asked.Options) != 2 {
		t.Errorf("the model's own PARAMETERs do not count, as the options are %v", asked.Options)
	}
	got = runAgainst(t, d, "", "run", "smollm2", "--mlock", "Hi")
	if got.code != exitUsage || !strings.Contains(got.err, "mullama serve") {
		t.Errorf("a flag that the daemon does not take: %+v", got)
	}
}

func TestShowOfAStoredModelHasTheSectionsOfOllama(t *testing.T) {
	d := &fakeDaemon{answers: map[string]any{"/api/show": api.ShowResponse{
		Template: "{{ .Prompt }}", System: "Be brief.\n\nReally.", License: "MIT",
		Parameters: "num_ctx                        512\n" +
			"stop                           \"a b\"",
		Details: api.ModelDetails{ParameterSize: "134.52M", QuantizationLevel: "Q4_1"},
		ModelInfo: map[string]any{"general.architecture": "llama", "llama.context_length": 8192.0,
			"llama.embedding_length": 576.0},
		Capabilities: []string{"completion", "tools"}, Requires: "0.12.3",
	}}}
	got := runAgainst(t, d, "", "show", "made")
	if got.code != 0 || got.err != "" {
		t.Errorf("got %+v", got)
	}
	golden(t, "show_stored", got.out)
}

func TestAnErrorInTheMiddleOfAnAnswerIsTold(t *testing.T) {
	d := &fakeDaemon{answers: map[string]any{
		"/api/show":     api.ShowResponse{Template: "{{ x }}"},
		"/api/generate": `{"done":true,"done_reason":"load"}`,
		"/api/chat": `{"message":{"role":"assistant","content":"Par"}}
			{"error":"the disk burns"}`,
	}}
	got := runAgainst(t, d, "", "run", "smollm2", "Hi")
	if got.code != exitFailed || !strings.Contains(got.err, "the disk burns") ||
		!strings.HasPrefix(got.out, "Par") {
		t.Errorf("got %+v", got)
	}
}

func TestWithoutADaemonTheHintSaysWhatToDo(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	gone := server.URL
	server.Close()
	got := runWith(newFake(), environment{host: gone, noStart: true}, "", "list")
	if got.code != exitFailed || !strings.Contains(got.err, "mullama serve") {
		t.Errorf("got %+v", got)
	}
}
