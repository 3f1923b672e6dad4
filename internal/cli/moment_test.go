package cli

import (
	"testing"
	"time"
)

func TestTimesAreInTheWordsOfOllama(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0: "Less than a second", 1900 * time.Millisecond: "1 second",
		59 * time.Second: "59 seconds", 61 * time.Second: "About a minute",
		59 * time.Minute: "59 minutes",
		80 * time.Minute: "About an hour", 100 * time.Minute: "2 hours", 47 * time.Hour: "47 hours",
		2 * day: "2 days", 13 * day: "13 days", 14 * day: "2 weeks", 59 * day: "8 weeks",
		60 * day: "2 months", 729 * day: "24 months", 730 * day: "2 years",
	} {
		if got := span(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
	now := time.Now()
	if got := moment(now.Add(-time.Hour)); got != "About an hour ago" {
		t.Errorf("an hour ago is %q", got)
	}
	if got := moment(now.Add(5*time.Minute + 30*time.Second)); got != "5 minutes from now" {
		t.Errorf("five minutes on are %q", got)
	}
}
