package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// withoutJSON are the commands that print nothing that a program would read as JSON, or that have
// another flag for it.
var withoutJSON = map[string]string{
	"serve": "a log", "rpc-server": "a log", "detokenize": "a text", "embed": "--format",
	"bench": "--json FILE", "man": "files", "completion": "a script", "help": "a text",
	"path": "a path", "check": "a sentence", "logs": "a log", "install": "a file",
	"exit-codes": "a text", "environment": "a text",
}

func TestEveryCommandThatPrintsDataCanPrintJSON(t *testing.T) {
	a, _, _ := testApp(newFake(), "")
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		if withoutJSON[cmd.Name()] != "" {
			return
		}
		for _, sub := range cmd.Commands() {
			look(sub)
		}
		group := cmd.Name() == "daemon" || cmd.Name() == "index"
		if cmd.HasParent() && !group && cmd.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", cmd.CommandPath())
		}
	}
	look(a.rootCommand())
}

func TestCommandsThatChangeSomethingSayItAsJSON(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"stop m --json", `{"stopped":"m"}`},
		{"cp a b --json", `{"source":"a","destination":"b"}`},
		{"rm a b --json", `{"deleted":"a"}` + "\n" + `{"deleted":"b"}`},
		{"verify --json", `{"ok":false,"damaged":[{"digest":"sha256:ab","models":["a:1","b:1"],` +
			`"error":"blob sha256:ab is damaged","mended":false}]}`},
		{"verify --repair --json", `{"ok":true,"damaged":[{"digest":"sha256:ab",` +
			`"models":["a:1","b:1"],"error":"","mended":true}]}`},
		{"prune --older-than 2s --json", `{"freed_bytes":2}`},
		{"import x.gguf x --json", `{"file":"x.gguf","name":"x:latest","digest":"","size":0}`},
	} {
		d := &fakeDaemon{}
		var got outcome
		if strings.HasPrefix(tt.args, "verify") || strings.HasPrefix(tt.args, "prune") ||
			strings.HasPrefix(tt.args, "import") {
			got = runStore(t, &fakeStore{}, strings.Fields(tt.args)...)
		} else {
			got = runAgainst(t, d, "", strings.Fields(tt.args)...)
		}
		if got.out != tt.want+"\n" {
			t.Errorf("%s: got %+v, want %s", tt.args, got, tt.want)
		}
	}
}

func TestTransfersPrintEachStepAsJSON(t *testing.T) {
	for _, args := range []string{"pull x --json", "push x --json --parallel 3 --limit-rate 5M"} {
		d := &fakeDaemon{answers: map[string]any{"/api/pull": pullLines, "/api/push": pullLines}}
		got := runAgainst(t, d, "", strings.Fields(args)...)
		lines := decodeLines(t, got.out)
		if got.code != 0 || got.err != "" || len(lines) != 6 || lines[1]["completed"] != 10.0 ||
			lines[5]["status"] != "success" {
			t.Errorf("%s: got %+v", args, got)
		}
		if strings.HasPrefix(args, "push") && d.asked[0] !=
			`POST /api/push {"model":"x","parallel":3,"bytes_per_second":5000000}` {
			t.Errorf("the daemon was asked %s", d.asked[0])
		}
	}
}

