package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table prints a result for people.
func table(r *Result) string {
	var b strings.Builder
	if r.Soak != nil {
		_ = soakTable(&b, r.Soak) // to memory, which takes everything
	}
	w := newTable(&b)
	fmt.Fprintln(w, "\tours\tllama.cpp alone\tratio\t95 %\tgoal\t\t")
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", row.Name, unitOf(row),
			number(row.Value), optional(row.Baseline), ratioText(row.Ratio), boundsText(row),
			goalText(row), metText(row))
	}
	_ = w.Flush() // to memory, which takes everything
	return b.String()
}

// newTable aligns columns to the right.
func newTable(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// unitOf returns the unit in brackets, unless the name ends with it.
func unitOf(r Row) string {
	if r.Unit == "" || strings.HasSuffix(r.Name, "_"+strings.ToLower(r.Unit)) {
		return ""
	}
	return "(" + r.Unit + ")"
}

func optional(v *float64) string {
	if v == nil {
		return "–"
	}
	return number(*v)
}

func ratioText(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.3f", *v)
}

func boundsText(r Row) string {
	if r.RatioLow == nil || r.RatioHigh == nil {
		return "–"
	}
	return fmt.Sprintf("%.3f to %.3f", *r.RatioLow, *r.RatioHigh)
}

func goalText(r Row) string {
	if r.Goal == nil {
		return "–"
	}
	return r.Goal.String()
}

func metText(r Row) string {
	switch {
	case r.Met == nil:
		return ""
	case *r.Met:
		return "met"
	default:
		return "short"
	}
}
