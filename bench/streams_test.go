package bench

import (
	"slices"
	"testing"

	"github.com/mullama/mullama/bench/load"
)

func TestWavesBecomeRowsForEveryServer(t *testing.T) {
	wave := func(side string, width int, seconds float64) Wave {
		return Wave{Round: 1, Streams: width, Side: side, Seconds: seconds, Tokens: 100,
			Load: &load.Summary{FirstToken: load.Spread{P50: 5}, Gap: load.Spread{P99: 7}}}
	}
	rows := waveRows([]int{1, 8}, []Wave{
		wave("ours", 1, 1), wave("baseline", 1, 0.96), wave("llama-server", 1, 2),
		wave("ours", 8, 1), wave("baseline", 8, 0.5), wave("llama-server", 8, 4),
	})
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
	}
	want := []string{
		"streams_1", "streams_1_ttft_p50", "streams_1_gap_p99",
		"streams_1_llama_server", "streams_1_llama_server_ttft_p50",
		"streams_1_llama_server_gap_p99",
		"streams_8", "streams_8_ttft_p50", "streams_8_gap_p99",
		"streams_8_llama_server", "streams_8_llama_server_ttft_p50",
		"streams_8_llama_server_gap_p99",
	}
	if !slices.Equal(names, want) {
		t.Fatalf("rows %v, want %v", names, want)
	}
	if r := rows[0]; *r.Ratio != 0.96 || r.Goal.Limit != 0.97 || *r.Met {
		t.Errorf("one stream: %+v", r)
	}
	if r := rows[9]; r.Value != 25 || *r.Ratio != 0.125 || r.Goal != nil || r.Met != nil {
		t.Errorf("the peer's eight streams: %+v", r)
	}
	if rows[1].Value != 5 || rows[2].Value != 7 {
		t.Errorf("what a client feels: %+v, %+v", rows[1], rows[2])
	}
}
