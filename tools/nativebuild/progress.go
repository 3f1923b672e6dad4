package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// progress is the output of a build program. It keeps every line in the log and shows how far the
// build is: in one changing line on a terminal, in a line for each tenth or half minute
// elsewhere.
type progress struct {
	label string
	log   io.Writer
	out   io.Writer
	live  bool // out is a terminal
	since time.Time

	rest  []byte    // an unfinished line
	tenth int       // the last one shown
	last  time.Time // when it was
	shown bool      // a live line stands on the terminal
}

// silence is how long a build off the terminal may say nothing.
const silence = 30 * time.Second

// Write takes the next piece of the build program's output; it implements [io.Writer].
func (p *progress) Write(text []byte) (int, error) {
	if _, err := p.log.Write(text); err != nil {
		return 0, err
	}
	p.rest = append(p.rest, text...)
	for {
		line, rest, found := bytes.Cut(p.rest, []byte("\n"))
		if !found {
			return len(text), nil
		}
		if done, total, ok := parseStep(string(line)); ok {
			p.show(done, total)
		}
		p.rest = rest
	}
}

func (p *progress) show(done, total int) {
	tenth := done * 10 / total
	if !p.live && tenth <= p.tenth && time.Since(p.last) < silence {
		return
	}
	p.tenth, p.last = tenth, time.Now()
	line := fmt.Sprintf("native: %s %d/%d (%d %%), %s",
		p.label, done, total, done*100/total, seconds(time.Since(p.since)))
	if p.live {
		fmt.Fprintf(p.out, "\r%s\x1b[K", line)
		p.shown = true
		return
	}
	fmt.Fprintln(p.out, line)
}

// finish ends the changing line, so that the next one starts afresh.
func (p *progress) finish() {
	if p.shown {
		fmt.Fprintln(p.out)
		p.shown = false
	}
}

var (
	ninjaStep = regexp.MustCompile(`^\[(\d+)/(\d+)\] `)
	makeStep  = regexp.MustCompile(`^\[ *(\d+)%\] `)
)

// parseStep reads the counter that Ninja ("[34/130] ") or CMake's makefiles ("[ 26%] ") put before
// a line.
func parseStep(line string) (done, total int, ok bool) {
	if m := ninjaStep.FindStringSubmatch(line); m != nil {
		done, _ = strconv.Atoi(m[1])
		total, _ = strconv.Atoi(m[2])
		return done, total, total > 0 && done <= total
	}
	if m := makeStep.FindStringSubmatch(line); m != nil {
		done, _ = strconv.Atoi(m[1])
		return done, 100, done <= 100
	}
	return 0, 0, false
}

func seconds(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	if d < 2*time.Minute {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}

// excerptLines is how much of a failed build's log is shown.
const excerptLines = 40

// excerpt returns the part of a log that most likely holds the error: from the first step that
// Ninja calls failed, or else the end.
func excerpt(log string) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "FAILED: ") {
			return strings.Join(lines[i:min(len(lines), i+excerptLines)], "\n")
		}
	}
	return strings.Join(lines[max(0, len(lines)-excerptLines):], "\n")
}
