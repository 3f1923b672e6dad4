package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/mullama/mullama"
)

// value is a flag whose text is read by set. It satisfies pflag.Value.
type value struct {
	kind string // shown in the help: int, number, list, ...
	set  func(text string) error
	get  func() string
}

func (v *value) Type() string { return v.kind }

func (v *value) Set(text string) error { return v.set(text) }

func (v *value) String() string {
	if v.get == nil {
		return ""
	}
	return v.get()
}

// parseNumber reads a finite number.
func parseNumber(text string) (float32, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 32)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return float32(f), nil
}

// parseInteger reads a whole number that fits 32 bits, which is what the engine counts in.
func parseInteger(text string) (int, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", text)
	}
	return int(n), nil
}

// parseSwitch reads true or false.
func parseSwitch(text string) (bool, error) {
	on, err := strconv.ParseBool(strings.TrimSpace(text))
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", text)
	}
	return on, nil
}

// parseSeed reads a seed; a negative one means that a random seed is drawn.
func parseSeed(text string) (*uint32, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n > math.MaxUint32 {
		return nil, fmt.Errorf(
			"%q is no seed; give a whole number up to %d, or -1 for a random one",
			text,
			uint32(math.MaxUint32),
		)
	}
	if n < 0 {
		return nil, nil
	}
	seed := uint32(n)
	return &seed, nil
}

// parseBias reads TOKEN=VALUE, where VALUE may be -inf to forbid the token.
func parseBias(text string) (mullama.Token, float32, error) {
	id, amount, found := strings.Cut(text, "=")
	token, err := strconv.ParseInt(strings.TrimSpace(id), 10, 32)
	bias, numberErr := strconv.ParseFloat(strings.TrimSpace(amount), 32)
	if !found || err != nil || token < 0 || numberErr != nil || math.IsNaN(bias) ||
		math.IsInf(bias, 1) {
		return 0, 0, fmt.Errorf(
			"%q is not TOKEN=VALUE with a token id and a number (or -inf to forbid the token)",
			text,
		)
	}
	return mullama.Token(token), float32(bias), nil
}

// formatNumber writes f as a person would.
func formatNumber(f float32) string {
	return strconv.FormatFloat(float64(f), 'g', -1, 32)
}

// splitList splits at commas and semicolons and drops empty parts.
func splitList(text string) []string {
	var parts []string
	separator := func(r rune) bool { return r == ',' || r == ';' }
	for _, part := range strings.FieldsFunc(text, separator) {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
