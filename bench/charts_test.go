package bench

import (
	"bytes"
	"testing"
)

// streamingResult has gaps of every way.
func streamingResult() *Result {
	r := testResult()
	r.Group, r.name = "streaming", "streaming-m"
	for i, way := range streamingWays {
		c := Calls{Round: 1, Side: way.name, Call: "gap", Count: 9}
		for percent := range 101 {
			c.Quantiles = append(c.Quantiles, float64(1000*(percent+i)))
		}
		r.Calls = append(r.Calls, c)
	}
	return r
}

func TestThePlotOfGapsHasALineForEachWay(t *testing.T) {
	charts := chartsOf(streamingResult())
	if len(charts) != 1 || len(charts[0].lines) != len(streamingWays) {
		t.Fatalf("charts are %+v", charts)
	}
	// No time is 0 on a logarithmic axis.
	first := charts[0].lines[0]
	if len(first.xs) != 100 || first.xs[0] != 1 || first.ys[0] != 0.001 {
		t.Errorf("the first line begins at %v, %v with %d points", first.xs[0], first.ys[0],
			len(first.xs))
	}
}

func TestAPlotIsTheSameEachTime(t *testing.T) {
	results := []*Result{streamingResult()}
	first, err := plotsOf(results)
	if err != nil {
		t.Fatal(err)
	}
	again, err := plotsOf(results)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first[0].svg, again[0].svg) {
		t.Error("a second drawing differs")
	}
	if !bytes.Contains(first[0].svg, []byte("server-sent events")) {
		t.Error("the legend is missing")
	}
	png, err := first[0].png()
	if err != nil || !bytes.HasPrefix(png, []byte("\x89PNG")) {
		t.Errorf("no PNG, but %d bytes (%v)", len(png), err)
	}
}

func TestGroupsThatMeasuredNothingHaveNoPlot(t *testing.T) {
	for _, group := range []string{"offload", "batch", "streams", "streaming", "load", "maxsim",
		"store"} {
		r := testResult()
		r.Group, r.Rows = group, nil
		if charts := chartsOf(r); len(charts) != 0 {
			t.Errorf("%s has %d charts", group, len(charts))
		}
	}
}
