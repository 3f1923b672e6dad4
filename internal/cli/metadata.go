package cli

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/mullama/mullama"
)

const (
	// samplingPrefix begins the metadata keys with recommended sampling parameters.
	samplingPrefix = "general.sampling."
	// listedElements is how much of a list is printed unless all of it is asked for.
	listedElements = 3
	// listedText is how many characters of a text are printed unless all of it is asked for.
	listedText = 80
)

// printMetadata prints every key and value; all prints long lists and texts in full.
func printMetadata(w io.Writer, metadata map[string]any, indent string, all bool) {
	columns := table(w)
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		fmt.Fprintf(columns, "%s%s\t%s\n", indent, oneLine(key), formatMetadata(metadata[key], all))
	}
	columns.end()
}

// formatMetadata writes one metadata value on one line.
func formatMetadata(value any, all bool) string {
	if text, ok := value.(string); ok {
		return shorten(oneLine(text), all)
	}
	if n := listLength(value); n >= 0 {
		return formatList(reflect.ValueOf(value), n, all)
	}
	return oneLine(fmt.Sprint(value))
}

// formatList writes a list, or its beginning and its length.
func formatList(list reflect.Value, n int, all bool) string {
	shown := n
	if !all {
		shown = min(n, listedElements)
	}
	parts := make([]string, shown)
	for i := range parts {
		element := list.Index(i).Interface()
		if text, ok := element.(string); ok {
			parts[i] = strconv.Quote(text)
		} else {
			parts[i] = fmt.Sprint(element)
		}
	}
	text := strings.Join(parts, ", ")
	if shown < n {
		text += fmt.Sprintf(", ... (%d in all)", n)
	}
	return "[" + text + "]"
}

// listLength returns the length of a list, or -1 when value is none.
func listLength(value any) int {
	if list := reflect.ValueOf(value); list.Kind() == reflect.Slice {
		return list.Len()
	}
	return -1
}

// recommendedRows are the sampling parameters that the file recommends.
func recommendedRows(info *mullama.Info) [][2]string {
	var rows [][2]string
	for _, key := range slices.Sorted(maps.Keys(info.Metadata)) {
		if name, found := strings.CutPrefix(key, samplingPrefix); found {
			rows = append(rows, [2]string{name, formatMetadata(info.Metadata[key], true)})
		}
	}
	return rows
}

// recommended writes the recommended sampling parameters, one per line.
func recommended(info *mullama.Info) string {
	var text strings.Builder
	columns := table(&text)
	for _, row := range recommendedRows(info) {
		fmt.Fprintf(columns, "%s\t%s\n", oneLine(row[0]), row[1])
	}
	columns.end()
	return text.String()
}

// oneLine makes text safe for a row of a table.
func oneLine(text string) string {
	text = strings.NewReplacer("\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(text)
	return printable(text)
}

// shorten cuts a long text unless all of it is wanted.
func shorten(text string, all bool) string {
	runes := []rune(text)
	if all || len(runes) <= listedText {
		return text
	}
	return string(runes[:listedText]) + fmt.Sprintf("... (%d characters)", len(runes))
}

// positive writes n, or nothing when the file does not tell it.
func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// shortCount writes a count as 134.52M.
func shortCount(n int64) string {
	switch {
	case n <= 0:
		return ""
	case n < 1_000_000:
		return fmt.Sprintf("%.1fK", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2fB", float64(n)/1e9)
}

// shortBytes writes a size as 91.7 MB, in powers of ten as file managers do.
func shortBytes(n int64) string {
	switch {
	case n <= 0:
		return ""
	case n < 1_000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}
