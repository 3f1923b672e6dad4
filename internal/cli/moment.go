package cli

import (
	"fmt"
	"math"
	"time"
)

// moment writes how far a time is from now, in the words of Ollama's tables.
func moment(t time.Time) string {
	if d := time.Since(t); d >= 0 {
		return span(d) + " ago"
	}
	return span(time.Until(t)) + " from now"
}

// span writes a time in its largest unit.
func span(d time.Duration) string {
	const day = 24 // hours
	hours := int(math.Round(d.Hours()))
	switch {
	case d < time.Second:
		return "Less than a second"
	case d < 2*time.Second:
		return "1 second"
	case d < time.Minute:
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	case d < 2*time.Minute:
		return "About a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case hours == 1:
		return "About an hour"
	case hours < 2*day:
		return fmt.Sprintf("%d hours", hours)
	case hours < 14*day:
		return fmt.Sprintf("%d days", hours/day)
	case hours < 60*day:
		return fmt.Sprintf("%d weeks", hours/day/7)
	case hours < 2*365*day:
		return fmt.Sprintf("%d months", hours/day/30)
	}
	return fmt.Sprintf("%d years", hours/day/365)
}
