package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseStep(t *testing.T) {
	for _, tt := range []struct {
		line        string
		done, total int
		ok          bool
	}{
		{"[34/130] Building CXX object a.o", 34, 130, true},
		{"[ 26%] Building CXX object a.o", 26, 100, true},
		{"[100%] Built target engine", 100, 100, true},
		{"[0/1] Re-running CMake", 0, 1, true},
		{"[1/0] odd", 1, 0, false},
		{"[131/130] odd", 131, 130, false},
		{"a.cpp:1:2: warning [34/130] text", 0, 0, false},
		{"", 0, 0, false},
	} {
		done, total, ok := parseStep(tt.line)
		if ok != tt.ok || ok && (done != tt.done || total != tt.total) {
			t.Errorf("parseStep(%q) = %d, %d, %v", tt.line, done, total, ok)
		}
	}
}

func TestProgressPrintsOneLineForEachTenth(t *testing.T) {
	var log, out bytes.Buffer
	p := &progress{label: "llama.cpp", log: &log, out: &out, since: time.Now(), last: time.Now()}
	var input strings.Builder
	for i := 1; i <= 130; i++ {
		fmt.Fprintf(&input, "[%d/130] Building CXX object %d.o\nwarning: x\n", i, i)
	}
	for _, piece := range pieces(input.String(), 7) { // lines arrive cut anywhere
		if _, err := p.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	p.finish()
	if log.String() != input.String() {
		t.Error("the log is not all of the output")
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 10 {
		t.Fatalf("got %d lines, want 10:\n%s", len(lines), out.String())
	}
	if want := "native: llama.cpp 13/130 (10 %)"; !strings.HasPrefix(lines[0], want) {
		t.Errorf("first line = %q, want %q", lines[0], want)
	}
	if want := "native: llama.cpp 130/130 (100 %)"; !strings.HasPrefix(lines[9], want) {
		t.Errorf("last line = %q, want %q", lines[9], want)
	}
}

func pieces(text string, size int) []string {
	var all []string
	for len(text) > size {
		all = append(all, text[:size])
		text = text[size:]
	}
	return append(all, text)
}

func TestProgressSpeaksAtLeastTwiceAMinute(t *testing.T) {
	var log, out bytes.Buffer
	p := &progress{label: "facade", log: &log, out: &out, since: time.Now(), last: time.Now()}
	fmt.Fprint(p, "[20/100] a\n[21/100] b\n")
	p.last = p.last.Add(-silence)
	fmt.Fprint(p, "[22/100] c\n[23/100] d\n")
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("%d lines, want those of steps 20 and 22:\n%s", got, out.String())
	}
}

func TestProgressRewritesOneLineOnATerminal(t *testing.T) {
	var log, out bytes.Buffer
	p := &progress{label: "facade", log: &log, out: &out, live: true, since: time.Now()}
	fmt.Fprint(p, "[1/2] a\n[2/2] b\n")
	p.finish()
	if got := strings.Count(out.String(), "\n"); got != 1 {
		t.Errorf("%d line ends in %q, want 1, at the end", got, out.String())
	}
	if got := strings.Count(out.String(), "\r"); got != 2 {
		t.Errorf("%d rewrites in %q, want 2", got, out.String())
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		400 * time.Millisecond: "0.4 s", 41 * time.Second: "41 s", 171 * time.Second: "2 min 51 s",
	} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestExcerptStartsAtTheFailedStep(t *testing.T) {
	const failure = "FAILED: a.o\nerror: b\n"
	log := strings.Repeat("noise\n", 100) + failure + strings.Repeat("more\n", 100)
	got := strings.Split(excerpt(log), "\n")
	if len(got) != excerptLines || got[0] != "FAILED: a.o" || got[1] != "error: b" {
		t.Errorf("excerpt has %d lines and starts with %q", len(got), got[0])
	}
}

func TestExcerptIsTheEndWithoutAFailedStep(t *testing.T) {
	log := strings.Repeat("noise\n", 100) + "CMake Error: c\n"
	got := strings.Split(excerpt(log), "\n")
	if len(got) != excerptLines || got[len(got)-1] != "CMake Error: c" {
		t.Errorf("excerpt has %d lines and ends with %q", len(got), got[len(got)-1])
	}
}
