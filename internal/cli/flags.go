package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// countFlag is a flag for a count of at least one.
func countFlag(at *int) *value { return wholeFlag(at, 1) }

// indexFlag is a flag for a number that counts from zero.
func indexFlag(at *int) *value { return wholeFlag(at, 0) }

// wholeFlag is a flag for a whole number of at least least.
func wholeFlag(at *int, least int) *value {
	return &value{
		kind: "int",
		get:  func() string { return strconv.Itoa(*at) },
		set: func(text string) error {
			n, err := parseInteger(text)
			if err != nil {
				return err
			}
			if n < least {
				return fmt.Errorf("%d is too small; it must be at least %d", n, least)
			}
			*at = n
			return nil
		},
	}
}

// numberFlag is a flag for a number.
func numberFlag(at *float32) *value {
	return &value{
		kind: "number",
		get:  func() string { return formatNumber(*at) },
		set: func(text string) (err error) {
			*at, err = parseNumber(text)
			return err
		},
	}
}

// oneOf is a flag for one of a few words.
func oneOf(at *string, words ...string) *value {
	return &value{
		kind: "word",
		get:  func() string { return *at },
		set: func(text string) error {
			if !slices.Contains(words, text) {
				return fmt.Errorf("%q is not one of %s", text, strings.Join(words, ", "))
			}
			*at = text
			return nil
		},
	}
}

// listFlag is a flag for a list separated by commas.
func listFlag(at *[]string) *value {
	return &value{
		kind: "list",
		get:  func() string { return strings.Join(*at, ",") },
		set:  func(text string) error { *at = splitList(text); return nil },
	}
}

// appendFlag is a repeatable flag.
func appendFlag(at *[]string) *value {
	return &value{
		kind: "text",
		get:  func() string { return strings.Join(*at, " ") },
		set:  func(text string) error { *at = append(*at, text); return nil },
	}
}

// sharesFlag is a flag for the shares of several devices.
func sharesFlag(at *[]float32) *value {
	return &value{
		kind: "list",
		get:  func() string { return "" },
		set: func(text string) error {
			var shares []float32
			for _, part := range splitList(text) {
				share, err := parseNumber(part)
				if err != nil {
					return err
				}
				if share < 0 {
					return fmt.Errorf("a share cannot be negative, as %s is", part)
				}
				shares = append(shares, share)
			}
			*at = shares
			return nil
		},
	}
}

// layersFlag is a flag for a number of layers, all of them, or as many as fit.
func layersFlag(at **int) *value {
	return &value{
		kind: "int",
		get:  func() string { return "" },
		set: func(text string) error {
			layers := -1
			switch text {
			case "auto":
				*at = nil
				return nil
			case "all":
			default:
				n, err := parseInteger(text)
				if err != nil {
					return fmt.Errorf("%q is neither a whole number nor 'all' or 'auto'", text)
				}
				layers = n
			}
			*at = &layers
			return nil
		},
	}
}

// bytesFlag is a flag for an amount of memory: a number of bytes, or 512MB, 2GiB and the like.
func bytesFlag(at *uint64) *value {
	return &value{
		kind: "size",
		get:  func() string { return "" },
		set: func(text string) error {
			n, err := humanize.ParseBytes(text)
			if err != nil {
				return fmt.Errorf("%q is no amount of memory, such as 512MB or 2GiB", text)
			}
			*at = n
			return nil
		},
	}
}

// optionsFlag is a repeatable flag for an option of requests, as NAME=VALUE. The value is JSON, or
// else a text.
func optionsFlag(at *map[string]any) *value {
	return &value{
		kind: "option",
		get:  func() string { return "" },
		set: func(text string) error {
			name, raw, ok := strings.Cut(text, "=")
			if !ok || name == "" {
				return fmt.Errorf("%q is not NAME=VALUE", text)
			}
			var option any
			if json.Unmarshal([]byte(raw), &option) != nil {
				option = raw
			}
			if *at == nil {
				*at = map[string]any{}
			}
			(*at)[name] = option
			return nil
		},
	}
}
