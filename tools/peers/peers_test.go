package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestResultsOfGoTestsAreRead(t *testing.T) {
	got := parseGoTests(strings.NewReader("=== RUN   TestA\n    a_test.go:1: text\n" +
		"--- PASS: TestA (0.10s)\n    --- FAIL: TestB/one (0.00s)\n" +
		"        --- SKIP: TestB/one/x (0s)\n" +
		"--- FAIL: TestB (1.00s)\nFAIL\n"))
	want := []outcome{{"TestA", "PASS"}, {"TestB/one", "FAIL"}, {"TestB/one/x", "SKIP"},
		{"TestB", "FAIL"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEveryFailureNeedsAReason(t *testing.T) {
	reasons := map[string]string{"B/one": "needs pull", "C": "old"}
	r := account([]outcome{
		{"A", "PASS"}, {"B/one", "FAIL"}, {"B", "FAIL"}, {"C", "PASS"}, {"D", "FAIL"},
		{"E", "SKIP"},
	}, reasons)
	if r.passed != 2 || r.skipped != 1 || r.explained != 2 ||
		!reflect.DeepEqual(r.unexplained, []string{"D"}) ||
		!reflect.DeepEqual(r.stale, []string{"C"}) {
		t.Errorf("report %+v", r)
	}
}

func TestALineStandsForManyTests(t *testing.T) {
	reasons := map[string]string{"A*": "no A", "Ab": "no Ab", "B*": "old", "? C": "races"}
	r := account([]outcome{
		{"Aa", "FAIL"}, {"Ab", "FAIL"}, {"Ac", "PASS"}, {"Ba", "PASS"}, {"C", "PASS"},
	}, reasons)
	if r.explained != 2 || len(r.unexplained) != 0 || !reflect.DeepEqual(r.stale, []string{"B*"}) ||
		!reflect.DeepEqual(r.reasons, map[string]string{"A*": "no A", "Ab": "no Ab"}) {
		t.Errorf("report %+v", r)
	}
}

func TestAListWithoutReasonsIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(path, []byte("# remark\nTestA: why\nTestB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readReasons(path); err == nil || !strings.Contains(err.Error(), ":3: ") {
		t.Errorf("error %v, want one about line 3", err)
	}
}
