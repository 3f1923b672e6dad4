package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// suiteFile is the name of a run's list of groups, beside their results.
const suiteFile = "suite.json"

// SuiteReport says what became of each group of a run. Its file lies beside the groups' results.
type SuiteReport struct {
	Started  time.Time  `json:"started"`
	Finished time.Time  `json:"finished"`
	Command  string     `json:"command"`
	Quick    bool       `json:"quick"`
	Machine  Machine    `json:"machine"`
	Warnings []string   `json:"warnings"`
	Groups   []GroupRun `json:"groups"`
}

// GroupRun is what became of a group.
type GroupRun struct {
	Group   string     `json:"group"`
	State   GroupState `json:"state"`
	Reason  string     `json:"reason,omitempty"` // why it was not measured, or failed
	File    string     `json:"file,omitempty"`
	Seconds float64    `json:"seconds"`
}

// GroupState says whether a group was measured.
type GroupState string

// What can become of a group.
const (
	Measured    GroupState = "measured"
	NotMeasured GroupState = "not measured"
	Failed      GroupState = "failed"
)

func newSuiteReport(quick bool, command string) SuiteReport {
	return SuiteReport{Started: time.Now().UTC(), Command: command, Quick: quick,
		Machine: readMachine(os.DirFS("/")), Warnings: []string{}}
}

// suiteRun is one run of a suite.
type suiteRun struct {
	suite  *suite
	dir    string
	self   string   // this program
	words  []string // after which a group's name follows
	models map[modelKind]foundModel
	say    func(format string, args ...any)
	report SuiteReport
}

// foundModel is a model that was looked for once.
type foundModel struct {
	path string
	err  error
}

// measure runs the groups and returns the names of those that failed.
func (r *suiteRun) measure(ctx context.Context, names []string) (failed []string) {
	r.say("%d groups, about %s; samples and report go to %s", len(names), r.total(names), r.dir)
	end := time.Now().Add(quickTime)
	for _, name := range names { // what cannot be measured takes no time
		if g := r.suite.group(name); g.more != nil {
			if _, why := g.more(); why != "" {
				end = end.Add(g.quickly)
			}
		}
	}
	for i, name := range names {
		if ctx.Err() != nil {
			break
		}
		g := r.suite.group(name)
		r.say("[%d of %d] %s: about %s", i+1, len(names), g.name, r.time(g))
		run := r.group(ctx, g, r.limit(end, names[i:]))
		r.report.Groups = append(r.report.Groups, run)
		switch run.State {
		case Measured:
			r.say("    measured in %.0f s", run.Seconds)
		default:
			r.say("    %s: %s", run.State, run.Reason)
		}
		if run.State == Failed {
			failed = append(failed, g.name)
		}
	}
	r.report.Finished = time.Now().UTC()
	return failed
}

// time is about how long a group takes.
func (r *suiteRun) time(g *group) time.Duration {
	if r.suite.quick {
		return g.quickly
	}
	return g.fully
}

func (r *suiteRun) total(names []string) time.Duration {
	sum := time.Duration(0)
	for _, name := range names {
		sum += r.time(r.suite.group(name))
	}
	return sum.Round(time.Minute)
}

// quickTime is what all groups together may take with --quick. Starts, ends and the report have the
// rest of 15 minutes.
const quickTime = 13 * time.Minute

// limit is how long the first of the groups that are left may take with --quick: what the others
// do not need, up to three times its own time, and at least that. Without it there is none.
func (r *suiteRun) limit(end time.Time, left []string) time.Duration {
	if !r.suite.quick {
		return 0
	}
	own, others := r.suite.group(left[0]).quickly, time.Duration(0)
	for _, name := range left[1:] {
		others += r.suite.group(name).quickly
	}
	return min(3*own, max(own, time.Until(end)-others)).Round(time.Second)
}

// group measures one, for so long at most; 0 is for ever.
func (r *suiteRun) group(ctx context.Context, g *group, limit time.Duration) GroupRun {
	run := GroupRun{Group: g.name}
	var flags []string
	why := ""
	if g.more != nil {
		_, why = g.more() // the command finds the same
	}
	if why == "" && g.model != noModel {
		m := r.model(ctx, g.model)
		flags = append(flags, "--model", m.path)
		if m.err != nil {
			why = m.err.Error()
		}
	}
	if why != "" {
		run.State, run.Reason = NotMeasured, why
		return run
	}
	if busy := foreignShare(ctx, os.DirFS("/")); busy > mostForeign {
		r.report.Warnings = append(r.report.Warnings, fmt.Sprintf(
			"other programs used %.0f %% of the CPUs when %s began", 100*busy, g.name))
	}
	file := g.name + ".json"
	flags = append(flags, "--json", filepath.Join(r.dir, file))
	if r.suite.quick {
		flags = append(flags, "--quick", "--time-limit", limit.String())
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, limit+20*time.Second) // should it not end by itself
		defer stop()
	}
	start := time.Now()
	err := r.child(ctx, g.name, flags)
	run.Seconds = time.Since(start).Seconds()
	if err != nil {
		run.State, run.Reason = Failed, err.Error()
		return run
	}
	run.State, run.File = Measured, file
	if limit > 0 && run.Seconds >= limit.Seconds() {
		run.Reason = fmt.Sprintf("only a part: its time of %s was up", limit)
		r.say("    %s", run.Reason)
	}
	if _, err := os.Stat(filepath.Join(r.dir, file)); err != nil {
		run.File += compressed
	}
	return run
}

// model finds the model of a kind, once.
func (r *suiteRun) model(ctx context.Context, kind modelKind) foundModel {
	if m, ok := r.models[kind]; ok {
		return m
	}
	word := r.suite.model
	if kind == embeddingModel {
		word = r.suite.embeddingModel
	}
	var m foundModel
	m.path, m.err = r.suite.modelFile(ctx, kind, word)
	r.models[kind] = m
	return m
}

// child runs a group's command in a process of its own. What that says goes into a file.
func (r *suiteRun) child(ctx context.Context, name string, flags []string) error {
	words := append(append(append([]string{}, r.words...), name), flags...)
	cmd := exec.CommandContext(ctx, r.self, words...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it has children
	cmd.WaitDelay = time.Minute
	path := filepath.Join(r.dir, name+".log")
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	failed := cmd.Run()
	if err := log.Close(); err != nil {
		return err
	}
	if failed == nil {
		return nil
	}
	said, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s (%w)", lastSentence(string(said)), failed)
}

// lastSentence is the last that a program of ours said, without the hint after it.
func lastSentence(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for len(lines) > 1 && strings.HasPrefix(lines[len(lines)-1], "hint:") {
		lines = lines[:len(lines)-1]
	}
	return strings.TrimPrefix(lines[len(lines)-1], "mullama: ")
}

// write writes the list of groups and the report.
func (r *suiteRun) write() error {
	data, err := encode(r.report)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.dir, suiteFile), data, 0o644); err != nil {
		return err
	}
	return writeReport(filepath.Join(r.dir, "report.md"), false, r.dir)
}
