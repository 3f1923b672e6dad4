package bench

import (
	"fmt"
	"strings"
)

// percentiles are those of the rows.
var percentiles = []int{50, 95, 99}

// overheadRows are the rows of the group overhead, named SIDE_CALL_p50 and SIDE_WORK.
func overheadRows(calls []Calls, paces []Pace) []Row {
	var rows []Row
	for _, call := range []string{"noop", "tokenize", "delay"} {
		for _, side := range overheadSides {
			rows = append(rows, callRows(calls, side, call)...)
		}
	}
	for _, work := range []string{"stream", "concurrent"} {
		for _, side := range overheadSides {
			rows = append(rows, paceRows(paces, side, work)...)
		}
	}
	return rows
}

// callRows are the percentiles of a call. Their samples are the percentiles of the rounds.
func callRows(calls []Calls, side, call string) []Row {
	if len(percentile(calls, side, call, 50)) == 0 {
		return nil
	}
	var rows []Row
	for _, percent := range percentiles {
		row := Row{Name: fmt.Sprintf("%s_%s_p%d", side, call, percent), Unit: "us",
			Samples: percentile(calls, side, call, percent)}
		if percent == 50 && side != "floor" {
			row.BaselineSamples = percentile(calls, "floor", call, percent)
			row.Goal = medianGoal(side, call)
		}
		if percent == 99 && side != "floor" && call != "delay" {
			row.BaselineSamples = percentile(calls, side, call, 50)
			row.Goal = &Goal{RatioAtMost, overheadTail}
		}
		row.compare()
		rows = append(rows, row)
	}
	return rows
}

func medianGoal(side, call string) *Goal {
	if call == "delay" {
		return &Goal{DifferenceAtMost, overheadDelay}
	}
	if limit, ok := overheadGoals[side][call]; ok {
		return &Goal{ValueAtMost, limit}
	}
	return nil
}

// percentile returns that of each round, in microseconds.
func percentile(calls []Calls, side, call string, percent int) []float64 {
	var values []float64
	for _, c := range calls {
		if c.Side == side && c.Call == call {
			values = append(values, c.Quantiles[percent]/1e3)
		}
	}
	return values
}

// paceRows are the tokens per second of a side, beside those of Go.
func paceRows(paces []Pace, side, work string) []Row {
	row := Row{Name: side + "_" + work, Unit: "tokens/s", Samples: speeds(paces, side, work)}
	if len(row.Samples) == 0 {
		return nil
	}
	if side != "go" {
		row.BaselineSamples = speeds(paces, "go", work)
		row.Goal = &Goal{RatioAtLeast, overheadStream}
		if work == "concurrent" {
			row.Goal.Limit = overheadConcurrent
		}
	}
	row.compare()
	return []Row{row}
}

func speeds(paces []Pace, side, work string) []float64 {
	var values []float64
	for _, p := range paces {
		if p.Side == side && p.Work == work {
			values = append(values, p.Tokens/p.Seconds)
		}
	}
	return values
}

// sideNames are how the table calls the sides.
var sideNames = map[string]string{
	"floor": "native engine from C", "go": "Go", "c": "C", "cpp": "C++", "rust": "Rust",
	"node": "Node.js", "python": "Python", "php": "PHP", "http": "HTTP, kept alive",
}

// overheadSection is the part of the report about calls.
func overheadSection(b *strings.Builder, r *Result) {
	rows := map[string]Row{}
	for _, row := range r.Rows {
		rows[row.Name] = row
	}
	fmt.Fprintf(b, "## overhead: %s\n\n", r.Model.File)
	fmt.Fprint(b, "Microseconds for a call:\n\n| from | nothing p50 | p95 | p99 | goal of p50 | "+
		"tokens p50 | p95 | p99 | goal of p50 |\n|---|--:|--:|--:|---|--:|--:|--:|---|\n")
	for _, side := range overheadSides {
		cells := append(callCells(rows, side, "noop"), callCells(rows, side, "tokenize")...)
		fmt.Fprintf(b, "| %s | %s |\n", sideNames[side], strings.Join(cells, " | "))
	}
	fmt.Fprint(b, "\nMicroseconds until a part arrives, and tokens per second:\n\n"+
		"| in | arrives p50 | p95 | p99 | goal of p50 | one answer | of Go's | goal | 16 at once |"+
		" of Go's | goal |\n|---|--:|--:|--:|---|--:|--:|---|--:|--:|---|\n")
	for _, side := range overheadSides {
		if side == "http" {
			continue
		}
		cells := callCells(rows, side, "delay")
		cells = append(cells, paceCells(rows, side, "stream")...)
		cells = append(cells, paceCells(rows, side, "concurrent")...)
		fmt.Fprintf(b, "| %s | %s |\n", sideNames[side], strings.Join(cells, " | "))
	}
	fmt.Fprintf(b, "\n%s\n\n%s. %s, %s, %d rounds. %sCommand: `%s`.\n\n", shortfalls(r.Rows),
		machineText(r.Machine), r.Versions.Go, r.Started.Format("2 January 2006"), r.Config.Rounds,
		samplesText(r), r.Command)
}

func callCells(rows map[string]Row, side, call string) []string {
	var cells []string
	for _, percent := range percentiles {
		cells = append(cells, cell(rows, fmt.Sprintf("%s_%s_p%d", side, call, percent)))
	}
	return append(cells, goalCell(rows, side+"_"+call+"_p50"))
}

func paceCells(rows map[string]Row, side, work string) []string {
	name := side + "_" + work
	return []string{cell(rows, name), ratioText(rows[name].Ratio), goalCell(rows, name)}
}

func cell(rows map[string]Row, name string) string {
	row, ok := rows[name]
	if !ok {
		return "–"
	}
	return number(row.Value)
}

func goalCell(rows map[string]Row, name string) string {
	row := rows[name]
	if row.Goal == nil {
		return "–"
	}
	return fmt.Sprintf("%s, %s", row.Goal, metText(row))
}
