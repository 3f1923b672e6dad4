package bench

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama/bench/soak"
)

// soakResult is a result with a loss and a leak.
func soakResult() *Result {
	w := soak.Work{URL: "http://127.0.0.1:1", Models: []string{"a", "b"}, Duration: time.Minute,
		Clients: 3, Seed: 4, Limit: time.Minute}
	state := soak.State{Goroutines: 9, Files: 11, RSS: 1 << 28}
	r := &Result{
		Schema: SchemaVersion, Group: "soak", Command: soakLine(w), Warnings: []string{},
		Rounds: []Round{}, Machine: readMachine(testRoot()),
		Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		Soak: &soak.Report{
			Work: w, Seconds: 61, Requests: 300, Lost: 2, Before: state, After: state,
			Kinds: []soak.Kind{
				{Name: "openai_chat", Count: 200, Lost: 2, First: &soak.Spread{P50: 7},
					Gap: &soak.Spread{P50: 3}, Whole: soak.Spread{P50: 9}},
				{Name: "ps", Count: 100},
			},
			Losses: []soak.Loss{
				{Kind: "openai_chat", Message: "it broke off", Model: "a", Count: 2}},
			Leaks:  []soak.Leak{{What: "goroutines", Left: 7, Allowed: 5}},
			Course: []soak.Sample{{Seconds: 1, State: state}},
		},
	}
	r.describe(&soak.Info{Version: "1", Model: "a", Digest: strings.Repeat("ab", 32), Size: 5}, w)
	r.Rows = soakRows(r.Soak)
	return r
}

func TestASoakFitsTheSchema(t *testing.T) {
	data, err := json.Marshal(soakResult())
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, data); err != nil {
		t.Errorf("%v\n%s", err, data)
	}
}

func TestASoakIsReported(t *testing.T) {
	r := soakResult()
	for _, want := range []string{
		"lost: openai_chat (2, first at 0.0 s, a): it broke off",
		"leaked_goroutines   7.00", "short",
	} {
		if !strings.Contains(table(r), want) {
			t.Errorf("the table lacks %q:\n%s", want, table(r))
		}
	}
	for _, want := range []string{
		"## soak: a, b\n", "3 clients, 1m0s, 300 requests, 2 lost.",
		"| goroutines | 7.00 | 5.00 | short |", "| openai_chat | 200 | 2 | 0 | 9.00 |",
		"Command: `mullama bench soak --models a,b --duration 1m0s --clients 3 --seed 4`.",
	} {
		if got := Report([]*Result{r}); !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
	const wrong = "2 of 300 requests were lost; 7 goroutines leaked"
	if err := r.Soak.Err(); err == nil || err.Error() != wrong {
		t.Errorf("the command fails with %v", err)
	}
}

func TestASoakNeedsADaemon(t *testing.T) {
	root := testRootCommand()
	root.SetArgs([]string{"bench", "soak", "--models", "a", "--url", "http://127.0.0.1:1"})
	if err := root.Execute(); err == nil {
		t.Error("a soak without a daemon succeeded")
	}
}
