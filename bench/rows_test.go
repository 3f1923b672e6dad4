package bench

import (
	"strings"
	"testing"
)

// testTurn is a turn whose speeds are the given tokens/s.
func testTurn(tg, pp, cold, overheadUS float64, rssKB int64) Turn {
	return Turn{
		Header: Header{Program: "p", Engine: "llama.cpp 1", Threads: 2, Context: 4096, Load: 0.1},
		Reps: []Repetition{{
			Rep: 1, PromptTokens: 512, PromptSeconds: 512 / pp, TextTokens: 16, Generated: 128,
			Seconds: 128 / tg, Sum: "00000000000000ff",
			Steps: 128, Overhead: 128 * overheadUS / 1e6,
		}},
		Cold:   []float64{cold},
		Memory: Memory{RSS: rssKB, Peak: rssKB, Anonymous: rssKB / 2, File: rssKB / 2},
	}
}

func testRounds() []Round {
	return []Round{{
		Order:    []string{"ours", "baseline"},
		Ours:     testTurn(99, 480, 0.5, 10, 300_000),
		Baseline: testTurn(100, 500, 0.48, 8, 290_000),
	}}
}

func TestRowsCompareMediansAndJudgeGoals(t *testing.T) {
	rows := rowsOf(testWork().Config, testRounds())
	for i, want := range []struct {
		name  string
		value float64
		ratio float64
		met   bool
	}{
		{"tg128", 99, 0.99, true},
		{"pp512", 480, 0.96, false},
		{"cold_first_token_s", 0.5, 0.5 / 0.48, true},
		{"step_overhead_us", 10, 1.25, true},
		{"rss_mb", 307.2, 300.0 / 290, true},
	} {
		row := rows[i]
		if row.Name != want.name || !near(row.Value, want.value) || *row.Met != want.met {
			t.Errorf("row %+v, want %+v", row, want)
		}
		if row.Ratio == nil || !near(*row.Ratio, want.ratio) {
			t.Errorf("%s: ratio %s, want %v", row.Name, ratioText(row.Ratio), want.ratio)
		}
		if row.RatioLow != nil {
			t.Errorf("%s: one round gave bounds", row.Name)
		}
	}
}

func TestAnonymousMemoryIsARowWithoutAGoal(t *testing.T) {
	rounds := testRounds()
	rounds[0].Ours.Memory.Anonymous, rounds[0].Baseline.Memory.Anonymous = 2_000, 1_000
	for _, row := range rowsOf(testWork().Config, rounds) {
		if row.Name == "anonymous_mb" {
			if row.Value != 2.048 || *row.Ratio != 2 || row.Goal != nil || row.Met != nil {
				t.Errorf("the row is %+v", row)
			}
			return
		}
	}
	t.Error("there is no such row")
}

func near(got, want float64) bool {
	return got > want*(1-1e-9) && got < want*(1+1e-9)
}

func TestBoundsComeWithThreeRounds(t *testing.T) {
	one := testRounds()[0]
	rows := rowsOf(testWork().Config, []Round{one, one, one})
	tg := rows[0]
	if tg.RatioLow == nil || !near(*tg.RatioLow, 0.99) || !near(*tg.RatioHigh, 0.99) {
		t.Errorf("row is %+v", rows[0])
	}
	if len(rows[0].Samples) != 3 || len(rows[0].BaselineSamples) != 3 {
		t.Errorf("samples %v and %v", rows[0].Samples, rows[0].BaselineSamples)
	}
}

func TestGoalsSayAndJudge(t *testing.T) {
	row := Row{Value: 120, Baseline: new(100.0), Ratio: new(1.2)}
	for _, tt := range []struct {
		goal Goal
		text string
		met  bool
	}{
		{Goal{RatioAtLeast, 0.98}, "ratio ≥ 0.98", true},
		{Goal{RatioAtMost, 1.15}, "ratio ≤ 1.15", false},
		{Goal{ValueAtMost, 120}, "≤ 120", true},
		{Goal{DifferenceAtMost, 19}, "baseline + 19", false},
	} {
		if got := tt.goal.String(); got != tt.text {
			t.Errorf("%+v says %q, want %q", tt.goal, got, tt.text)
		}
		if got := tt.goal.met(row); got != tt.met {
			t.Errorf("%s: met %v, want %v", tt.text, got, tt.met)
		}
	}
}

func TestGoalsOfARowWithoutBaselineAreNotMet(t *testing.T) {
	for _, kind := range []GoalKind{RatioAtLeast, RatioAtMost, DifferenceAtMost} {
		if (Goal{kind, 1}).met(Row{Value: 1}) {
			t.Errorf("%s is met without a baseline", kind)
		}
	}
}

func TestNumbersKeepWhatIsWorthReading(t *testing.T) {
	for value, want := range map[float64]string{
		15: "15.0", 1349.6: "1350", 245.4: "245", 48.26: "48.3", 9.876: "9.88", 0.5: "0.500",
		0.0123: "0.0123", 0: "0.00", -0.25: "-0.250",
	} {
		if got := number(value); got != want {
			t.Errorf("number(%v) = %q, want %q", value, got, want)
		}
	}
}

func TestDifferentTextIsAWarning(t *testing.T) {
	m := &meter{work: testWork()}
	r := &Result{Rounds: append(testRounds(), testRounds()...)}
	m.conclude(r)
	if !r.SameText || len(r.Warnings) != 0 {
		t.Errorf("same text %v, warnings %q", r.SameText, r.Warnings)
	}
	r.Rounds[1].Baseline.Reps[0].Sum = "0000000000000001"
	m.conclude(r)
	if r.SameText || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "different tokens") {
		t.Errorf("same text %v, warnings %q", r.SameText, r.Warnings)
	}
}

func TestATextThatEndsEarlyIsAWarning(t *testing.T) {
	m := &meter{work: testWork()}
	m.work.Rounds = 1
	r := &Result{Rounds: testRounds()}
	r.Rounds[0].Ours.Reps[0].Generated = 20
	m.conclude(r)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "after 21 tokens instead of 129") {
		t.Errorf("warnings %q", r.Warnings)
	}
}