func TestAModelOfAHubIsRunByItsNameInTheStore(t *testing.T) {
	asJSON := func(names ...string) api.ListResponse {
		var l api.ListResponse
		for _, name := range names {
			l.Models = append(l.Models, api.ListedModel{Name: name})
		}
		return l
	}
	two := asJSON("hf.co/User/repo:Q4_K_M", "hf.co/User/repo:Q8_0", "hf.co/other/repo:Q8_0")
	for name, want := range map[string]string{
		"hf:User/repo:model-Q8_0.gguf": "hf.co/User/repo:Q8_0",
		"hf:user/repo:q4_k_m":          "hf.co/User/repo:Q4_K_M",
		"hf:other/repo":                "hf.co/other/repo:Q8_0",
		"hf:User/repo":                 "", // two could be meant
		"hf:User/repo:Q8_0@v2":         "",
		"hf:User/none":                 "",
	} {
		if got, ok := storedHubModel(two.Models, name); got != want || ok != (want != "") {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	d := &fakeDaemon{answers: map[string]any{
		"/api/tags": asJSON(),
		"/api/pull": `{"status":"stored as hf.co/User/repo:Q8_0"}` + "\n" +
			`{"status":"success"}`,
		"/api/show": api.ShowResponse{Template: "{{ x }}",
			Capabilities: []string{"completion"}},
		"/api/generate": `{"done":true,"done_reason":"load"}`,
		"/api/chat":     `{"message":{"content":"Hi."},"done":true,"done_reason":"stop"}`,
	}}
	got := runAgainst(t, d, "", "run", "hf:User/repo:x-Q8_0.gguf", "Hello")
	asked := strings.Join(d.asked, "\n")
	if got.code != 0 || got.out != "Hi.\n" ||
		!strings.Contains(asked, `/api/pull {"model":"hf:User/repo:x-Q8_0.gguf"}`) ||
		!strings.Contains(asked, `/api/chat {"model":"hf.co/User/repo:Q8_0"`) {
		t.Errorf("got %+v, asked %s", got, asked)
	}
}

func TestShellsCompleteTheNamesOfModels(t *testing.T) {
	dir, err := filepath.Abs("../store/testdata/ollama")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"run ", "Someone/Full-Model:7b-q4_K_M\nbig:cloud\nhf.co/User-1/Repo.GGUF:Q4_K_M\n" +
			"plain:latest\n:0\n"},
		{"rm plain:latest b", "big:cloud\n:4\n"},
		{"cp plain:latest ", ":4\n"},
		{"serve --model p", "plain:latest\n:4\n"},
	} {
		a, out, _ := testApp(newFake(), "")
		a.env.serve = map[string]serveVariable{"MODELS": {"MULLAMA_MODELS", dir}}
		args := append([]string{"__complete"}, strings.Split(tt.args, " ")...)
		if code := a.execute(t.Context(), args); code != 0 || out.String() != tt.want {
			t.Errorf("%q: code %d, got %q, want %q", tt.args, code, out, tt.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := run(newFake(), "", "completion", shell); got.code != 0 ||
			!strings.Contains(got.out, "__complete") {
			t.Errorf("%s: code %d, %d bytes", shell, got.code, len(got.out))
		}
	}
}

func TestEveryCommandHasAManualPage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	if got := run(newFake(), "", "man", dir); got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	a, _, _ := testApp(newFake(), "")
	for _, cmd := range a.rootCommand().Commands() {
		if cmd.IsAdditionalHelpTopicCommand() || cmd.Hidden {
			continue
		}
		page, err := os.ReadFile(filepath.Join(dir, "mullama-"+cmd.Name()+".1"))
		if err != nil || !strings.Contains(string(page), ".TH \"MULLAMA\"") {
			t.Errorf("%s: %v", cmd.Name(), err)
		}
	}
	if got := run(newFake(), "", "man", filepath.Join(dir, "mullama.1")); got.code == 0 {
		t.Errorf("a file in place of the folder: %+v", got)
	}
}

func TestColoursAreForTerminalsAlone(t *testing.T) {
	part := &api.ProgressResponse{Status: "pulling x", Total: 100, Completed: 50}
	for _, tt := range []struct {
		variables map[string]string
		terminal  bool
		coloured  bool
	}{
		{nil, true, true}, {nil, false, false},
		{map[string]string{noColours: "1"}, true, false},
		{map[string]string{"TERM": "dumb"}, true, false},
	} {
		a, _, errOut := testApp(newFake(), "")
		a.env = readEnvironment(func(name string) string { return tt.variables[name] })
		a.stderrIsTerminal = tt.terminal
		a.newTransferView().show(part)
		if got := strings.Contains(errOut.String(), "\x1b[36m"); got != tt.coloured {
			t.Errorf("%v, terminal %t: coloured %t in %q", tt.variables, tt.terminal, got, errOut)
		}
	}
}

func TestRunTakesTheFlagsOfOllamas(t *testing.T) {
	answers := map[string]any{
		"/api/show":     api.ShowResponse{Template: "{{ x }}"},
		"/api/generate": `{"done":true,"done_reason":"load"}`,
		"/api/chat":     `{"message":{"content":"Hi."},"done":true,"done_reason":"stop"}`,
	}
	for text, want := range map[string]string{"10m": "10m0s", "0": "0s", "-1": "-1"} {
		d := &fakeDaemon{answers: answers}
		got := runAgainst(t, d, "", "run", "m", "--nowordwrap", "--keepalive", text, "Hello")
		last := d.asked[len(d.asked)-1]
		if got.code != 0 || got.out != "Hi.\n" || !strings.HasPrefix(last, "POST /api/generate") ||
			!strings.Contains(last, `"keep_alive":`) || !strings.Contains(last, want) {
			t.Errorf("--keepalive %s: %+v, asked %s", text, got, last)
		}
	}
	fake := newFake()
	fake.model.info.Capabilities = []string{"embedding"}
	got := run(fake, "", "run", "m.gguf", "--dimensions", "1", "--truncate=false", "text")
	want := mullama.EmbedOptions{Dimensions: 1}
	if got.code != 0 || len(fake.model.embeds) != 1 || fake.model.embeds[0] != want {
		t.Errorf("got %+v, embedded with %+v", got, fake.model.embeds)
	}
}

func TestManualPagesAreSetWithoutAWarning(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if got := run(newFake(), "", "man", dir); got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) == 0 {
		t.Fatal(err, pages)
	}
	args := append([]string{"-K", "utf8", "-man", "-ww", "-z"}, pages...)
	if out, err := exec.Command(groff, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}
