package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// all returns a count for every path.
func all(n int) map[string]int {
	counts := map[string]int{}
	for _, p := range paths {
		counts[p.name] = n
	}
	return counts
}

func TestATenthMoreFailsAndSaysWhich(t *testing.T) {
	if err := compare(all(1100), all(1000)); err != nil {
		t.Errorf("a tenth more: %v", err)
	}
	if err := compare(all(500), all(1000)); err != nil {
		t.Errorf("less: %v", err)
	}
	slow := all(1000)
	slow[paths[1].name] = 1101
	err := compare(slow, all(1000))
	want := paths[1].name + " takes 1101 instructions, 1000 before"
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v, want one with %q", err, want)
	}
}

func TestAPathThatIsNotWrittenDownFails(t *testing.T) {
	expected := all(1)
	delete(expected, paths[0].name)
	err := compare(all(1), expected)
	if err == nil || !strings.Contains(err.Error(), paths[0].name+" is not in") {
		t.Errorf("error is %v", err)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "counts")
	if err := writeExpected(file, all(12345)); err != nil {
		t.Fatal(err)
	}
	got, err := readExpected(file)
	if err != nil || !maps.Equal(got, all(12345)) {
		t.Errorf("%v, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("# x\na step many\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = readExpected(file)
	if err == nil || !strings.Contains(err.Error(), `counts:2: "a step many" is not`) {
		t.Errorf("error is %v", err)
	}
}

func TestEveryPathIsExpected(t *testing.T) {
	expected, err := readExpected(filepath.Join("..", "..", expectedFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(expected) != len(paths) {
		t.Errorf("%d paths are written down, %d counted", len(expected), len(paths))
	}
	for _, p := range paths {
		if expected[p.name] == 0 {
			t.Errorf("%s is not written down", p.name)
		}
	}
}
