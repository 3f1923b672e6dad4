package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/mullama/mullama/api"
)

func TestDurationsOfAllForms(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration
	}{
		{`300`, 5 * time.Minute},
		{`0`, 0},
		{`1.5`, 1500 * time.Millisecond},
		{`-1`, api.Forever},
		{`1e300`, api.Forever},
		{`"10m"`, 10 * time.Minute},
		{`"1h30m"`, 90 * time.Minute},
		{`"0"`, 0},
		{`"300"`, 5 * time.Minute},
		{`"-1"`, api.Forever},
		{`"-1m"`, api.Forever},
	} {
		t.Run(tt.in, func(t *testing.T) {
			var d api.Duration
			if err := json.Unmarshal([]byte(tt.in), &d); err != nil || d.Duration != tt.want {
				t.Fatalf("got %v, %v, want %v", d, err, tt.want)
			}
			again, err := json.Marshal(d)
			var back api.Duration
			if err != nil || json.Unmarshal(again, &back) != nil || back != d {
				t.Errorf("writes %s, which reads as %v", again, back)
			}
		})
	}
	for _, bad := range []string{`"soon"`, `true`, `{}`, `[]`, `""`, `"NaN"`} {
		var d api.Duration
		if err := json.Unmarshal([]byte(bad), &d); err == nil {
			t.Errorf("%s reads as %v", bad, d)
		}
	}
}

func TestThinkIsATruthValueOrALevel(t *testing.T) {
	for in, want := range map[string]api.Think{
		`true`:   {Enabled: true},
		`false`:  {},
		`"high"`: {Enabled: true, Level: "high"},
		`"max"`:  {Enabled: true, Level: "max"},
	} {
		var got api.Think
		if err := json.Unmarshal([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s reads as %+v, %v", in, got, err)
		}
		if out, err := json.Marshal(got); err != nil || string(out) != in {
			t.Errorf("%s is written as %s, %v", in, out, err)
		}
	}
	for _, bad := range []string{`"much"`, `1`, `{}`} {
		if err := json.Unmarshal([]byte(bad), new(api.Think)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{`1`, `"5m"`, `-1`, `"-3"`, `1e999`, `null`, `"inf"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var d api.Duration
		if json.Unmarshal(data, &d) != nil {
			return
		}
		if d.Duration < api.Forever {
			t.Errorf("%s reads as %v, below for ever", data, d.Duration)
		}
	})
}
