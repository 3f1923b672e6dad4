package bench

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/mullama/mullama/internal/testmodels"
)

func TestBatchMeasuresPromptsInEveryWay(t *testing.T) {
	path := testmodels.Path(t, "smollm2")
	file := filepath.Join(t.TempDir(), "batch.json")
	_, stderr, err := runCommand(t, "bench", "batch", "--model", path, "--prompts", "3", "--slots",
		"2,8", "--thread-counts", "1", "--rounds", "1", "--prompt-tokens", "4", "--generate-tokens",
		"3", "--json", file)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	r := readResult(t, file)
	got := casesOf(r.Points) // 8 slots are more than there are prompts
	if want := []string{"prompts 3, one by one, 1 threads",
		"prompts 3, 2 slots, 1 threads"}; !slices.Equal(got, want) {
		t.Errorf("cases are %v, want %v", got, want)
	}
	for _, row := range r.Rows {
		if row.Value <= 0 || row.Baseline == nil || *row.Baseline <= 0 {
			t.Errorf("%s is %v beside %v", row.Name, row.Value, row.Baseline)
		}
	}
}

func TestDoublingsEndWithTheWhole(t *testing.T) {
	for n, want := range map[int][]int{1: {1}, 2: {1, 2}, 6: {1, 2, 4, 6}, 8: {1, 2, 4, 8}} {
		if got := doublings(n); !slices.Equal(got, want) {
			t.Errorf("of %d: %v, want %v", n, got, want)
		}
	}
}

// batchPoints are a speed for each number of slots and threads.
func batchPoints(speeds map[string]float64) []Point {
	var points []Point
	for _, name := range []string{"prompts 100, one by one, 1 threads",
		"prompts 100, 8 slots, 1 threads", "prompts 100, one by one, 2 threads",
		"prompts 100, 2 slots, 2 threads", "prompts 100, 8 slots, 2 threads",
		"prompts 100, 8 slots, 8 threads"} {
		if speeds[name] == 0 {
			continue
		}
		values := func(s float64) map[string]float64 {
			return map[string]float64{"tokens_s": s, "seconds": 100 / s, "prompts_s": s}
		}
		points = append(points, Point{Round: 1, Case: name, Values: values(speeds[name]),
			Baseline: values(10)})
	}
	return points
}

func TestBatchChartsShowSlotsAndThreads(t *testing.T) {
	r := testResult()
	r.Group, r.name = "batch", "batch-m"
	r.Points = batchPoints(map[string]float64{
		"prompts 100, one by one, 1 threads": 5, "prompts 100, 8 slots, 1 threads": 20,
		"prompts 100, one by one, 2 threads": 8, "prompts 100, 2 slots, 2 threads": 12,
		"prompts 100, 8 slots, 2 threads": 30,
	})
	r.Rows = pointRows("batch", r.Points)
	charts := chartsOf(r)
	if len(charts) != 2 {
		t.Fatalf("%d charts, want 2", len(charts))
	}
	if ours := charts[0].lines[0]; !slices.Equal(ours.xs, []float64{2, 8}) ||
		!slices.Equal(ours.ys, []float64{12, 30}) {
		t.Errorf("by slots: %+v", ours)
	}
	want := [][]float64{{1, 1.6}, {1, 1.5}, {1, 2}} // one by one, 8 at once, ideal
	for i, line := range charts[1].lines {
		if !slices.Equal(line.ys, want[i]) {
			t.Errorf("by threads, %s: %v, want %v", line.name, line.ys, want[i])
		}
	}
	for _, c := range charts {
		if _, err := c.draw(); err != nil {
			t.Error(err)
		}
	}
	all := archive{r}
	r.name = "batch-smollm2"
	if row := askedScaling(all).rows[1]; !slices.Equal(row,
		[]string{"2", "1.60", "1.50", "0.750"}) {
		t.Errorf("the row of 2 threads is %v", row)
	}
	if row := askedBatch(all).rows[2]; !slices.Equal(row, []string{"100", "5.00", "20.0", "30.0",
		notThere, notThere, notThere}) {
		t.Errorf("the row of 100 prompts is %v", row)
	}
	wide := *r
	wide.name, wide.Machine.Cores = "batch-smollm2-wide", 16
	wide.Points = batchPoints(map[string]float64{"prompts 100, one by one, 1 threads": 4,
		"prompts 100, 8 slots, 1 threads": 10, "prompts 100, 8 slots, 8 threads": 60})
	wide.Rows = pointRows("batch", wide.Points)
	all = append(all, &wide)
	if row := askedScaling(all).rows[1]; !slices.Equal(row, []string{"8", notThere, "6.00",
		"0.750"}) {
		t.Errorf("the row of 8 threads is %v", row)
	}
	if row := askedBatch(all).rows[2]; !slices.Equal(row, []string{"100", "5.00", "20.0", "30.0",
		"60.0", notThere, notThere}) {
		t.Errorf("with a wider machine the row of 100 prompts is %v", row)
	}
}
