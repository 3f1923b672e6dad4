package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFlagsOfLlamaServerBecomeOurs(t *testing.T) {
	f, err := parseServerFlags(strings.Fields("--host 127.0.0.1 --port 9 --temp 0.8 --seed -1 " +
		"--no-slots --ctx-size 512 --parallel 2 -fa on --api-key one,two --context-shift"))
	if err != nil {
		t.Fatal(err)
	}
	store := t.TempDir()
	args, err := f.serveArgs(store, "x")
	if err != nil {
		t.Fatal(err)
	}
	line := " " + strings.Join(args, " ") + " "
	for _, want := range []string{
		" --host 127.0.0.1:9 ", " --option temperature=0.8 ", " --option seed=-1 ",
		" --ctx-size 256 --kv-layout split ", " --parallel 2 ", " --flash-attn on ",
		" --option shift=true ", " --model x ", " --api-key-file ",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
	keys, err := os.ReadFile(filepath.Join(store, "keys"))
	if err != nil || string(keys) != "one\ntwo\n" {
		t.Errorf("keys %q, %v", keys, err)
	}
}

func TestAUnifiedCacheIsForEachRequest(t *testing.T) {
	f := serverFlags{"ctx-size": "512", "parallel": "2", "kv-unified": ""}
	args, err := f.contextArgs()
	if line := strings.Join(args, " "); err != nil || line != "--ctx-size 512 --cache-tokens 512" {
		t.Errorf("%s, %v", line, err)
	}
}

func TestResultsOfPytestAreRead(t *testing.T) {
	got, err := parseJUnit(strings.NewReader(`<testsuites><testsuite>` +
		`<testcase classname="unit.test_a" name="test_one[x-1]"/>` +
		`<testcase classname="unit.test_a" name="two"><failure message="m">x</failure></testcase>` +
		`<testcase classname="unit.test_b" name="three"><skipped/></testcase>` +
		`<testcase classname="unit.test_b" name="four"><error/></testcase>` +
		`</testsuite></testsuites>`))
	want := []outcome{{"test_a/test_one[x-1]", "PASS"}, {"test_a/two", "FAIL"},
		{"test_b/three", "SKIP"}, {"test_b/four", "FAIL"}}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v, %v", got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got[i], want[i])
		}
	}
}
