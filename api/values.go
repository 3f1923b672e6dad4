package api

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Forever is the Duration of a model that stays loaded.
const Forever = time.Duration(-1)

// Duration is how long a model stays loaded after a request. In JSON it is a number of seconds, or
// a text such as "10m", "1h30m" or "300"; less than zero means for ever.
type Duration struct{ time.Duration }

// MarshalJSON writes a text, or -1 for ever.
func (d Duration) MarshalJSON() ([]byte, error) {
	if d.Duration < 0 {
		return []byte("-1"), nil
	}
	return []byte(`"` + d.String() + `"`), nil
}

// UnmarshalJSON reads seconds or a text.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	parsed, err := parseDuration(value)
	if err != nil {
		return err
	}
	d.Duration = parsed
	return nil
}

func parseDuration(value any) (time.Duration, error) {
	switch v := value.(type) {
	case float64:
		return seconds(v), nil
	case string:
		if n, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(n) {
			return seconds(n), nil
		}
		d, err := time.ParseDuration(v)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration; write it as \"10m\", \"1h30m\" or a number "+
				"of seconds, less than 0 for ever", v)
		}
		return max(d, Forever), nil
	}
	return 0, fmt.Errorf("a duration is a text such as \"10m\" or a number of seconds")
}

// seconds clamps: what is too long for a time.Duration is for ever.
func seconds(n float64) time.Duration {
	if n < 0 || n > math.MaxInt64/float64(time.Second) {
		return Forever
	}
	return time.Duration(n * float64(time.Second))
}

// Think switches thinking on or off, or sets how much of it there is. In JSON it is true, false,
// "low", "medium", "high" or "max".
type Think struct {
	Enabled bool
	Level   string // "" when none was given
}

// MarshalJSON writes the level if there is one.
func (t Think) MarshalJSON() ([]byte, error) {
	if t.Level != "" {
		return json.Marshal(t.Level)
	}
	return json.Marshal(t.Enabled)
}

// UnmarshalJSON reads a truth value or a level.
func (t *Think) UnmarshalJSON(data []byte) error {
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	switch v := value.(type) {
	case bool:
		*t = Think{Enabled: v}
		return nil
	case string:
		switch v {
		case "low", "medium", "high", "max":
			*t = Think{Enabled: true, Level: v}
			return nil
		}
	}
	return fmt.Errorf(`think is %s; use true, false, "low", "medium", "high" or "max"`, data)
}
